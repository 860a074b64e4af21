"""The router: which handler a task gets, and what its result becomes."""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from headrace import _table
from headrace._errors import HandlerNotFoundError, InvalidOptionError
from headrace._router import CallNext, Router, as_dispatch
from headrace._task import Task
from tests.support.handlers import answer, answering, dispatch, ignore
from tests.support.plain_handlers import plain_handlers

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace._context import TaskContext


def greet() -> bytes:
    """Be a typed task."""
    return b"hello"


# --- Which handler ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task_type", "expected"),
    [
        ("image", b"image"),
        ("image:", b"image:"),
        ("image:resize", b"image:re"),
        ("image:resize:small", b"image:re"),
        ("image:crop", b"image:"),
        ("images", b"image"),
        ("imag", None),
        ("IMAGE:", None),
    ],
)
async def test_longest_prefix_wins(task_type: str, expected: bytes | None) -> None:
    """Exact patterns first, then the longest that the type begins with; case counts."""
    router = answering(Router(), "image:", "image", "image:re")

    if expected is None:
        with pytest.raises(HandlerNotFoundError):
            await answer(router, task_type)
    else:
        assert expected == await answer(router, task_type)


async def test_typed_task_takes_its_exact_type_only() -> None:
    """A typed task comes before any pattern, and is no prefix itself."""
    router = answering(Router(), "image:")

    @router.task("image:resize")
    async def resize() -> bytes:
        return b"typed"

    assert b"typed" == await answer(router, "image:resize")
    assert b"image:" == await answer(router, "image:resize:small")


async def test_unknown_type_names_what_is_known() -> None:
    """The error says what is registered: a typing mistake shows at once."""
    router = answering(Router(), "image:")
    router.add_task("email", lambda: None)

    with pytest.raises(HandlerNotFoundError, match=r"registered: 'email', 'image:'") as caught:
        await answer(router, "mail")
    assert ("mail", ("email", "image:")) == (caught.value.task_type, caught.value.patterns)


async def test_not_found_handler_takes_the_rest() -> None:
    """It gets what nothing else is registered for."""
    router = answering(Router(), "image:")

    @router.not_found
    async def rest(task: Task) -> bytes:
        return b"rest " + task.type.encode()

    assert b"rest mail" == await answer(router, "mail")
    assert b"image:" == await answer(router, "image:x")


async def test_registration_after_use_counts() -> None:
    """What was looked up before does not hide what is registered later."""
    router = answering(Router(), "image:")
    bound = router.bind()

    assert b"image:" == await answer(bound, "image:resize")
    answering(router, "image:resize")
    assert b"image:resize" == await answer(bound, "image:resize")


async def test_lookups_do_not_fill_the_memory() -> None:
    """Whatever types other programs make up, only so many are remembered."""
    bound = answering(Router(), "image:").bind()

    for number in range(3 * _table.MAX_CACHED_TYPES):
        bound.resolve(f"image:{number}")

    assert len(bound._by_type) <= _table.MAX_CACHED_TYPES
    assert b"image:" == await answer(bound, "image:1")


def test_lookups_are_remembered() -> None:
    """A type that was looked up costs a dictionary's access from then on."""
    bound = answering(Router(), "image:").bind()

    assert bound.resolve("image:1") is bound.resolve("image:1")


@pytest.mark.parametrize("name", ["", "  ", "\n", "a\x00b", None, 3, "x" * 600])
def test_unusable_names_are_refused(name: Any) -> None:  # noqa: ANN401
    """Blank types and patterns, and what no type can be."""
    router = Router()

    with pytest.raises(InvalidOptionError, match="type"):
        router.task(name)(lambda: None)
    with pytest.raises(InvalidOptionError, match="pattern"):
        router.handler(name)(ignore)
    assert ({}, ()) == (dict(router.tasks), router.patterns)


def test_taken_names_are_refused() -> None:
    """Two handlers for one name would leave the choice to chance."""
    router = answering(Router(), "image:")
    router.add_task("email", lambda: None)

    for name in ("image:", "email"):
        with pytest.raises(InvalidOptionError, match="is registered for it already"):
            router.add_handler(name, ignore)
        with pytest.raises(InvalidOptionError, match="is registered for it already"):
            router.add_task(name, lambda: None)


def test_second_not_found_handler_is_refused() -> None:
    """There is one handler of last resort."""
    router = Router()
    router.not_found(ignore)

    with pytest.raises(InvalidOptionError, match="is registered already"):
        router.not_found(ignore)


def test_router_shows_what_is_registered() -> None:
    """Its properties and its repr."""
    router = answering(Router(), "image:")
    task = router.add_task("email", lambda: None)

    assert {"email": task} == router.tasks
    assert ("image:",) == router.patterns
    assert "<Router tasks=['email'] patterns=['image:']>" == repr(router)
    assert "<Dispatcher of email, image:>" == repr(router.bind())
    with pytest.raises(TypeError):
        router.tasks["other"] = task  # type: ignore[index]


def test_decorators_return_the_function() -> None:
    """A plain handler, a middleware and a not-found handler stay what they are."""
    router = Router()

    async def handler(task: Task) -> None: ...
    async def layer(task: Task, call_next: CallNext) -> None: ...

    assert handler is router.handler("x")(handler)
    assert handler is router.not_found(handler)
    assert layer is router.middleware(layer)


