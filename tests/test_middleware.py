"""What runs around handlers: middleware, and routers within routers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from headrace._context import TaskContext, current_context, set_current_context
from headrace._errors import HandlerNotFoundError, InvalidOptionError, TaskArgumentsError
from headrace._router import CallNext, Router
from headrace._task import Task
from tests.support.handlers import answer, answering, dispatch, ignore, make_context

# --- Middleware ------------------------------------------------------------------------------


def recording(router: Router, log: list[str], *names: str) -> None:
    """Register a middleware for each of *names* that logs its entry and its exit."""
    for name in names:

        async def layer(task: Task, call_next: CallNext, name: str = name) -> object:
            log.append(f"+{name}")
            try:
                return await call_next(task)
            finally:
                log.append(f"-{name}")

        router.middleware(layer)


async def test_first_middleware_is_the_outermost() -> None:
    """The order of registration is the order of entry, whenever handlers are registered."""
    log: list[str] = []
    router = Router()
    recording(router, log, "a")
    answering(router, "x")
    recording(router, log, "b")

    assert b"x" == await answer(router, "x")
    assert ["+a", "+b", "-b", "-a"] == log


async def test_middleware_registered_after_use_counts() -> None:
    """What was looked up before is composed again."""
    log: list[str] = []
    router = answering(Router(), "x")
    await answer(router, "x")

    recording(router, log, "late")
    await answer(router, "x")

    assert ["+late", "-late"] == log


async def test_middleware_sees_and_replaces_the_value() -> None:
    """It gets the handler's value, not its bytes, and what it returns takes its place."""
    router = Router()
    router.add_task("t", lambda: {"rows": 1})

    @router.middleware
    async def add(task: Task, call_next: CallNext) -> object:
        value: Any = await call_next(task)
        return {**value, "type": task.type}

    assert b'{"rows":1,"type":"t"}' == await answer(router, "t")


async def test_middleware_may_pass_another_task() -> None:
    """The handler stays; what it gets changes."""
    router = Router()

    @router.task("t")
    async def double(n: int) -> int:
        return n * 2

    @router.middleware
    async def unpack(task: Task, call_next: CallNext) -> object:
        return await call_next(Task(task.type, {"n": int(task.payload)}))

    assert b"42" == await dispatch(router, Task("t", b"21"), retention=1)


async def test_middleware_may_skip_the_handler() -> None:
    """Without call_next nothing further runs."""
    router = Router()
    router.add_task("t", lambda: pytest.fail("ran"))

    @router.middleware
    async def stop(_task: Task, _call_next: CallNext) -> str:
        return "skipped"

    assert b'"skipped"' == await answer(router, "t")


async def test_middleware_sees_every_error() -> None:
    """Those of arguments and of unknown types too, so that all can be counted."""
    seen: list[type[BaseException]] = []
    router = Router()
    router.add_task("t", lambda n: 1 / n)

    @router.middleware
    async def count(task: Task, call_next: CallNext) -> object:
        try:
            return await call_next(task)
        except Exception as error:
            seen.append(type(error))
            raise

    for task, error in (
        (Task("t", {"n": 0}), ZeroDivisionError),
        (Task("t", {}), TaskArgumentsError),
        (Task("u"), HandlerNotFoundError),
    ):
        with pytest.raises(error):
            await dispatch(router, task)
    assert [ZeroDivisionError, TaskArgumentsError, HandlerNotFoundError] == seen


async def test_middleware_may_call_next_again() -> None:
    """A middleware may repeat what failed."""
    calls: list[int] = []
    router = Router()

    @router.task("t")
    async def flaky() -> int:
        calls.append(1)
        if len(calls) < 2:
            raise ConnectionError
        return len(calls)

    @router.middleware
    async def repeat(task: Task, call_next: CallNext) -> object:
        try:
            return await call_next(task)
        except ConnectionError:
            return await asyncio.wait_for(call_next(task), 60)

    assert b"2" == await answer(router, "t")


