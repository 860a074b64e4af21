"""Handlers in threads: those defined with `def`."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import anyio
import anyio.from_thread
import pytest

from headrace import _offload
from headrace._context import TaskContext, current_context, set_current_context
from headrace._errors import SkipRetry
from headrace._router import Router
from headrace._task import Task
from tests.support.handlers import dispatch, make_context


async def test_def_handler_runs_in_a_thread() -> None:
    """It does not hold up the event loop."""
    router = Router()
    loop = asyncio.get_running_loop()
    called = asyncio.Event()
    release = threading.Event()

    @router.task("t")
    def wait() -> int:
        loop.call_soon_threadsafe(called.set)
        assert release.wait(10)
        return threading.get_ident()

    task = asyncio.create_task(dispatch(router, Task("t"), retention=1))
    await called.wait()  # The loop goes on.
    release.set()

    assert str(threading.get_ident()).encode() != await task


async def test_thread_sees_the_context() -> None:
    """Context variables, the current context, and a way to call back into the loop."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    router = Router()
    written: list[bytes] = []

    @router.task("t")
    def handler(ctx: TaskContext) -> object:
        anyio.from_thread.run(ctx.write_result, b"half")
        return [variable.get(), ctx is current_context()]

    async def annotate(_field: str, value: bytes) -> None:
        written.append(value)

    context = make_context(retention=1)
    context._annotate = annotate
    set_current_context(context)
    variable.set("seen")

    assert b'["seen",true]' == await router.resolve("t")(Task("t"), context)
    assert [b"half"] == written


async def test_threads_are_limited_by_the_concurrency() -> None:
    """A server runs no more threads than it has slots, whatever anyio's default."""
    router = Router()
    gate = threading.Barrier(41)  # One more than anyio's default would run.

    @router.task("t")
    def together() -> None:
        gate.wait(10)

    bound = router.bind(concurrency=41)
    await asyncio.gather(*(dispatch(bound, Task("t")) for _ in range(41)))

    assert 41 == gate.parties


async def test_error_in_a_thread_is_raised() -> None:
    """As it is, StopIteration included, which no coroutine can raise."""
    router = Router()

    @router.task("t")
    def fail(kind: str) -> None:
        raise {"skip": SkipRetry("no"), "stop": StopIteration()}[kind]

    with pytest.raises(SkipRetry, match="no"):
        await dispatch(router, Task("t", {"kind": "skip"}))
    with pytest.raises(RuntimeError, match="StopIteration"):
        await dispatch(router, Task("t", {"kind": "stop"}))


class Blocked:
    """A handler that stays in its thread until it is released."""

    def __init__(self) -> None:
        self.router = Router()
        self.running = asyncio.Event()
        self.release = threading.Event()
        self.ended = False
        self._loop = asyncio.get_running_loop()
        self.router.add_task("t", self.handler)

    def handler(self) -> None:
        """Wait."""
        self._loop.call_soon_threadsafe(self.running.set)
        assert self.release.wait(10)
        self.ended = True

    async def run(self) -> None:
        """Run the handler as a server would."""
        await dispatch(self.router, Task("t"))


async def test_cancelled_thread_is_waited_for() -> None:
    """The task counts as running until its thread has ended, however often it is cancelled."""
    blocked = Blocked()
    task = asyncio.create_task(blocked.run())
    await blocked.running.wait()

    for _ in range(3):
        task.cancel()
        await anyio.wait_all_tasks_blocked()
        assert not task.done()
    blocked.release.set()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert blocked.ended


async def test_thread_is_waited_for_after_a_timeout() -> None:
    """The timeout is raised once the thread has ended."""
    blocked = Blocked()
    timeout = asyncio.timeout(None)

    async def expire() -> None:
        await blocked.running.wait()
        timeout.reschedule(0)
        while not timeout.expired():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0)
        await anyio.wait_all_tasks_blocked()
        assert not blocked.ended
        blocked.release.set()

    async def run() -> None:
        async with timeout:
            await blocked.run()

    expiry = asyncio.create_task(expire())
    with pytest.raises(TimeoutError):
        await run()
    await expiry
    assert blocked.ended


async def test_thread_is_waited_for_in_a_cancelled_scope() -> None:
    """The cancellation of anyio, which comes again and again, does not spin either."""
    blocked = Blocked()

    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(blocked.run)
            await blocked.running.wait()
            scope.cancel()
            blocked.release.set()

    assert scope.cancelled_caught
    assert blocked.ended


async def test_cancelled_before_its_thread_never_runs() -> None:
    """A task that waits for a thread ends at once when it is cancelled."""
    blocked = Blocked()
    bound = blocked.router.bind(concurrency=1)
    first = asyncio.create_task(dispatch(bound, Task("t")))
    await blocked.running.wait()
    second = asyncio.create_task(dispatch(bound, Task("t")))
    await anyio.wait_all_tasks_blocked()

    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    assert not blocked.ended
    blocked.release.set()
    await first


async def test_abandoned_call_does_not_begin() -> None:
    """A thread that comes to a call after its task has gone leaves it alone."""
    job = _offload._ThreadJob(lambda: pytest.fail("ran"))
    await job.ended()

    with pytest.raises(asyncio.CancelledError):
        job.run()