# --- Plain handlers --------------------------------------------------------------------------


@pytest.mark.parametrize("handler", plain_handlers(), ids=lambda handler: handler.__name__)
async def test_plain_handler_gets_the_task(handler: Callable[..., Any]) -> None:
    """The task comes first; a parameter annotated TaskContext gets the context."""
    router = Router()
    router.add_handler("image:", handler)

    assert b'"image:x"' == await answer(router, "image:x")


def refused_handlers() -> list[tuple[Callable[..., Any], str]]:
    """Return functions that cannot be plain handlers, and why."""

    async def nothing() -> None: ...
    async def keyword(*, task: Task) -> None: ...
    async def keywords(**task: Task) -> None: ...
    async def context(ctx: TaskContext) -> None: ...
    async def argument(user_id: int) -> None: ...
    async def mapping(payload: dict[str, Any]) -> None: ...
    async def more(task: Task, user_id: int) -> None: ...
    async def positional(task: Task, ctx: TaskContext, /) -> None: ...
    async def yields(task: Task) -> Any:  # noqa: ANN401
        yield

    return [
        (nothing, "must take the task"),
        (keyword, "must take the task"),
        (keywords, "must take the task"),
        (context, "'ctx' is annotated otherwise"),
        (argument, "'user_id' is annotated otherwise"),
        (mapping, "'payload' is annotated otherwise"),
        (more, "nothing fills its parameter 'user_id'"),
        (positional, "nothing fills its parameter 'ctx'"),
        (yields, "it yields"),
    ]


@pytest.mark.parametrize(
    ("handler", "reason"), refused_handlers(), ids=lambda value: getattr(value, "__name__", "")
)
def test_unusable_plain_handler_is_refused(handler: Callable[..., Any], reason: str) -> None:
    """The error comes at import and says what a plain handler gets."""
    router = Router()

    for register in (router.handler("x"), router.not_found):
        with pytest.raises(InvalidOptionError, match=reason):
            register(handler)
    assert () == router.patterns


# --- Results ---------------------------------------------------------------------------------


@dataclasses.dataclass
class Report:
    """A result that is more than JSON."""

    id: uuid.UUID
    at: dt.date


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (None, None),
        (b"\xff\x00", b"\xff\x00"),
        (bytearray(b"x"), b"x"),
        (memoryview(b"x"), b"x"),
        (0, b"0"),
        ("", b'""'),
        (False, b"false"),
        ({"rows": 12}, b'{"rows":12}'),
        (math.inf, b'"Infinity"'),
        (
            Report(uuid.UUID(int=1), dt.date(2024, 2, 29)),
            b'{"id":"00000000-0000-0000-0000-000000000001","at":"2024-02-29"}',
        ),
    ],
)
async def test_result_is_stored_as_json(value: object, stored: bytes | None) -> None:
    """Bytes stay as they are, None is nothing, anything else becomes JSON."""
    router = Router()

    @router.task("t")
    async def handler() -> object:
        return value

    assert stored == await answer(router, "t")


async def test_result_is_dropped_without_retention() -> None:
    """The task is deleted: its result is not even encoded."""
    router = Router()

    @router.task("t")
    async def handler() -> object:
        return object()

    assert await dispatch(router, Task("t"), retention=0) is None


@pytest.mark.parametrize("value", [object(), {"deep": [object()]}, "\ud800", {1: b"\xff"}])
async def test_result_that_json_cannot_carry_is_an_error(value: object) -> None:
    """The error names the task, the handler and the type of the value, not the value."""
    router = Router()

    @router.task("report")
    async def make_report() -> object:
        return value

    message = rf"task 'report' \(.*make_report\) returned a {type(value).__name__} that cannot"
    with pytest.raises(TypeError, match=message):
        await answer(router, "report")


# --- What a server takes as its handler ------------------------------------------------------


async def test_function_serves_all_types() -> None:
    """A server's handler may be one function."""

    async def echo(task: Task) -> bytes:
        return task.type.encode()

    def echo_in_thread(task: Task, ctx: TaskContext) -> bytes:
        return f"{task.type} {ctx.task_id}".encode()

    assert b"a" == await answer(as_dispatch(echo), "a")
    assert b"b id" == await answer(as_dispatch(echo_in_thread), "b")


async def test_typed_task_serves_its_type() -> None:
    """A server's handler may be one typed task."""
    resolver = as_dispatch(Router().add_task("t", greet))

    assert b"hello" == await answer(resolver, "t")
    with pytest.raises(HandlerNotFoundError):
        await answer(resolver, "u")


async def test_own_resolver_serves() -> None:
    """A server's handler may be anything with a resolve method."""
    bound = answering(Router(), "x").bind()

    assert bound is as_dispatch(bound)


async def test_router_is_bound_to_a_server() -> None:
    """Each server has its own limits, and sees what is registered later."""
    router = Router()
    one, two = as_dispatch(router, concurrency=1), as_dispatch(router, concurrency=2)
    answering(router, "x")

    assert one is not two
    assert b"x" == await answer(one, "x") == await answer(two, "x")


@pytest.mark.parametrize("handler", [None, 3, "module:handler", Router, lambda: None])
def test_unusable_server_handler_is_refused(handler: Any) -> None:  # noqa: ANN401
    """What cannot run tasks is refused when the server is made."""
    with pytest.raises(InvalidOptionError, match="handler"):
        as_dispatch(handler)
