"""Answers of Redis that do not arrive: the repetition is recognised."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from headrace import (
    BrokerError,
    Client,
    DuplicateTaskError,
    Server,
    Task,
    TaskIdConflictError,
    TaskNotFoundError,
    TaskState,
)
from tests.server.helpers import Gate, eventually, job, queue_stats, serving, settled
from tests.support.proxy import LossyProxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from headrace import QueueStats


@pytest_asyncio.fixture
async def proxy(redis_url: str) -> AsyncIterator[LossyProxy]:
    """A proxy in front of an empty Redis, whose scripts are loaded."""
    async with LossyProxy(redis_url) as proxy:
        yield proxy


@pytest_asyncio.fixture
async def client(redis_url: str) -> AsyncIterator[Client]:
    """A client that sees everything."""
    async with Client(redis_url) as client:
        yield client


async def stats(client: Client) -> QueueStats:
    """Return what the one queue holds."""
    [found] = await queue_stats(client)
    return found


@pytest.mark.parametrize("applied", [True, False])
async def test_enqueue_is_neither_lost_nor_doubled(
    proxy: LossyProxy, client: Client, *, applied: bool
) -> None:
    """Whether or not a lost enqueue was applied: its repetition succeeds, with one task."""
    async with Client(proxy.url) as lossy:
        await lossy.ping()
        proxy.lose("enqueue", applied=applied, times=2)
        info = await lossy.enqueue(Task("t", b"p"), task_id="mine", unique=60)

    assert 2 == proxy.lost
    assert TaskState.PENDING == info.state
    assert 1 == (await stats(client)).pending


@pytest.mark.parametrize("script", ["schedule", "add_to_group"])
async def test_other_ways_to_enqueue_are_repeated_too(
    proxy: LossyProxy, client: Client, script: str
) -> None:
    """Scheduled and grouped tasks are recognised as well."""
    async with Client(proxy.url) as lossy:
        proxy.lose(script)
        if script == "schedule":
            info = await lossy.enqueue(Task("t"), process_in=600, unique=60)
        else:
            info = await lossy.enqueue(Task("t"), group="g")

    assert 1 == proxy.lost
    found = await stats(client)
    assert (0, 1) == (found.pending, found.scheduled + found.aggregating)
    assert info.state in {TaskState.SCHEDULED, TaskState.AGGREGATING}


async def test_real_conflicts_are_told_after_a_loss(proxy: LossyProxy, client: Client) -> None:
    """A conflict that is none of our own making is an error, also when it is found late."""
    await client.enqueue(Task("other", b"other"), task_id="taken")
    await client.enqueue(Task("t", b"p"), unique=60)
    async with Client(proxy.url) as lossy:
        proxy.lose("enqueue", times=2)
        with pytest.raises(TaskIdConflictError):
            await lossy.enqueue(Task("t", b"q"), task_id="taken")
        with pytest.raises(DuplicateTaskError):
            await lossy.enqueue(Task("t", b"p"), unique=60)

    assert 2 == proxy.lost
    assert 2 == (await stats(client)).pending


async def test_enqueue_gives_up_in_time(proxy: LossyProxy) -> None:
    """An enqueue whose answer never comes says that it may have been applied."""
    async with Client(proxy.url, timeout=0.3) as lossy:
        proxy.lose("enqueue", times=1000)
        with pytest.raises(BrokerError) as caught:
            await lossy.enqueue(Task("t"))

    assert caught.value.ambiguous


async def test_dequeue_is_found_again(proxy: LossyProxy, client: Client) -> None:
    """What a dequeue took whose answer was lost runs, once, and without a slot too many."""
    gate = Gate(is_open=True)
    await client.enqueue_many([job(str(n)) for n in range(40)])
    proxy.lose("dequeue", times=3)
    async with serving(proxy.url, gate, concurrency=4, lease_duration=60, heartbeat_interval=20):
        await gate.until_entered(40)
        [found] = await settled(client)

    assert 3 == proxy.lost
    assert 40 == len(gate.entered) == len(set(gate.entered))
    assert gate.most <= 4
    assert 40 == found.processed


async def test_dequeue_that_was_not_applied_is_made_again(
    proxy: LossyProxy, client: Client
) -> None:
    """A dequeue that never arrived costs nothing but time."""
    gate = Gate(is_open=True)
    await client.enqueue_many([job(str(n)) for n in range(10)])
    proxy.lose("dequeue", applied=False, times=2)
    async with serving(proxy.url, gate, concurrency=4):
        await gate.until_entered(10)

    assert 10 == len(set(gate.entered)) == len(gate.entered)


async def test_search_for_a_lost_dequeue_is_repeated(proxy: LossyProxy, client: Client) -> None:
    """The search for what a lost dequeue took may fail, too."""
    gate = Gate(is_open=True)
    await client.enqueue(job("x"))
    proxy.lose("dequeue")
    proxy.lose("taken_by", times=2)
    async with serving(proxy.url, gate, concurrency=4):
        await gate.until_entered(1)
        await settled(client)

    assert 3 == proxy.lost
    assert ["x"] == gate.entered


@pytest.mark.parametrize("applied", [True, False])
async def test_finish_is_recognised(
    proxy: LossyProxy,
    client: Client,
    *,
    applied: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A task whose end was written, though the answer was lost, is done: once, and counted once."""
    gate = Gate(is_open=True)
    await client.enqueue_many([job(str(n)) for n in range(20)])
    proxy.lose("done", applied=applied, times=2)
    async with serving(proxy.url, gate, concurrency=5):
        await gate.until_entered(20)
        [found] = await settled(client)

    assert 2 == proxy.lost
    assert 20 == len(gate.entered) == len(set(gate.entered))
    assert 20 == found.processed
    assert not [one for one in caplog.records if "was lost" in one.getMessage()]