async def test_context_reaches_the_handler_through_middleware() -> None:
    """Each run gets its own, also where runs overlap."""
    router = Router()
    recording(router, [], "a", "b")
    both = asyncio.Barrier(2)

    @router.task("t")
    async def handler(ctx: TaskContext) -> bool:
        await both.wait()
        return ctx is current_context()

    async def run() -> bytes | None:
        context = make_context(retention=1)
        set_current_context(context)
        return await router.resolve("t")(Task("t"), context)

    assert [b"true", b"true"] == list(await asyncio.gather(run(), run()))


class Counter:
    """A middleware with a memory."""

    def __init__(self) -> None:
        self.count = 0

    async def __call__(self, task: Task, call_next: CallNext) -> object:
        """Count."""
        self.count += 1
        return await call_next(task)


async def test_object_may_be_a_middleware() -> None:
    """Whatever is called like a coroutine function."""
    router = answering(Router(), "x")
    counter = router.middleware(Counter())

    await answer(router, "x")

    assert 1 == counter.count


def test_unusable_middleware_is_refused() -> None:
    """It must be a coroutine function of two parameters."""

    def plain(task: Task, call_next: CallNext) -> None: ...
    async def narrow(task: Task) -> None: ...
    async def broad(task: Task, call_next: CallNext, more: int) -> None: ...

    router: Any = Router()

    for function in (plain, narrow, broad, None, 3):
        with pytest.raises(InvalidOptionError, match="middleware"):
            router.middleware(function)


# --- Routers within routers ------------------------------------------------------------------


async def test_included_handlers_run_within_both_middlewares() -> None:
    """The including router's middleware is around the included one's, for its handlers only."""
    log: list[str] = []
    inner, middle, outer = Router(), Router(), Router()
    for router, name in ((inner, "inner"), (middle, "middle"), (outer, "outer")):
        recording(router, log, name)
        answering(router, f"{name}:")
    middle.include(inner)
    outer.include(middle)

    assert b"inner:" == await answer(outer, "inner:x")
    assert ["+outer", "+middle", "+inner", "-inner", "-middle", "-outer"] == log
    log.clear()
    assert b"outer:" == await answer(outer, "outer:x")
    assert ["+outer", "-outer"] == log


async def test_included_tasks_and_not_found_handler_are_taken_over() -> None:
    """Everything that is registered comes along."""

    async def rest(task: Task) -> bytes:
        return b"rest"

    inner, outer = Router(), Router()
    task = inner.add_task("email", lambda: b"sent")
    inner.not_found(rest)
    outer.include(inner)

    assert {"email": task} == outer.tasks
    assert b"sent" == await answer(outer, "email")
    assert b"rest" == await answer(outer, "unknown")


def test_included_duplicates_are_refused() -> None:
    """Nothing is taken over then."""
    inner = answering(Router(), "a", "b")
    outer = answering(Router(), "b")

    with pytest.raises(InvalidOptionError, match="is registered for it already"):
        outer.include(inner)
    assert ("b",) == outer.patterns
    inner.add_handler("c", ignore)


def test_two_not_found_handlers_are_refused() -> None:
    """An included one does not replace that of the including router."""
    inner, outer = Router(), Router()
    for router in (inner, outer):
        router.not_found(ignore)

    with pytest.raises(InvalidOptionError, match="not_found"):
        outer.include(inner)


def test_included_router_is_closed() -> None:
    """What would be registered with it later would be lost in silence."""
    inner, outer = Router(), Router()
    outer.include(inner)

    for register in (
        lambda: inner.add_task("t", lambda: None),
        lambda: inner.add_handler("t", ignore),
        lambda: inner.not_found(ignore),
        lambda: inner.middleware(Counter()),
        lambda: inner.include(Router()),
    ):
        with pytest.raises(InvalidOptionError, match="another router has included it"):
            register()


def test_router_cannot_include_itself_or_another_thing() -> None:
    """Only another router."""
    router: Any = Router()

    for other in (router, None, ignore):
        with pytest.raises(InvalidOptionError, match="another Router is needed"):
            router.include(other)
