"""Typed tasks: how arguments become a payload, and a payload arguments again."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import math
import uuid
from typing import TYPE_CHECKING, Annotated, Any, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, Base64Bytes, BaseModel, Field

from headrace._errors import TaskArgumentsError
from headrace._router import Router
from headrace._task import Task
from tests.support.handlers import dispatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace._context import TaskContext

    class NotThere:
        """Known to type checkers only."""


class Colour(enum.Enum):
    """An argument that JSON has no word for."""

    RED = "red"


class User(BaseModel):
    """A model as an argument."""

    name: str
    born: dt.date


@dataclasses.dataclass
class Point:
    """A dataclass as an argument."""

    x: float
    y: float


def router_with(function: Callable[..., Any], **options: Any) -> Router:  # noqa: ANN401
    """Return a router with *function* as the typed task "t"."""
    router = Router()
    router.add_task("t", function, **options)
    return router


async def send(user_id: int, template: str = "default") -> tuple[int, str]:
    """Stand for a user's function."""
    return user_id, template


# --- From arguments to a task ----------------------------------------------------------------


def test_task_carries_arguments_by_name() -> None:
    """Positional and keyword arguments make the same JSON object."""
    task = Router().add_task("email:welcome", send)

    assert b'{"user_id":42,"template":"x"}' == task.task(42, "x").payload
    assert b'{"user_id":42,"template":"x"}' == task.task(42, template="x").payload
    assert "email:welcome" == task.task(42).type


def test_task_carries_only_what_was_given() -> None:
    """Defaults are the worker's business: they may change while a task waits."""
    assert b'{"user_id":42}' == Router().add_task("t", send).task(user_id=42).payload


def test_task_orders_arguments_by_the_signature() -> None:
    """Equal calls make equal payloads, or uniqueness would miss them."""
    task = Router().add_task("t", send)

    assert task.task(template="x", user_id=1).payload == task.task(user_id=1, template="x").payload


def test_more_arguments_are_ordered_by_name() -> None:
    """Those of **kwargs too make one payload, in whatever order they are given."""

    def handler(first: int, **more: int) -> None: ...

    task = Router().add_task("t", handler)

    assert b'{"first":0,"a":1,"b":2}' == task.task(b=2, first=0, a=1).payload


def test_task_without_arguments_is_an_empty_object() -> None:
    """A payload is there even where nothing is in it."""

    async def handler() -> None: ...

    task = Router().add_task("t", handler).task()

    assert b"{}" == task.payload
    assert task.has_payload


def test_task_carries_the_options() -> None:
    """The options of the decorator travel with each task."""
    task = Router().add_task("t", send, queue="critical", max_retry=5, timeout=30)

    assert ("critical", 5, 30) == (task.options.queue, task.options.max_retry, task.options.timeout)
    assert task.options is task.task(user_id=1).options


VALUES = [
    (dt.datetime, dt.datetime(2024, 2, 29, 12, tzinfo=dt.UTC)),
    (dt.date, dt.date(2024, 2, 29)),
    (dt.timedelta, dt.timedelta(days=1, microseconds=3)),
    (uuid.UUID, uuid.UUID(int=7)),
    (decimal.Decimal, decimal.Decimal("1.10")),
    (Colour, Colour.RED),
    (User, User(name="Ada", born=dt.date(1815, 12, 10))),
    (Point, Point(0.5, -1.0)),
    (list[User], [User(name="Ada", born=dt.date(1815, 12, 10))]),
    (dict[int, Point], {3: Point(1, 2)}),
    (set[int], {1, 2}),
    (bytes, b"text"),
    (Optional[int], None),  # noqa: UP045 - users still write it
    (float, math.inf),
    (int, 2**100),
    (str, "\u2028 ünïcode \0"),
]


@pytest.mark.parametrize(("annotation", "value"), VALUES, ids=lambda value: str(value)[:30])
def test_arguments_survive_the_way(annotation: object, value: object) -> None:
    """What pydantic can write as JSON reaches the handler as what it was."""

    def handler(it: object) -> None: ...

    handler.__annotations__["it"] = annotation
    task = Router().add_task("t", handler)

    assert {"it": value} == task.arguments_of(task.task(it=value))


