"""Shutdown: who may finish, what is given back, and what if somebody does not cooperate."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

import pytest

from headrace import BrokerError, Client, Server, Task, TaskNotFoundError, TaskState
from headrace._broker.keys import QueueKeys
from tests.server.helpers import (
    Gate,
    Watch,
    broker_of,
    eventually,
    job,
    queue_stats,
    serving,
    state_of,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from headrace._broker.values import Applied, Finish

KEYS = QueueKeys("default")


async def _crashes(client: Client, task_id: str) -> object:
    return await client._broker._link.commands.one(("HGET", KEYS.task(task_id), "hr:crashes"))


async def test_grace_period_lets_tasks_finish(broker_url: str, client: Client, gate: Gate) -> None:
    """Tasks that run when the shutdown begins may finish; no new ones begin."""
    async with serving(broker_url, gate, concurrency=1, shutdown_timeout=10) as server:
        first = await client.enqueue(job("first"))
        second = await client.enqueue(job("second"))
        await gate.until_entered(1)
        shutdown = asyncio.create_task(server.shutdown())
        await asyncio.sleep(0)
        assert "stopped" == state_of(server)
        gate.open()
        await shutdown

    assert ["first"] == gate.left
    with pytest.raises(TaskNotFoundError):
        await client.get_task(first.id)
    assert TaskState.PENDING == (await client.get_task(second.id)).state


async def test_shutdown_ends_with_the_last_task(
    broker_url: str, client: Client, gate: Gate
) -> None:
    """A shutdown does not sit out its grace period when there is nothing left to wait for."""
    async with serving(broker_url, gate, shutdown_timeout=3600):
        await client.enqueue(job("x"))
        await gate.until_entered(1)
        gate.open()


async def test_unfinished_tasks_are_given_back_to_the_front(
    broker_url: str, client: Client, gate: Gate
) -> None:
    """After the grace period tasks go back to the front: no retry spent, no crash counted."""
    async with serving(broker_url, gate, concurrency=2, shutdown_timeout=0.05):
        held = [await client.enqueue(job(name)) for name in ("first", "second")]
        waiting = await client.enqueue(job("third"))
        await gate.until_entered(2)

    assert {"first", "second"} == set(gate.interrupted)
    for info in held:
        report = await client.get_task(info.id)
        assert (TaskState.PENDING, 0, "") == (report.state, report.retried, report.last_error)
        assert await _crashes(client, info.id) is None
    ids = await client._broker._link.commands.one(("LRANGE", KEYS.pending, 0, -1))
    assert isinstance(ids, list)
    assert waiting.id.encode() == ids[0]
    assert {info.id.encode() for info in held} == set(ids[1:])

    again = Gate(is_open=True)
    async with serving(broker_url, again, concurrency=1):
        await again.until_entered(3)
    assert "third" == again.entered[-1]


async def test_zero_grace_interrupts_at_once(broker_url: str, client: Client, gate: Gate) -> None:
    """With shutdown_timeout 0 running tasks are given back without a pause."""
    async with serving(broker_url, gate, shutdown_timeout=0):
        info = await client.enqueue(job("x"))
        await gate.until_entered(1)

    assert TaskState.PENDING == (await client.get_task(info.id)).state


async def test_thousand_tasks_are_given_back(broker_url: str, client: Client, gate: Gate) -> None:
    """However many tasks run, all of them are given back."""
    await client.enqueue_many([job(str(n)) for n in range(300)])
    async with serving(broker_url, gate, concurrency=1000, shutdown_timeout=0):
        await gate.until_entered(300)

    [stats] = await queue_stats(client)
    assert (300, 0, 0, 0) == (stats.pending, stats.active, stats.retry, stats.processed)


async def test_interrupted_handler_may_still_succeed(broker_url: str, client: Client) -> None:
    """A handler that returns when it is cancelled at shutdown is done, not given back."""
    entered = asyncio.Event()

    async def handler(task: Task) -> str:
        entered.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return "saved"

    async with serving(broker_url, handler, shutdown_timeout=0):
        info = await client.enqueue(Task("t"), retention=60)
        await entered.wait()

    assert "saved" == await client.result(info)


async def test_stuck_handler_is_reported(
    broker_url: str, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """A handler that ignores its cancellation is logged as stuck; the shutdown returns."""
    entered, release = asyncio.Event(), asyncio.Event()

    async def stubborn(task: Task) -> None:
        entered.set()
        while not release.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(release.wait())

    server = Server(broker_url, stubborn, shutdown_timeout=0)
    await server.start()
    info = await client.enqueue(Task("t"))
    await entered.wait()
    await server.shutdown()
    report = await client.get_task(info.id)

    assert TaskState.ACTIVE == report.state
    assert not report.is_orphaned
    [line] = [one for one in caplog.records if "stuck" in one.getMessage()]
    assert info.id in line.getMessage()
    assert logging.ERROR == line.levelno
    release.set()
    await server.shutdown()
    assert "closed" == state_of(server)


async def test_last_outcome_is_written_before_the_end(
    broker_url: str, client: Client, gate: Gate
) -> None:
    """A write that Redis did not answer in the last moment is repeated before the end."""
    server = Server(broker_url, gate, shutdown_timeout=5)
    finish = server._broker.finish
    failures: list[BrokerError] = []

    async def flaky(finishes: Sequence[Finish], *, repeat: bool = False) -> list[Applied]:
        if len(failures) < 2:
            failures.append(BrokerError("lost", ambiguous=True))
            raise failures[-1]
        return await finish(finishes, repeat=repeat)

    server._broker.finish = flaky  # type: ignore[method-assign]
    await server.start()
    info = await client.enqueue(job("x"))
    await gate.until_entered(1)
    gate.open()
    await server.shutdown()

    assert 2 == len(failures)
    with pytest.raises(TaskNotFoundError):
        await client.get_task(info.id)


async def test_support_outlives_the_handlers(broker_url: str, client: Client, gate: Gate) -> None:
    """During the grace period leases are extended, and cancellations are heard."""
    async with serving(
        broker_url,
        gate,
        shutdown_timeout=30,
        heartbeat_interval=0.05,
        lease_duration=1,
    ) as server:
        info = await client.enqueue(job("x"), max_retry=0)
        await gate.until_entered(1)
        shutdown = asyncio.create_task(server.shutdown())
        first = await _lease(client, info.id)

        async def is_extended() -> bool:
            return await _lease(client, info.id) != first

        await eventually(is_extended)
        await client._broker.request_cancel("default", info.id)
        await gate.until_empty()
        await shutdown

    assert TaskState.ARCHIVED == (await client.get_task(info.id)).state


async def _lease(client: Client, task_id: str) -> object:
    return await client._broker._link.commands.one(("ZSCORE", KEYS.lease, task_id))


async def test_shutdown_without_redis_ends(broker_url: str, client: Client, gate: Gate) -> None:
    """A shutdown ends although Redis does not answer; the tasks are left to recovery."""
    server = Server(broker_url, gate, shutdown_timeout=0.1)
    await server.start()
    await client.enqueue(job("x"))
    await gate.until_entered(1)

    async def gone(*_: object) -> None:
        raise ConnectionError("gone")

    broker_of(server)._link.commands._sender.send = gone  # type: ignore[method-assign, assignment]
    broker_of(server)._link.reserved._sender.send = gone  # type: ignore[method-assign, assignment]
    await server.shutdown()

    assert "closed" == state_of(server)


async def test_shutdown_while_a_lost_dequeue_is_looked_for(
    broker_url: str, client: Client, watch: Watch
) -> None:
    """A server that looks for the answer to a dequeue while Redis is gone can be shut down."""
    server = Server(broker_url, Gate(), shutdown_timeout=0.1, state_prober=watch.prober)
    await server.start()
    looking = asyncio.Event()

    async def lost(*_: object, **__: object) -> None:
        looking.set()
        raise BrokerError("lost", ambiguous=True)

    server._broker.dequeue = lost  # type: ignore[method-assign, assignment]
    server._broker.taken_by = lost  # type: ignore[method-assign, assignment]
    await client.enqueue(job("x"))
    await looking.wait()
    await server.shutdown()

    assert "closed" == state_of(server)


async def test_cancelled_shutdown_goes_on(broker_url: str, client: Client, gate: Gate) -> None:
    """Who stops waiting for a shutdown does not stop the shutdown itself."""
    server = Server(broker_url, gate, shutdown_timeout=30)
    await server.start()
    await client.enqueue(job("x"))
    await gate.until_entered(1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await server.shutdown()
    assert "stopped" == state_of(server)
    gate.open()
    await server.shutdown()

    assert "closed" == state_of(server)
    assert ["x"] == gate.left


async def test_slow_prober_does_not_hold_up_the_end(memory_url: str, gate: Gate) -> None:
    """A state prober that hangs costs a shutdown a second, not for ever."""
    from headrace import TaskStateProber  # noqa: PLC0415 - only here

    async def hang(_report: object) -> None:
        await asyncio.Event().wait()

    gate.open()
    async with Client(memory_url) as client:
        async with serving(
            memory_url, gate, state_prober=TaskStateProber({"*": "task"}, hang)
        ) as server:
            await client.enqueue(job("x"))
            await gate.until_entered(1)
        assert "closed" == state_of(server)


# --- What breaks a server --------------------------------------------------------------------


class PlannedError(Exception):
    """A fault that no component expects."""


async def test_unexpected_error_ends_the_server(
    broker_url: str, client: Client, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    """An error that a component does not expect ends the server; run and shutdown raise it."""
    server = Server(broker_url, gate, recovery_interval=0.01)
    run = asyncio.create_task(server.run())
    await server.start()

    async def broken(*_: object, **__: object) -> None:
        raise PlannedError("what a bug might raise")

    server._broker.recover = broken  # type: ignore[method-assign, assignment]
    with pytest.raises(PlannedError):
        await run
    with pytest.raises(PlannedError):
        await server.shutdown()

    assert "closed" == state_of(server)
    [line] = [one for one in caplog.records if one.levelno == logging.CRITICAL]
    assert "The server broke down" == line.getMessage()


async def test_broken_server_leaves_its_tasks_to_recovery(
    broker_url: str, client: Client, gate: Gate
) -> None:
    """A server that breaks down stops its handlers; their tasks are not lost."""
    server = Server(broker_url, gate, janitor_interval=0.01)
    await server.start()
    info = await client.enqueue(job("x"))
    await gate.until_entered(1)

    async def broken(*_: object, **__: object) -> None:
        raise PlannedError

    server._broker.expire_completed = broken  # type: ignore[method-assign, assignment]
    with pytest.raises(PlannedError):
        await server.run()

    assert ["x"] == gate.interrupted
    assert TaskState.ACTIVE == (await client.get_task(info.id)).state


async def test_error_before_the_components_run_is_raised(broker_url: str) -> None:
    """What breaks while the components start, start raises; the lifespan is left."""
    order: list[str] = []

    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        try:
            yield
        finally:
            order.append("left")

    def broken() -> None:
        raise PlannedError

    server = Server(broker_url, Gate(), lifespan=lifespan)
    server._broker.lease_guard = broken  # type: ignore[method-assign]
    with pytest.raises(PlannedError):
        await server.start()

    assert ["left"] == order
    assert "closed" == state_of(server)
