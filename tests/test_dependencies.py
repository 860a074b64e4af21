"""Dependencies: what they are called with, when, and how often."""

# ruff: noqa: B008 - a handler need not use what it gets; Depends is made for defaults

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING, Annotated, Any

import fastapi
import pytest

from headrace._depends import Depends
from headrace._errors import InvalidOptionError, TaskArgumentsError
from headrace._router import Router
from headrace._task import Task
from tests.support.handlers import dispatch, make_context

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from headrace._context import TaskContext

THREAD = threading.get_ident()


async def run(router: Router, **arguments: object) -> bytes | None:
    """Run the task "t" with *arguments*."""
    return await dispatch(router, Task("t", arguments), retention=1)


async def coroutine() -> str:
    """Be a coroutine function."""
    return "value"


def function() -> str:
    """Be a function, which runs in a thread."""
    assert threading.get_ident() != THREAD
    return "value"


async def async_generator() -> AsyncIterator[str]:
    """Be an asynchronous generator function."""
    yield "value"


def generator() -> Iterator[str]:
    """Be a generator function, which runs in a thread."""
    assert threading.get_ident() != THREAD
    yield "value"
    assert threading.get_ident() != THREAD


class Callables:
    """Things that can be called, and are no functions."""

    async def coroutine(self) -> str:
        """Be a method."""
        return "value"

    async def __call__(self) -> str:
        """Be called like a function."""
        return "value"


KINDS = [
    coroutine,
    function,
    async_generator,
    generator,
    Callables().coroutine,
    Callables(),
    lambda: coroutine(),  # noqa: PLW0108 - it hides that it is a coroutine function
]


@pytest.mark.parametrize("dependency", KINDS, ids=lambda it: getattr(it, "__name__", "object"))
async def test_dependency_fills_its_parameter(dependency: Callable[..., Any]) -> None:
    """Functions and generators, asynchronous or not, by default or by annotation."""
    router = Router()

    @router.task("t")
    async def handler(
        n: int,
        one: Annotated[str, Depends(dependency)],
        two: str = Depends(dependency),
        *,
        three: str = Depends(dependency),
    ) -> object:
        return [n, one, two, three]

    assert b'[1,"value","value","value"]' == await run(router, n=1)


async def test_class_is_a_dependency() -> None:
    """Without a function named, the annotation is called."""

    class Settings:
        def __init__(self, ctx: TaskContext) -> None:
            self.task_id = ctx.task_id

    router = Router()

    @router.task("t")
    async def handler(
        one: Annotated[Settings, Depends()], two: Settings = Depends(Settings)
    ) -> object:
        return [one.task_id, one is two]

    assert b'["id",true]' == await run(router)


async def test_dependencies_serve_handlers_in_threads() -> None:
    """A `def` handler may have asynchronous dependencies."""
    router = Router()

    @router.task("t")
    def handler(value: str = Depends(async_generator)) -> object:
        return [value, threading.get_ident() != THREAD]

    assert b'["value",true]' == await run(router)


async def test_dependencies_serve_plain_handlers() -> None:
    """Beside the task a plain handler may have dependencies, which get the task too."""

    async def payload(task: Task, ctx: TaskContext) -> object:
        return [task.json(), ctx.task_id]

    router = Router()

    @router.handler("t")
    async def handler(task: Task, ctx: TaskContext, value: Any = Depends(payload)) -> object:  # noqa: ANN401
        return [task.type, ctx.task_id, value]

    assert b'["t","id",[{"n":1},"id"]]' == await run(router, n=1)


async def test_dependency_gets_arguments_by_name() -> None:
    """A dependency may want what the task carries, or its default where it does not."""

    async def greeting(user_id: int, language: str = "en") -> str:
        return f"{language} {user_id}"

    async def own_default(colour: str = "red") -> str:
        return colour

    router = Router()

    @router.task("t")
    async def handler(
        user_id: int,
        language: str = "fr",
        value: str = Depends(greeting),
        colour: str = Depends(own_default),
    ) -> object:
        return [value, colour]

    assert b'["fr 1","red"]' == await run(router, user_id="1")
    assert b'["de 1","red"]' == await run(router, user_id=1, language="de")


async def test_one_call_serves_a_run() -> None:
    """What several parameters name is called once a run, unless it asks for more."""
    calls: list[str] = []

    async def base() -> int:
        calls.append("base")
        return len(calls)

    async def left(base: int = Depends(base)) -> int:
        return base

    async def right(
        base: int = Depends(base), fresh: int = Depends(base, use_cache=False)
    ) -> list[int]:
        return [base, fresh]

    router = Router()

    @router.task("t")
    async def handler(one: object = Depends(left), two: object = Depends(right)) -> object:
        return [one, two]

    assert b"[1,[1,2]]" == await run(router)
    assert b"[3,[3,4]]" == await run(router)


async def test_arguments_are_checked_before_dependencies_run() -> None:
    """No connection is opened for a task that cannot run."""
    router = Router()

    @router.task("t")
    async def handler(n: int, value: object = Depends(lambda: pytest.fail("ran"))) -> None: ...

    with pytest.raises(TaskArgumentsError):
        await run(router, n="x")