@given(st.integers(), st.text(), st.floats(allow_nan=False))
def test_any_number_and_text_survives_the_way(whole: int, text: str, real: float) -> None:
    """No number is rounded and no character lost."""

    def handler(whole: int, text: str, real: float) -> None: ...

    task = Router().add_task("t", handler)

    arguments = task.arguments_of(task.task(whole=whole, text=text, real=real))
    assert {"whole": whole, "text": text, "real": real} == arguments


def test_nan_does_not_become_null() -> None:
    """Not a number is not nothing, also where None is allowed."""

    def handler(ratio: float | None) -> None: ...

    task = Router().add_task("t", handler)

    assert math.isnan(task.arguments_of(task.task(ratio=math.nan))["ratio"])


def test_alias_is_the_name_on_the_wire() -> None:
    """A Go client may call an argument by another name."""

    def handler(user_id: Annotated[int, Field(alias="userId")]) -> None: ...

    task = Router().add_task("t", handler)

    assert b'{"userId":1}' == task.task(user_id=1).payload
    assert {"user_id": 1} == task.arguments_of(task.task(user_id=1))


def test_validators_run_once_on_the_way() -> None:
    """The check at enqueue does not change what the worker's validators see."""

    def handler(amount: Annotated[int, AfterValidator(lambda value: value * 2)]) -> None: ...

    task = Router().add_task("t", handler)

    assert {"amount": 42} == task.arguments_of(task.task(amount=21))


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({}, "user_id: Field required"),
        ({"user_id": "many"}, "user_id: Input should be a valid integer"),
        ({"user_id": 1.5}, "user_id: Input should be a valid integer"),
        ({"user_id": None}, "user_id: Input should be a valid integer"),
        ({"user_id": 1, "colour": 2}, "it takes no colour"),
        ({"user_id": 1, "template": 3}, "template: Input should be a valid string"),
        ({"user_id": object()}, "Unable to serialize unknown type"),
        ({"user_id": 1, "template": "\ud800"}, "surrogates not allowed"),
    ],
)
def test_wrong_arguments_are_refused_at_once(arguments: dict[str, Any], problem: str) -> None:
    """A mistake shows where it is made, not in a worker."""
    task: Any = Router().add_task("email:welcome", send)

    with pytest.raises(TaskArgumentsError, match=problem) as caught:
        task.task(**arguments)
    assert "email:welcome" == caught.value.task_type


def test_wrong_positional_arguments_are_refused() -> None:
    """Too many, and those given twice, as in any call."""
    task: Any = Router().add_task("t", send)

    with pytest.raises(TaskArgumentsError, match="3 positional arguments were given, it takes 2"):
        task.task(1, "x", 2)
    with pytest.raises(TaskArgumentsError, match="user_id given twice"):
        task.task(1, user_id=2)


def test_keyword_only_arguments_are_not_positional() -> None:
    """The star in a signature means in `.task` what it means in a call."""

    def handler(*, user_id: int) -> None: ...

    task: Any = Router().add_task("t", handler)

    with pytest.raises(TaskArgumentsError, match="1 positional arguments were given, it takes 0"):
        task.task(1)


def test_bytes_that_are_no_text_are_refused() -> None:
    """JSON cannot carry them; Base64Bytes can."""

    def handler(raw: bytes, encoded: Base64Bytes = b"") -> None: ...

    task = Router().add_task("t", handler)

    with pytest.raises(TaskArgumentsError, match="invalid utf-8"):
        task.task(raw=b"\xff")
    assert b"\xff" == task.arguments_of(Task("t", {"raw": "", "encoded": "/w=="}))["encoded"]


def test_circular_arguments_are_refused() -> None:
    """What contains itself cannot be written down."""

    def handler(tree: dict[str, Any]) -> None: ...

    tree: dict[str, Any] = {}
    tree["root"] = tree

    with pytest.raises(TaskArgumentsError, match="Circular reference"):
        Router().add_task("t", handler).task(tree=tree)


