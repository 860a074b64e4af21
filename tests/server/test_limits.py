"""Timeouts, deadlines, cancellation and lost leases: why a handler is stopped."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest
import redis

from headrace import (
    Client,
    HandlerTimeoutError,
    LeaseLostError,
    Server,
    SkipRetry,
    Task,
    TaskContext,
    TaskState,
)
from headrace._broker.keys import QueueKeys
from tests.server.helpers import Gate, Watch, broker_of, eventually, job, request_cancel, serving

if TYPE_CHECKING:
    from headrace import TaskInfo

KEYS = QueueKeys("default")


async def test_timeout_stops_a_handler(
    broker_url: str, client: Client, gate: Gate, watch: Watch
) -> None:
    """A handler that exceeds its timeout is cancelled, and its task is retried."""
    errors: list[BaseException] = []
    async with serving(
        broker_url,
        gate,
        state_prober=watch.prober,
        error_handler=lambda _, error: errors.append(error),
    ):
        info = await client.enqueue(job("slow"), timeout=1)
        await watch.until(info, TaskState.RETRY)

    info = await client.get_task(info.id)
    assert ["slow"] == gate.interrupted
    assert 1 == info.retried
    assert "The handler of task 't' was stopped: timeout of 1 s exceeded" == info.last_error
    assert isinstance(errors[0], HandlerTimeoutError)
    assert isinstance(errors[0], TimeoutError)


async def test_deadline_stops_a_handler(
    broker_url: str, client: Client, gate: Gate, watch: Watch
) -> None:
    """Where the deadline comes before the timeout's end, it is what stops the handler."""
    async with serving(broker_url, gate, state_prober=watch.prober):
        info = await client.enqueue(job("late"), timeout=60, deadline=time.time() + 1)
        await watch.until(info, TaskState.RETRY)

    info = await client.get_task(info.id)
    assert ["late"] == gate.interrupted
    assert "The handler of task 't' was stopped: deadline exceeded" == info.last_error


async def test_passed_deadline_runs_nothing(
    broker_url: str, client: Client, gate: Gate, watch: Watch
) -> None:
    """A task whose deadline has passed fails without running."""
    async with serving(broker_url, gate, state_prober=watch.prober):
        info = await client.enqueue(job("past"), deadline=time.time() - 5, max_retry=0)
        await watch.until(info, TaskState.ARCHIVED)

    assert [] == gate.entered
    assert "deadline exceeded" in (await client.get_task(info.id)).last_error


async def test_handler_knows_its_deadline(broker_url: str, client: Client, watch: Watch) -> None:
    """The context tells when the attempt is stopped: timeout or deadline, the earlier."""
    deadlines: list[float] = []

    async def handler(task: Task, context: TaskContext) -> None:
        assert context.deadline is not None
        deadlines.append(context.deadline)

    now = time.time()
    async with serving(broker_url, handler, concurrency=1, state_prober=watch.prober):
        await client.enqueue(Task("t"), timeout=100)
        await client.enqueue(Task("t"), timeout=100, deadline=now + 50)
        await client.enqueue(Task("t"))
        await watch.ended(3)

    assert pytest.approx([now + 100, now + 50, now + 1800], abs=5) == deadlines


async def test_work_done_at_the_last_moment_counts(
    broker_url: str, client: Client, watch: Watch
) -> None:
    """A handler that returns all the same when it is cancelled has done its work."""

    async def handler(task: Task) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return

    async with serving(broker_url, handler, state_prober=watch.prober):
        info = await client.enqueue(Task("t"), timeout=1, retention=60)
        await watch.until(info, TaskState.COMPLETED)


async def test_error_while_being_stopped_does_not_hide_the_cause(
    broker_url: str, client: Client, watch: Watch
) -> None:
    """Whatever a handler raises when it is cancelled, what is recorded is why it was."""

    async def handler(task: Task) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ConnectionError("cleanup failed")

    async with serving(broker_url, handler, state_prober=watch.prober):
        info = await client.enqueue(Task("t"), timeout=1)
        await watch.until(info, TaskState.RETRY)

    assert "timeout of 1 s exceeded" in (await client.get_task(info.id)).last_error


async def test_request_while_being_stopped_is_heard(
    broker_url: str, client: Client, watch: Watch
) -> None:
    """A handler that is stopped may still say what is to become of its task."""

    async def handler(task: Task) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise SkipRetry("enough") from None

    async with serving(broker_url, handler, state_prober=watch.prober):
        info = await client.enqueue(Task("t"), timeout=1)
        await watch.until(info, TaskState.ARCHIVED)

    assert "enough" == (await client.get_task(info.id)).last_error


# --- Cancellation on request -----------------------------------------------------------------


async def _cancelled(client: Client, watch: Watch, info: TaskInfo, gate: Gate) -> None:
    """Check that a task was cancelled on request."""
    await watch.until(info, TaskState.RETRY)
    report = await client.get_task(info.id)
    assert [info.payload.decode()] == gate.interrupted
    assert f"Task '{info.id}' (t) was cancelled on request" in report.last_error


async def test_published_id_cancels_a_task(
    broker_url: str, client: Client, gate: Gate, watch: Watch
) -> None:
    """A task is cancelled by its ID on asynq's channel, as Go's tools do it; others go on."""
    async with serving(broker_url, gate, state_prober=watch.prober):
        info = await client.enqueue(job("me"))
        await client.enqueue(job("not me"))
        await gate.until_entered(2)
        await eventually(lambda: _publish(client, info.id))  # The server may not listen yet.
        await _cancelled(client, watch, info, gate)
        gate.open()