@pytest.mark.parametrize("script", ["retry", "archive", "complete"])
async def test_other_ends_are_recognised(proxy: LossyProxy, client: Client, script: str) -> None:
    """Retry, archive and completion survive a lost answer, and count once."""

    async def handler(task: Task) -> bytes:
        if script != "complete":
            raise ValueError("no")
        return b"result"

    async def has_ended() -> bool:
        state = (await client.get_task(info.id)).state
        return state not in {TaskState.PENDING, TaskState.ACTIVE}

    info = await client.enqueue(Task("t"), max_retry=int(script == "retry"), retention=600)
    proxy.lose(script)
    async with serving(proxy.url, handler, retry_delay=lambda *_: 600):
        await eventually(has_ended)

    found, report = await stats(client), await client.get_task(info.id)
    assert 1 == proxy.lost
    expected = {"retry": TaskState.RETRY, "archive": TaskState.ARCHIVED}
    assert expected.get(script, TaskState.COMPLETED) == report.state
    assert int(script == "retry") == report.retried
    assert (1, int(script != "complete")) == (found.processed, found.failed)


async def test_give_back_is_recognised(proxy: LossyProxy, client: Client) -> None:
    """A task that is given back at shutdown is given back once, lost answer or not."""
    gate = Gate()
    server = Server(proxy.url, gate, shutdown_timeout=0)
    await server.start()
    await client.enqueue(job("x"))
    await gate.until_entered(1)
    proxy.lose("requeue")
    await server.shutdown()

    assert 1 == proxy.lost
    found = await stats(client)
    assert (1, 0) == (found.pending, found.active)


async def test_lost_heartbeats_are_survived(proxy: LossyProxy, client: Client) -> None:
    """A few lost heartbeats cost no lease."""
    gate = Gate()

    async def all_lost() -> bool:
        return proxy.lost >= 8

    async with serving(
        proxy.url, gate, lease_duration=5, heartbeat_interval=0.1, shutdown_timeout=5
    ):
        info = await client.enqueue(job("x"))
        await gate.until_entered(1)
        proxy.lose("extend", times=3)
        proxy.lose("extend", applied=False, times=3)
        proxy.lose("write_server", times=2)
        await eventually(all_lost)
        gate.open()
        await gate.until_empty()
        await settled(client)

    assert ["x"] == gate.left
    with pytest.raises(TaskNotFoundError):
        await client.get_task(info.id)


async def test_aggregation_is_recognised(proxy: LossyProxy, client: Client) -> None:
    """An aggregated task is written once, lost answer or not."""
    gate = Gate(is_open=True)

    async def both_lost() -> bool:
        return proxy.lost == 2

    await client.enqueue_many([Task("one") for _ in range(3)], group="g")
    proxy.lose("aggregate", times=2)
    async with serving(
        proxy.url,
        gate,
        group_aggregator=lambda _, tasks: job(str(len(tasks))),
        group_max_size=3,
    ):
        await gate.until_entered(1)
        # The task runs although the answer was lost: the repetition is still to come.
        await eventually(both_lost)
        [found] = await settled(client)

    assert ["3"] == gate.entered
    assert (1, 0) == (found.processed, found.aggregating)
