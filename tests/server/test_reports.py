"""What a server tells: error handler, health check, log, server list."""

from __future__ import annotations

import asyncio
import logging

import pytest

from headrace import (
    BrokerError,
    Client,
    RevokeTask,
    Server,
    SkipRetry,
    Snooze,
    Task,
    TaskState,
)
from headrace._proto import asynq_pb2 as pb
from tests.server.helpers import Gate, Watch, job, serving


async def failing(task: Task) -> None:
    """Fail."""
    raise ValueError("no")


# --- The error handler -----------------------------------------------------------------------


async def test_error_handler_gets_task_and_error(
    broker_url: str, client: Client, watch: Watch
) -> None:
    """The error handler is called for every failed attempt, with the task and its error."""
    calls: list[tuple[bytes, str]] = []
    async with serving(
        broker_url,
        failing,
        state_prober=watch.prober,
        error_handler=lambda task, error: calls.append((task.payload, str(error))),
    ):
        info = await client.enqueue(job("x"))
        await watch.until(info, TaskState.RETRY)

    assert [(b"x", "no")] == calls


async def test_error_handler_may_be_a_coroutine_function(
    broker_url: str, client: Client, watch: Watch
) -> None:
    """An async error handler is awaited before the task's end is written."""
    order: list[str] = []

    async def report(task: Task, error: BaseException) -> None:
        await asyncio.sleep(0)
        order.append("reported")
        order.append(str((await client.get_task(info.id)).state))

    async with serving(broker_url, failing, state_prober=watch.prober, error_handler=report):
        info = await client.enqueue(job("x"))
        await watch.until(info, TaskState.RETRY)

    assert ["reported", "active"] == order