async def _publish(client: Client, task_id: str) -> int:
    receivers = await client._broker._link.commands.one(("PUBLISH", "asynq:cancel", task_id))
    assert isinstance(receivers, int)
    return receivers


async def test_request_is_found_at_the_next_heartbeat(
    broker_url: str, client: Client, gate: Gate, watch: Watch
) -> None:
    """A request that no subscriber heard lies in the task, where the heartbeat finds it."""
    server = Server(
        broker_url,
        gate,
        state_prober=watch.prober,
        heartbeat_interval=0.1,
        lease_duration=5,
        shutdown_timeout=0,
    )
    deaf = asyncio.Event()
    server._broker.cancellations = lambda: _silence(deaf)  # type: ignore[method-assign]
    async with server:
        info = await client.enqueue(job("me"))
        await gate.until_entered(1)
        assert await request_cancel(client, info)
        await _cancelled(client, watch, info, gate)


async def _silence(deaf: asyncio.Event):  # type: ignore[no-untyped-def]  # noqa: ANN202
    await deaf.wait()
    yield ""


async def test_request_does_not_reach_the_next_attempt(
    memory_url: str, watch: Watch, gate: Gate
) -> None:
    """A cancelled attempt's request is over with it: the retry runs."""
    async with (
        Client(memory_url) as client,
        serving(
            memory_url,
            gate,
            state_prober=watch.prober,
            heartbeat_interval=0.1,
            lease_duration=5,
            retry_delay=lambda *_: 0,
        ),
    ):
        info = await client.enqueue(job("me"))
        await gate.until_entered(1)
        assert await request_cancel(client, info)
        await watch.until(info, TaskState.RETRY)
        gate.open()
        await watch.until(info, TaskState.COMPLETED)

    assert ["me"] == gate.interrupted


async def test_nobody_runs_it(client: Client) -> None:
    """A task that does not run cannot be cancelled."""
    info = await client.enqueue(job("waits"))

    assert not await request_cancel(client, info)
    assert not await client._broker.request_cancel("default", "no such task")


# --- Lost leases -----------------------------------------------------------------------------


async def _steal(client: Client, info: TaskInfo) -> None:
    """Have another worker take the task, as it may once its lease has ended."""
    commands = client._broker._link.commands
    await commands.one(("HSET", KEYS.task(info.id), "hr:attempt", "another"))


async def test_lost_lease_stops_the_handler(
    broker_url: str,
    client: Client,
    gate: Gate,
    watch: Watch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The heartbeat cancels a handler whose task another worker took; nothing is written."""
    errors: list[BaseException] = []
    async with serving(
        broker_url,
        gate,
        state_prober=watch.prober,
        heartbeat_interval=0.1,
        lease_duration=5,
        error_handler=lambda _, error: errors.append(error),
    ):
        info = await client.enqueue(job("mine"))
        await gate.until_entered(1)
        await _steal(client, info)
        await gate.until_empty()

    report = await client.get_task(info.id)
    assert ["mine"] == gate.interrupted
    assert [TaskState.ACTIVE] == [one.state for one in watch.infos]
    assert (TaskState.ACTIVE, 0, "") == (report.state, report.retried, report.last_error)
    assert [] == errors
    assert any("lease of task" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("outcome", ["return", "raise", "skip"])
async def test_end_of_a_lost_attempt_is_refused(
    broker_url: str, client: Client, outcome: str
) -> None:
    """However a handler ends whose task another worker took: nothing of it is written."""
    ended = asyncio.Event()

    async def handler(task: Task) -> None:
        await _steal(client, info)
        ended.set()
        if outcome == "raise":
            raise ValueError("of no interest")
        if outcome == "skip":
            raise SkipRetry

    info = await client.enqueue(job("mine"), retention=60)
    async with serving(broker_url, handler):
        await ended.wait()

    report = await client.get_task(info.id)
    assert (TaskState.ACTIVE, 0, "") == (report.state, report.retried, report.last_error)


async def test_lost_attempt_writes_no_result(broker_url: str, client: Client) -> None:
    """A handler that has lost its task is told so when it writes its result."""
    seen: list[BaseException] = []
    ended = asyncio.Event()

    async def handler(task: Task, context: TaskContext) -> None:
        await _steal(client, info)
        try:
            await context.write_result(b"stale")
        except LeaseLostError as error:
            seen.append(error)
        finally:
            ended.set()

    info = await client.enqueue(job("mine"), retention=60)
    async with serving(broker_url, handler):
        await ended.wait()

    assert isinstance(seen[0], LeaseLostError)
    assert info.id == seen[0].task_id
    assert (await client.get_task(info.id)).result is None


async def test_outage_longer_than_the_lease_stops_handlers(
    redis_url: str, gate: Gate, watch: Watch
) -> None:
    """Who cannot reach Redis for as long as the lease lasts gives the task up by itself."""
    async with Client(redis_url) as client:
        server = Server(
            redis_url,
            gate,
            state_prober=watch.prober,
            heartbeat_interval=0.1,
            lease_duration=1,
            shutdown_timeout=0,
        )
        async with server:
            info = await client.enqueue(job("mine"))
            await gate.until_entered(1)

            async def fail(*_: object) -> None:
                raise redis.ConnectionError("cut off")

            broker_of(server)._link.reserved._sender.send = fail  # type: ignore[method-assign, assignment]
            await gate.until_empty()
            report = await client.get_task(info.id)

    assert ["mine"] == gate.interrupted
    assert 0 == report.retried