async def test_yielding_a_coroutine_like_object_leaves_it_alone() -> None:
    """A value that can be awaited, as some clients can, is a value all the same."""

    class Client:
        def __await__(self) -> Any:  # noqa: ANN401
            raise AssertionError("awaited")

    router = Router()

    @router.task("t")
    async def handler(client: Client = Depends(Client)) -> bool:
        return isinstance(client, Client)

    assert b"true" == await run(router)


async def test_fastapi_marks_are_understood() -> None:
    """Dependencies of a FastAPI application serve its tasks as they are."""

    async def settings() -> str:
        return "settings"

    async def session(settings: Annotated[str, fastapi.Depends(settings)]) -> AsyncIterator[str]:
        yield f"session with {settings}"

    router = Router()

    @router.task("t")
    async def handler(db: Annotated[str, fastapi.Depends(session)]) -> str:
        return db

    assert b'"session with settings"' == await run(router)


# --- What cannot be a dependency -------------------------------------------------------------


def in_a_circle() -> Callable[..., Any]:
    """Return a dependency that needs itself."""

    async def first(it: object) -> None: ...
    async def second(it: object = Depends(first)) -> None: ...

    first.__annotations__["it"] = Annotated[object, Depends(second)]
    return first


async def needs_more(unknown: int) -> None:
    """Need what no task carries."""


async def needs_by_position(n: int, /) -> None:
    """Need something that cannot be given by name."""


async def unresolved(it: NotThere) -> None:  # type: ignore[name-defined] # noqa: F821
    """Need something that is not defined."""


@pytest.mark.parametrize(
    ("dependency", "reason"),
    [
        (needs_more, "needs_more needs 'unknown', which is no argument of the task"),
        (needs_by_position, "needs 'n'"),
        (in_a_circle(), "need one another: .*first -> .*second -> .*first"),
        (unresolved, "annotation `NotThere`"),
        (3, "cannot be called"),
    ],
)
def test_unusable_dependency_is_refused_at_decoration(dependency: Any, reason: str) -> None:  # noqa: ANN401
    """The error comes at import, not with the first task."""
    router = Router()

    async def typed(n: int, it: object = Depends(dependency)) -> None: ...
    async def plain(task: Task, it: object = Depends(dependency)) -> None: ...

    with pytest.raises(InvalidOptionError, match=reason):
        router.add_task("t", typed)
    with pytest.raises(InvalidOptionError, match=reason):
        router.add_handler("t", plain)
    assert ({}, ()) == (dict(router.tasks), router.patterns)


def test_two_dependencies_for_one_parameter_are_refused() -> None:
    """Which of them would count?"""

    async def handler(it: Annotated[str, Depends(coroutine)] = Depends(function)) -> None: ...

    with pytest.raises(InvalidOptionError, match="'it' has 2 dependencies"):
        Router().add_task("t", handler)


# --- Overriding ------------------------------------------------------------------------------


async def test_override_replaces_a_dependency_wherever_it_is_meant() -> None:
    """Tests put a fake in its place, with dependencies of its own, for as long as they run."""

    async def outer(value: str = Depends(coroutine)) -> str:
        return f"outer {value}"

    async def fake(ctx: TaskContext, other: str = Depends(function)) -> str:
        return f"fake {ctx.task_id} {other}"

    router = Router()

    @router.task("t")
    async def handler(one: str = Depends(outer), two: str = Depends(coroutine)) -> object:
        return [one, two]

    bound = router.bind()
    assert b'["outer value","value"]' == await dispatch(bound, Task("t"), retention=1)
    with router.override(coroutine, fake):
        assert b'["outer fake id value","fake id value"]' == await dispatch(
            bound, Task("t"), retention=1
        )
    assert b'["outer value","value"]' == await dispatch(bound, Task("t"), retention=1)


async def test_override_ends_with_an_error_too() -> None:
    """And leaves outer overrides as they were."""
    router = Router()

    @router.task("t")
    async def handler(it: int = Depends(coroutine)) -> int:
        return it

    with router.override(coroutine, lambda: 1):
        with contextlib.suppress(KeyError), router.override(coroutine, lambda: 2):
            assert b"2" == await run(router)
            raise KeyError
        assert b"1" == await run(router)
    assert b'"value"' == await run(router)


def test_unusable_override_is_refused() -> None:
    """Nothing is replaced then."""
    router = Router()

    @router.task("t")
    async def handler(it: str = Depends(coroutine)) -> None: ...

    with (
        pytest.raises(InvalidOptionError, match="needs 'unknown'"),
        router.override(coroutine, needs_more),
    ):
        pytest.fail("entered")
    router.bind().resolve("t")


async def test_concurrent_runs_have_values_of_their_own() -> None:
    """A run's dependencies are nobody else's."""
    both = asyncio.Barrier(2)

    async def context_id(ctx: TaskContext) -> int:
        await both.wait()
        return id(ctx)

    router = Router()

    @router.task("t")
    async def handler(ctx: TaskContext, it: int = Depends(context_id)) -> bool:
        return it == id(ctx)

    call = router.resolve("t")
    contexts = [make_context(retention=1) for _ in range(2)]

    assert [b"true", b"true"] == await asyncio.gather(
        *(call(Task("t"), context) for context in contexts)
    )