@pytest.mark.parametrize("is_async", [False, True])
async def test_broken_error_handler_is_logged(
    memory_url: str, watch: Watch, caplog: pytest.LogCaptureFixture, *, is_async: bool
) -> None:
    """An error handler that fails changes nothing for the task."""

    async def broken_async(task: Task, error: BaseException) -> None:
        raise KeyError("async")

    def broken(task: Task, error: BaseException) -> None:
        raise KeyError("sync")

    async with (
        Client(memory_url) as client,
        serving(
            memory_url,
            failing,
            state_prober=watch.prober,
            error_handler=broken_async if is_async else broken,
        ),
    ):
        info = await client.enqueue(job("x"))
        await watch.until(info, TaskState.RETRY)
        assert "ValueError: no" in (await client.get_task(info.id)).last_error

    assert any("error handler failed" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("error", [Snooze(100), RevokeTask()])
async def test_what_is_no_failure_is_not_reported(
    memory_url: str, watch: Watch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    """A handler that snoozes, or drops its task, has not failed."""
    calls: list[BaseException] = []

    async def handler(task: Task) -> None:
        raise error

    async with (
        Client(memory_url) as client,
        serving(
            memory_url,
            handler,
            state_prober=watch.prober,
            error_handler=lambda _, error: calls.append(error),
        ),
    ):
        info = await client.enqueue(job("x"))
        state = TaskState.RETRY if isinstance(error, Snooze) else TaskState.COMPLETED
        await watch.until(info, state)

    assert [] == calls
    assert [] == [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_skipped_retry_is_reported(memory_url: str, watch: Watch) -> None:
    """SkipRetry is a failure: the error handler hears of it."""
    calls: list[BaseException] = []

    async def handler(task: Task) -> None:
        raise SkipRetry("bad")

    async with (
        Client(memory_url) as client,
        serving(
            memory_url,
            handler,
            state_prober=watch.prober,
            error_handler=lambda _, error: calls.append(error),
        ),
    ):
        info = await client.enqueue(job("x"))
        await watch.until(info, TaskState.ARCHIVED)

    assert ["bad"] == [str(error) for error in calls]


# --- The health check ------------------------------------------------------------------------


async def test_health_check_is_called_again_and_again(broker_url: str) -> None:
    """The health check gets None as long as Redis answers."""
    calls: list[BaseException | None] = []
    often = asyncio.Event()

    async def check(error: BaseException | None) -> None:
        calls.append(error)
        if len(calls) == 3:
            often.set()

    async with serving(broker_url, Gate(), health_check=check, health_check_interval=0.01):
        await often.wait()

    assert [None] * 3 == calls[:3]


async def test_health_check_hears_of_failures(memory_url: str) -> None:
    """The health check gets the error while Redis does not answer, and None after that."""
    calls: list[BaseException | None] = []
    changed = asyncio.Event()

    def check(error: BaseException | None) -> None:
        calls.append(error)
        changed.set()

    async def until(kind: type) -> None:
        async with asyncio.timeout(60):
            while not calls or type(calls[-1]) is not kind:
                changed.clear()
                await changed.wait()

    server = Server(memory_url, Gate(), health_check=check, health_check_interval=0.01)
    async with server:
        await until(type(None))
        ping = server._broker.ping

        async def fail() -> None:
            raise BrokerError("gone")

        server._broker.ping = fail  # type: ignore[method-assign]
        await until(BrokerError)
        server._broker.ping = ping  # type: ignore[method-assign]
        await until(type(None))


# --- The server's own state ------------------------------------------------------------------


async def test_server_shows_itself(broker_url: str, client: Client, gate: Gate) -> None:
    """While it runs, a server's state and its tasks lie in Redis, as asynq's tools read them."""
    commands = client._broker._link.commands
    async with serving(
        broker_url,
        gate,
        concurrency=3,
        queues={"default": 2},
        heartbeat_interval=0.05,
        lease_duration=5,
    ):
        info = await client.enqueue(job("x"))
        await gate.until_entered(1)
        async with asyncio.timeout(60):
            while True:
                [key] = await commands.one(("ZRANGE", "asynq:servers", 0, -1)) or [b""]
                raw = await commands.one(("GET", key)) if key else None
                if raw and pb.ServerInfo.FromString(raw).active_worker_count == 1:
                    break
                await asyncio.sleep(0.01)
        shown = pb.ServerInfo.FromString(raw)
        [workers] = await commands.one(("ZRANGE", "asynq:workers", 0, -1))
        worker = pb.WorkerInfo.FromString(await commands.one(("HGET", workers, info.id)))
        gate.open()
    left = [
        await commands.one(("ZCARD", "asynq:servers")),
        await commands.one(("ZCARD", "asynq:workers")),
        await commands.one(("EXISTS", key)),
        await commands.one(("EXISTS", workers)),
    ]

    assert (3, {"default": 2}, "active") == (shown.concurrency, dict(shown.queues), shown.status)
    assert (info.id, "t", b"x", "default") == (
        worker.task_id,
        worker.task_type,
        worker.task_payload,
        worker.queue,
    )
    assert [0, 0, 0, 0] == left


async def test_log_line_of_a_failure_has_fields(
    memory_url: str, watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    """A failed attempt is one line that carries the task's ID, type and queue as fields."""
    async with (
        Client(memory_url) as client,
        serving(memory_url, failing, state_prober=watch.prober),
    ):
        info = await client.enqueue(job("secret payload"))
        await watch.until(info, TaskState.RETRY)

    [record] = [one for one in caplog.records if "failed at attempt 1 of 26" in one.getMessage()]
    assert (info.id, "t", "default") == (
        record.__dict__["task_id"],
        record.__dict__["task_type"],
        record.__dict__["queue"],
    )
    assert "secret payload" not in caplog.text


async def test_log_level_is_set() -> None:
    """log_level sets the level of Headrace's logger; without it, nothing is touched."""
    logger = logging.getLogger("headrace")
    before = logger.level
    try:
        Server("memory://log-level", failing)
        assert before == logger.level
        Server("memory://log-level", failing, log_level="debug")
        assert logging.DEBUG == logger.level
    finally:
        logger.setLevel(before)
