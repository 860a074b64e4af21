"""How dependencies that yield are cleaned up, however the handler ended."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest

from headrace._depends import Depends
from headrace._router import Router
from headrace._task import Task
from tests.support.handlers import dispatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator


async def run(router: Router, **arguments: object) -> bytes | None:
    """Run the task "t" with *arguments*."""
    return await dispatch(router, Task("t", arguments), retention=1)


class Log(list[str]):
    """Dependencies that log how they end."""

    async def asynchronous(self) -> AsyncIterator[None]:
        """Log from an asynchronous generator, which takes its time."""
        with self._logged("async"):
            try:
                yield
            finally:
                await anyio.lowlevel.checkpoint()  # Raises in a cancelled scope.
                self.append("async cleans up")

    def threaded(self) -> Iterator[None]:
        """Log from a generator."""
        with self._logged("thread"):
            yield

    @contextlib.contextmanager
    def _logged(self, name: str) -> Iterator[None]:
        self.append(f"{name} begins")
        try:
            yield
        except BaseException as error:
            self.append(f"{name} sees {type(error).__name__}")
            raise
        else:
            self.append(f"{name} ends")


def logged_router(log: Log, body: Callable[[], Any]) -> Router:
    """Return a router whose task "t" runs *body* within both kinds of generators."""
    router = Router()

    @router.task("t")
    async def handler(
        one: None = Depends(log.asynchronous), two: None = Depends(log.threaded)
    ) -> None:
        log.append("handler")
        await body()

    return router


async def test_cleanup_follows_the_handler_in_reverse() -> None:
    """What was entered last is left first, once the handler has returned."""
    log = Log()

    await run(logged_router(log, lambda: asyncio.sleep(0)))

    assert [
        *("async begins", "thread begins", "handler"),
        *("thread ends", "async cleans up", "async ends"),
    ] == log


async def test_cleanup_sees_the_error() -> None:
    """A transaction can be rolled back."""
    log = Log()

    async def fail() -> None:
        raise KeyError

    with pytest.raises(KeyError):
        await run(logged_router(log, fail))
    assert ["thread sees KeyError", "async cleans up", "async sees KeyError"] == log[-3:]


async def cancel_task(call: Callable[[], Any], running: asyncio.Event) -> None:
    """Cancel *call* as asyncio does."""
    task = asyncio.ensure_future(call())
    await running.wait()
    task.cancel()
    await task


async def cancel_scope(call: Callable[[], Any], running: asyncio.Event) -> None:
    """Cancel *call* as anyio does."""
    async with anyio.create_task_group() as group:
        group.start_soon(call)
        await running.wait()
        group.cancel_scope.cancel()
    raise asyncio.CancelledError


async def time_out(call: Callable[[], Any], running: asyncio.Event) -> None:
    """Let the time of *call* run out."""
    async with asyncio.timeout(None) as timeout:

        async def expire() -> None:
            await running.wait()
            timeout.reschedule(0)

        expiry = asyncio.create_task(expire())
        await call()
    await expiry


@pytest.mark.parametrize("cancel", [cancel_task, cancel_scope, time_out])
async def test_cleanup_runs_on_cancellation(cancel: Callable[..., Any]) -> None:
    """A cancelled handler is cleaned up at once, in full, and by the same rules."""
    log = Log()
    running = asyncio.Event()

    async def hang() -> None:
        running.set()
        await asyncio.Event().wait()

    router = logged_router(log, hang)

    with pytest.raises((asyncio.CancelledError, TimeoutError)):
        await cancel(functools.partial(run, router), running)
    assert [
        *("thread sees CancelledError", "async cleans up", "async sees CancelledError"),
    ] == log[-3:]


async def test_cleanup_runs_when_cancelled_while_entering() -> None:
    """A thread that enters cannot be stopped; what it entered is left again."""
    log: list[str] = []
    loop = asyncio.get_running_loop()
    entering, go_on = asyncio.Event(), threading.Event()

    def slow() -> Iterator[None]:
        loop.call_soon_threadsafe(entering.set)
        go_on.wait(10)
        log.append("entered")
        try:
            yield
        finally:
            log.append("left")

    router = Router()

    @router.task("t")
    async def handler(it: None = Depends(slow)) -> None:
        log.append("handler")

    task = asyncio.create_task(run(router))
    await entering.wait()
    task.cancel()
    loop.call_soon(go_on.set)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ["entered", "left"] == log


async def test_cleanup_runs_although_cancelled_before_a_thread_is_free() -> None:
    """A cleanup that waits for a thread is not lost to a cancellation."""
    log: list[str] = []
    loop = asyncio.get_running_loop()
    entered, blocked, finish = asyncio.Event(), asyncio.Event(), asyncio.Event()
    release = threading.Event()

    def resource() -> Iterator[None]:
        yield
        log.append("left")

    router = Router()

    @router.task("t")
    async def handler(it: None = Depends(resource)) -> None:
        entered.set()
        await finish.wait()

    @router.task("block")
    def block() -> None:
        loop.call_soon_threadsafe(blocked.set)
        release.wait(10)

    bound = router.bind(concurrency=1)
    task = asyncio.create_task(dispatch(bound, Task("t")))
    await entered.wait()
    blocker = asyncio.create_task(dispatch(bound, Task("block")))
    await blocked.wait()
    finish.set()
    await anyio.wait_all_tasks_blocked()
    task.cancel()
    await anyio.wait_all_tasks_blocked()
    assert [] == log

    release.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    await blocker
    assert ["left"] == log


async def test_error_of_a_cleanup_is_the_tasks() -> None:
    """A commit that fails is a failure, although the handler returned."""

    async def transaction() -> AsyncIterator[None]:
        yield
        raise ConnectionError("no commit")

    router = Router()

    @router.task("t")
    async def handler(it: None = Depends(transaction)) -> None: ...

    with pytest.raises(ConnectionError, match="no commit"):
        await run(router)


async def test_dependency_cannot_turn_failure_into_success() -> None:
    """An error that a dependency swallows is raised all the same."""

    async def swallow() -> AsyncIterator[None]:
        with contextlib.suppress(KeyError):
            yield

    def swallow_in_thread() -> Iterator[None]:
        with contextlib.suppress(KeyError):
            yield

    for dependency in (swallow, swallow_in_thread):
        router = Router()

        @router.task("t")
        async def handler(it: None = Depends(dependency)) -> None:
            raise KeyError("k")

        with pytest.raises(KeyError, match="k"):
            await run(router)


async def test_dependency_may_replace_the_error() -> None:
    """It may say better what went wrong."""

    async def translate() -> AsyncIterator[None]:
        try:
            yield
        except KeyError as error:
            raise LookupError("translated") from error

    router = Router()

    @router.task("t")
    async def handler(it: None = Depends(translate)) -> None:
        raise KeyError("k")

    with pytest.raises(LookupError, match="translated"):
        await run(router)


async def test_failed_dependency_cleans_up_those_before_it() -> None:
    """The handler does not run, and what was entered is left."""
    log = Log()

    async def broken() -> None:
        raise ConnectionError

    router = Router()

    @router.task("t")
    async def handler(one: None = Depends(log.threaded), two: None = Depends(broken)) -> None:
        log.append("handler")

    with pytest.raises(ConnectionError):
        await run(router)
    assert ["thread begins", "thread sees ConnectionError"] == log