# --- From a payload to arguments -------------------------------------------------------------


async def test_payload_of_another_program_is_validated() -> None:
    """What a Go client sends is coerced as pydantic coerces JSON."""
    payload = {"user_id": "42"}

    assert b'[42,"default"]' == await dispatch(router_with(send), Task("t", payload), retention=1)


async def test_absent_payload_is_an_empty_object() -> None:
    """A task without payload runs a function that needs no argument."""

    async def handler(greeting: str = "hello") -> str:
        return greeting

    assert b'"hello"' == await dispatch(router_with(handler), Task("t"), retention=1)


@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        (b"", "user_id: Field required"),
        (b"[1]", "Input should be an object"),
        (b"null", "Input should be an object"),
        (b"42", "Input should be an object"),
        (b"\xff\xfe", "Invalid JSON"),
        (b'{"user_id": 1', "Invalid JSON"),
        (b'{"user_id": "\xff"}', "Invalid JSON"),
        (b"[" * 100_000, "recursion limit"),
        (b'{"user_id": {}}', "user_id: Input should be a valid integer"),
        (b'{"user_id": 1, "extra": 2}', "extra: Extra inputs are not permitted"),
        (b'{"user_id": NaN}', "user_id: Input should be"),
    ],
)
async def test_wrong_payload_is_refused(payload: bytes, problem: str) -> None:
    """A payload that does not fit raises the error that archives the task at once."""
    router = router_with(send)

    with pytest.raises(TaskArgumentsError, match=problem):
        await dispatch(router, Task("t", payload))


async def test_error_does_not_show_values() -> None:
    """An error text lands in Redis and in logs; the values may be personal."""
    with pytest.raises(TaskArgumentsError) as caught:
        await dispatch(router_with(send), Task("t", {"user_id": "secret", "other": "secret"}))

    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


async def test_error_stays_short() -> None:
    """A payload with very many mistakes makes no very long error."""

    def handler(numbers: list[int]) -> None: ...

    with pytest.raises(TaskArgumentsError, match="and 990 more") as caught:
        await dispatch(router_with(handler), Task("t", {"numbers": ["x"] * 1000}))
    assert len(str(caught.value)) < 2_000


async def test_more_arguments_reach_kwargs() -> None:
    """A function with **kwargs takes what it does not name."""

    async def handler(first: int, **more: object) -> object:
        return [first, more]

    router = router_with(handler)

    assert b'[1,{"x":"y"}]' == await dispatch(
        router, Task("t", {"first": 1, "x": "y"}), retention=1
    )


async def test_annotated_kwargs_are_validated() -> None:
    """The annotation of **kwargs holds for each of them."""

    async def handler(**counts: int) -> object:
        return counts

    router = router_with(handler)

    assert b'{"a":1}' == await dispatch(router, Task("t", {"a": "1"}), retention=1)
    with pytest.raises(TaskArgumentsError, match="a: Input should be a valid integer"):
        await dispatch(router, Task("t", {"a": "x"}))


async def test_payload_cannot_fill_the_context() -> None:
    """A payload fills arguments only, also where **kwargs would take anything."""

    async def handler(ctx: TaskContext, **more: object) -> None: ...

    router = router_with(handler)

    with pytest.raises(TaskArgumentsError, match="the worker fills ctx itself"):
        await dispatch(router, Task("t", {"ctx": 1}))
    with pytest.raises(TaskArgumentsError, match="the worker fills ctx itself"):
        router.tasks["t"].task(ctx=1)


async def test_odd_names_are_arguments_like_others() -> None:
    """A parameter may be called what a model's attribute could not be."""

    async def handler(_private: int, self: int, model_config: int, json: int) -> int:
        return _private + self + model_config + json

    router = router_with(handler)
    task = router.tasks["t"].task(_private=1, self=2, model_config=3, json=4)

    assert b"10" == await dispatch(router, task, retention=1)
