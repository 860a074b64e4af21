"""Which functions can be typed tasks, and what their parameters mean."""

from __future__ import annotations

import functools
import inspect
import json
from typing import TYPE_CHECKING, Annotated, Any, Optional, TypedDict

import pytest
from pydantic import BaseModel, Field

from headrace._context import TaskContext
from headrace._depends import Depends
from headrace._errors import InvalidOptionError, TaskArgumentsError
from headrace._router import Router
from headrace._task import Task
from tests.support.handlers import dispatch, make_context

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Unpack

    class NotThere:
        """Known to type checkers only."""


def router_with(function: Callable[..., Any], **options: Any) -> Router:  # noqa: ANN401
    """Return a router with *function* as the typed task "t"."""
    router = Router()
    router.add_task("t", function, **options)
    return router


async def send(user_id: int, template: str = "default") -> tuple[int, str]:
    """Stand for a user's function."""
    return user_id, template


# --- The context -----------------------------------------------------------------------------


def forms_of_context() -> list[Callable[..., Any]]:
    """Return functions that want the context, each in its own way."""

    async def first(ctx: TaskContext, n: int) -> object:
        return ctx.attempt and n

    async def last(n: int, ctx: TaskContext | None = None) -> object:
        return isinstance(ctx, TaskContext) and n

    async def optional(n: int, ctx: Optional[TaskContext] = None) -> object:  # noqa: UP045
        return isinstance(ctx, TaskContext) and n

    async def annotated(n: int, *, ctx: Annotated[TaskContext | None, "a note"] = None) -> object:
        return isinstance(ctx, TaskContext) and n

    async def inside(ctx: Optional[Annotated[TaskContext, "a note"]], n: int) -> object:  # noqa: UP045
        return isinstance(ctx, TaskContext) and n

    async def twice(ctx: TaskContext, n: int, again: TaskContext) -> object:
        return ctx is again and n

    return [first, last, optional, annotated, inside, twice]


@pytest.mark.parametrize("function", forms_of_context(), ids=lambda function: function.__name__)
async def test_context_is_filled_in(function: Callable[..., Any]) -> None:
    """A parameter annotated TaskContext gets it and is no argument of the task."""
    router = router_with(function)
    task = router.tasks["t"].task(n=3)

    assert b'{"n":3}' == task.payload
    assert b"3" == await dispatch(router, task, retention=1)


def test_context_cannot_be_sent() -> None:
    """Whoever tries gets told."""

    async def handler(ctx: TaskContext, n: int) -> None: ...

    task: Any = Router().add_task("t", handler)

    with pytest.raises(TaskArgumentsError, match="it takes no ctx"):
        task.task(ctx=make_context(), n=1)
    assert b'{"n":1}' == task.task(1).payload


async def test_context_imported_for_type_checking_only_is_found() -> None:
    """Linters move the import under TYPE_CHECKING; the annotation still means the context."""
    names: dict[str, Any] = {}
    source = "async def handler(ctx: 'TaskContext | None', n: int): return ctx is not None"
    exec(source, names)  # noqa: S102 - a module without the name TaskContext

    assert b"true" == await dispatch(
        router_with(names["handler"]), Task("t", {"n": 1}), retention=1
    )


def test_local_types_are_found() -> None:
    """Annotations may name what the function around defines."""

    class Local(BaseModel):
        n: int

    def handler(it: Local, more: list[Local]) -> None: ...

    task = Router().add_task("t", handler)

    assert {"it": Local(n=1), "more": []} == task.arguments_of(task.task(Local(n=1), []))


# --- What cannot be a typed task -------------------------------------------------------------


def generators() -> list[Callable[..., Any]]:
    """Return functions that yield, which no handler may."""

    def generator() -> Any:  # noqa: ANN401
        yield

    async def async_generator() -> Any:  # noqa: ANN401
        yield

    return [generator, async_generator]


def refused_functions() -> list[tuple[Callable[..., Any], str]]:  # noqa: C901 - many small functions
    """Return functions that cannot be typed tasks, and why."""

    class Options(TypedDict):
        n: int

    class Methods:
        async def method(self, n: int) -> None: ...

    class Opaque: ...

    def positional(n: int, /) -> None: ...
    def variadic(*numbers: int) -> None: ...
    def unresolved(it: NotThere) -> None: ...
    def nested(it: list[NotThere]) -> None: ...
    def broken(it: int) -> None: ...
    def opaque(it: object) -> None: ...
    def unpacked(**options: Unpack[Options]) -> None: ...
    def field(n: int = Field(gt=0)) -> None: ...
    def takes_task(task: Task) -> None: ...

    broken.__annotations__["it"] = "1 +"
    opaque.__annotations__["it"] = Opaque
    return [
        (positional, "'n' is positional-only"),
        (variadic, "'numbers' takes positional arguments"),
        (unresolved, "annotation `NotThere` of its parameter 'it' cannot be resolved"),
        (nested, r"annotation `list\[NotThere\]` of its parameter 'it'"),
        (broken, "cannot be resolved"),
        (opaque, "pydantic cannot check its arguments: Unable to generate pydantic-core schema"),
        (field, r"write Annotated\[type, Field"),
        (takes_task, "use @router.handler"),
        *((function, "it yields") for function in generators()),
        (Methods, "a class makes an instance"),
        (Methods.method, "register the bound method"),
        (unpacked, "cannot be resolved"),
    ]


