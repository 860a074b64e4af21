"""Where handlers run, and what they find there."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

from headrace import (
    Client,
    Depends,
    InvalidOptionError,
    Router,
    Server,
    Task,
    TaskContext,
    TaskFailedError,
    TaskState,
    current_context,
)
from tests.server.helpers import Watch, job, serving
from tests.support.cpu_handlers import cpu_router

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

who: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")


async def test_def_handlers_run_in_threads(broker_url: str, client: Client) -> None:
    """Handlers without async run beside the event loop, and beside each other."""
    together = threading.Barrier(3)
    threads: set[int] = set()

    def handler(task: Task) -> None:
        together.wait(timeout=60)
        threads.add(threading.get_ident())

    async with serving(broker_url, handler, concurrency=3):
        infos = await client.enqueue_many([Task("t")] * 3, retention=60)
        for info in infos:
            await client.result(info, timeout=60)

    assert 3 == len(threads)
    assert threading.get_ident() not in threads


async def test_threads_do_not_exceed_the_concurrency(broker_url: str, client: Client) -> None:
    """Threads are as many as slots, even beyond anyio's usual 40."""
    together = threading.Barrier(45)

    def handler(task: Task) -> None:
        together.wait(timeout=60)

    async with serving(broker_url, handler, concurrency=45):
        infos = await client.enqueue_many([Task("t")] * 45, retention=60)
        for info in infos:
            await client.result(info, timeout=60)


async def test_overdue_thread_keeps_its_slot(broker_url: str, client: Client, watch: Watch) -> None:
    """Nothing stops a thread: beyond its timeout its slot is taken, and what it did counts."""
    entered, proceed = threading.Event(), threading.Event()
    order: list[str] = []

    def handler(task: Task) -> None:
        order.append(task.payload.decode())
        entered.set()
        assert proceed.wait(timeout=60)

    async with serving(
        broker_url, handler, concurrency=1, state_prober=watch.prober, heartbeat_interval=0.1
    ):
        first = await client.enqueue(job("first"), timeout=1)
        await client.enqueue(job("second"))
        await asyncio.to_thread(entered.wait)
        await asyncio.sleep(1.2)  # Let the timeout pass: there is no event for it.
        assert TaskState.ACTIVE == (await client.get_task(first.id)).state
        assert ["first"] == order
        proceed.set()
        await watch.ended(2)

    assert ["first", "second"] == order


async def test_cpu_handlers_run_in_processes(redis_url: str) -> None:
    """Typed tasks with cpu=True run in a process of their own; values come back."""
    async with Client(redis_url) as client, serving(redis_url, cpu_router):
        info = await client.enqueue(
            Task("cpu:area", {"size": {"width": 6, "height": 7}}), retention=60
        )
        result = await client.result(info, timeout=60)

    assert isinstance(result, dict)
    assert 42 == result["area"]
    assert os.getpid() != result["pid"]


async def test_cpu_handler_that_dies_is_a_failure(redis_url: str, watch: Watch) -> None:
    """A process that is killed is a failed attempt that says so, not a crash of the worker."""
    async with (
        Client(redis_url) as client,
        serving(redis_url, cpu_router, state_prober=watch.prober),
    ):
        info = await client.enqueue(Task("cpu:die"), max_retry=0, retention=60)
        with pytest.raises(TaskFailedError, match="died"):
            await client.result(info, timeout=60)


async def test_timeout_kills_the_process(redis_url: str, watch: Watch, tmp_path: Path) -> None:
    """A cpu=True handler that exceeds its timeout is killed, unlike a thread."""
    path = tmp_path / "pid"
    async with (
        Client(redis_url) as client,
        serving(redis_url, cpu_router, state_prober=watch.prober),
    ):
        # A process that waits for work: to start one takes a while.
        warm = await client.enqueue(Task("cpu:area", {"size": {"width": 1, "height": 1}}))
        await watch.until(warm, TaskState.COMPLETED)
        info = await client.enqueue(Task("cpu:endless", {"path": str(path)}), timeout=1)
        await watch.until(info, TaskState.RETRY)
        report = await client.get_task(info.id)
    pid = int(path.read_text())

    assert "timeout of 1 s exceeded" in report.last_error
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


# --- What a handler finds --------------------------------------------------------------------


async def test_context_tells_of_the_task(broker_url: str, client: Client) -> None:
    """The context knows the task; current_context() is the same one."""
    seen: dict[str, object] = {}
    done = asyncio.Event()

    async def handler(task: Task, context: TaskContext) -> None:
        seen.update(
            id=context.task_id,
            type=context.type,
            queue=context.queue,
            attempt=context.attempt,
            retry_count=context.retry_count,
            max_retry=context.max_retry,
            headers=dict(context.headers),
            same=current_context() is context,
        )
        done.set()

    async with serving(broker_url, handler, queues={"mine": 1}):
        info = await client.enqueue(
            Task("t", headers={"a": "b"}), queue="mine", max_retry=7, headers={"c": "d"}
        )
        await done.wait()

    assert seen == {
        "id": info.id,
        "type": "t",
        "queue": "mine",
        "attempt": 1,
        "retry_count": 0,
        "max_retry": 7,
        "headers": {"a": "b", "c": "d"},
        "same": True,
    }


async def test_no_context_outside_of_handlers() -> None:
    """current_context() explains itself where no handler runs."""
    with pytest.raises(LookupError, match="No handler is running here"):
        current_context()