@pytest.mark.parametrize(
    ("function", "reason"), refused_functions(), ids=lambda value: getattr(value, "__name__", "")
)
def test_unusable_function_is_refused_at_decoration(
    function: Callable[..., Any], reason: str
) -> None:
    """The error comes at import, names the function, and says what to do."""
    router = Router()

    with pytest.raises(InvalidOptionError, match=reason) as caught:
        router.add_task("t", function)
    assert function.__qualname__[:20] in str(caught.value)
    assert not router.tasks


def test_unpacked_kwargs_are_refused() -> None:
    """A TypedDict's keys are to be written out."""
    import typing  # noqa: PLC0415 - the annotation is set by hand

    def handler(**options: object) -> None: ...

    handler.__annotations__["options"] = typing.Unpack[TypedDict("Options", {"n": int})]  # type: ignore[operator]

    with pytest.raises(InvalidOptionError, match="write its keys out"):
        Router().add_task("t", handler)


def test_model_that_is_not_complete_is_refused() -> None:
    """A model that names what is not defined yet cannot be checked against."""

    class Early(BaseModel):
        later: Later  # type: ignore[name-defined] # noqa: F821

    def handler(it: Early) -> None: ...

    with pytest.raises(InvalidOptionError, match="name 'Later' is not defined"):
        Router().add_task("t", handler)


@pytest.mark.parametrize("value", [None, 3, "name", b""])
def test_no_function_is_refused(value: object) -> None:
    """A handler must be callable."""
    router: Any = Router()

    with pytest.raises(InvalidOptionError, match="must be callable"):
        router.add_task("t", value)


def test_builtin_without_signature_is_refused() -> None:
    """Some builtins do not say what they take."""
    with pytest.raises(InvalidOptionError, match="no signature found"):
        Router().add_task("t", min)


def test_options_are_checked_at_decoration() -> None:
    """A wrong option shows at import, before any task is made."""
    router: Any = Router()

    with pytest.raises(InvalidOptionError, match="timeout"):
        router.task("t", timeout=0.5)(send)
    with pytest.raises(InvalidOptionError, match="colour"):
        router.task("t", colour="red")(send)
    assert not router.tasks


# --- Still the function ----------------------------------------------------------------------


async def test_typed_task_is_still_the_function() -> None:
    """Calling it calls the function; nothing is validated and nothing enqueued."""
    task = Router().add_task("t", send)

    assert (42, "default") == await task(user_id=42)
    assert send is task.__wrapped__
    assert ("send", send.__doc__) == (task.__name__, task.__doc__)
    assert inspect.signature(send) == inspect.signature(task)


def test_repr_shows_type_and_signature() -> None:
    """It says which function takes what."""
    task = Router().add_task("email:welcome", send)

    assert (
        f"<TypedTask 'email:welcome': {__name__}.send(user_id: int, template: str = 'default')>"
        == repr(task)
    )


def test_function_may_have_two_types() -> None:
    """An old type may go on beside its successor."""
    router = Router()
    old = router.add_task("old", send)
    new: Any = router.add_task("new", old)

    assert send is new.__wrapped__
    assert "new" == new.task(user_id=1).type


class Service:
    """Something with methods."""

    async def method(self, n: int) -> int:
        """Return twice *n*."""
        return n * 2

    async def __call__(self, n: int) -> int:
        """Return three times *n*."""
        return n * 3


@pytest.mark.parametrize(
    ("function", "result"),
    [
        (Service().method, b"4"),
        (Service(), b"6"),
        (functools.partial(Service().method), b"4"),
    ],
)
async def test_other_callables_may_be_typed_tasks(
    function: Callable[..., Any], result: bytes
) -> None:
    """A bound method, an object that can be called, a partial."""
    assert result == await dispatch(router_with(function), Task("t", {"n": 2}), retention=1)


async def test_wrapped_coroutine_function_is_awaited() -> None:
    """A decorator that hides the coroutine function does not keep it from running."""

    def decorator(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: object, **kwargs: object) -> object:
            return function(*args, **kwargs)

        return wrapper

    router = router_with(decorator(send))

    assert b'[1,"default"]' == await dispatch(router, Task("t", {"user_id": 1}), retention=1)


def test_dependency_is_no_argument() -> None:
    """What a dependency fills does not travel."""

    def handler(n: int, db: object = Depends(lambda: None)) -> None: ...

    assert b'{"n":1}' == Router().add_task("t", handler).task(n=1).payload


def test_payload_is_plain_json() -> None:
    """Any program can read it."""
    task = Router().add_task("t", send).task(user_id=1, template="\u00e9")

    assert {"user_id": 1, "template": "\u00e9"} == json.loads(task.payload)