async def test_context_reaches_threads_and_dependencies(broker_url: str, client: Client) -> None:
    """Threads and dependencies see the context of their own task."""
    router = Router()

    def task_id() -> str:
        return current_context().task_id

    @router.task("t", retention=60)
    def typed(found: str = Depends(task_id)) -> list[str]:
        return [found, current_context().task_id]

    async with serving(broker_url, router):
        infos = await client.enqueue_many([typed.task() for _ in range(5)])
        for info in infos:
            assert [info.id, info.id] == await client.result(info, timeout=60)


async def test_handlers_run_in_copies_of_the_base_context(broker_url: str, client: Client) -> None:
    """base_context gives the context variables; what a handler sets, no other sees."""
    base = contextvars.copy_context()
    base.run(who.set, "the base")
    who.set("the starter")

    async def handler(task: Task) -> str:
        found = who.get()
        who.set(f"changed by {task.payload.decode()}")
        return found

    async with serving(broker_url, handler, base_context=lambda: base, concurrency=1):
        infos = await client.enqueue_many([job("a"), job("b")], retention=60)
        found = [await client.result(info, timeout=60) for info in infos]

    assert ["the base", "the base"] == found
    assert "the base" == base[who]


async def test_without_base_context_the_starters_counts(broker_url: str, client: Client) -> None:
    """By default handlers find the context variables of whoever started the server."""
    who.set("the starter")

    async def handler(task: Task) -> str:
        found = who.get()
        who.set("changed")
        return found

    async with serving(broker_url, handler, concurrency=1):
        infos = await client.enqueue_many([job("a"), job("b")], retention=60)
        found = [await client.result(info, timeout=60) for info in infos]

    assert ["the starter", "the starter"] == found


async def test_lifespan_surrounds_everything(broker_url: str, client: Client) -> None:
    """What lifespan yields is the context's state; it is left after the last handler."""
    order: list[str] = []
    entered = asyncio.Event()

    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[dict[str, str]]:
        order.append("open")
        yield {"db": "connection"}
        order.append("close")

    async def handler(task: Task, context: TaskContext) -> None:
        order.append(f"begin with {context.state}")
        entered.set()
        await asyncio.sleep(0.05)  # The shutdown is to come meanwhile.
        order.append("end")

    async with serving(broker_url, handler, lifespan=lifespan, shutdown_timeout=5) as server:
        order.append(server.state)
        await client.enqueue(Task("t"))
        await entered.wait()

    assert ["open", "active", "begin with {'db': 'connection'}", "end", "close"] == order


async def test_lifespan_is_left_after_interrupted_handlers(broker_url: str, client: Client) -> None:
    """Also handlers that are interrupted at shutdown find the state open to the end."""
    order: list[str] = []
    entered = asyncio.Event()

    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        yield
        order.append("close")

    async def handler(task: Task) -> None:
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            order.append("cleanup")

    async with serving(broker_url, handler, lifespan=lifespan, shutdown_timeout=0):
        await client.enqueue(Task("t"))
        await entered.wait()

    assert ["cleanup", "close"] == order


async def test_lifespan_that_fails_refuses_the_start(broker_url: str) -> None:
    """What lifespan raises before it yields, start raises."""

    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        if broker_url:
            raise FileNotFoundError("no such database")
        yield

    async def handler(task: Task) -> None:
        pass

    server = Server(broker_url, handler, lifespan=lifespan)
    with pytest.raises(FileNotFoundError):
        await server.start()

    assert "closed" == server.state


async def test_lifespan_that_fails_at_the_end_is_told(broker_url: str) -> None:
    """What lifespan raises when it is left, shutdown raises, once everything has ended."""

    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        yield
        raise OSError("could not close")

    async def handler(task: Task) -> None:
        pass

    server = Server(broker_url, handler, lifespan=lifespan)
    await server.start()
    with pytest.raises(OSError, match="could not close"):
        await server.shutdown()

    assert "closed" == server.state


async def test_bad_progress_is_refused(broker_url: str, client: Client) -> None:
    """Progress beyond 0 to 1, or a result that is no bytes, is an error in the handler."""
    errors: list[str] = []
    done = asyncio.Event()

    async def handler(task: Task, context: TaskContext) -> None:
        for fraction in (-0.1, 1.1, float("nan")):
            with contextlib.suppress(InvalidOptionError):
                await context.progress(fraction)
                errors.append(f"{fraction} was accepted")
        with contextlib.suppress(InvalidOptionError):
            await context.write_result("text")  # type: ignore[arg-type]  # That is it.
            errors.append("text was accepted")
        done.set()

    async with serving(broker_url, handler):
        await client.enqueue(Task("t"))
        await done.wait()

    assert [] == errors


async def test_clock_of_the_machine_does_not_matter(broker_url: str, client: Client) -> None:
    """Limits go by Redis's clock: a machine whose own is wrong runs tasks all the same."""

    class Wrong:
        """A clock that is ten years ahead."""

        def time(self) -> float:
            """Return the wrong time."""
            return time.time() + 10 * 365 * 86_400

    async def handler(task: Task, context: TaskContext) -> float:
        assert context.deadline is not None
        return context.deadline

    async with serving(broker_url, handler, clock=Wrong()):
        info = await client.enqueue(Task("t"), timeout=100, retention=60)
        deadline = await client.result(info, timeout=60)

    assert isinstance(deadline, float)
    assert pytest.approx(time.time() + 100, abs=10) == deadline
