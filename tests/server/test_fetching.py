"""Which tasks a server takes, how many, and in which order."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import anyio
import pytest
import redis.asyncio

from headrace import Client, InvalidOptionError, Server, Task, TaskState
from headrace._broker.keys import QueueKeys
from headrace._broker.redis import RedisBroker
from tests.server.helpers import Gate, Watch, job, request_cancel, serving
from tests.support.randomness import seeded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from headrace._broker.values import Dequeued


class LeaseCounter:
    """Watches every dequeue of a server: how many it asks for, and how many leases it holds."""

    def __init__(self, server: Server, gate: Gate) -> None:
        self.most_held = 0
        self.asked: list[int] = []
        self._server = server
        self._gate = gate
        self._dequeue = server._broker.dequeue
        server._broker.dequeue = self  # type: ignore[method-assign]  # A spy.

    async def __call__(
        self, quotas: Mapping[str, int], *, token: str, lease_duration: float
    ) -> Dequeued:
        """Do what the broker does, and count."""
        assert self._server._components is not None
        running = len(self._server._components.processor.running)
        self.asked.append(sum(quotas.values()))
        got = await self._dequeue(quotas, token=token, lease_duration=lease_duration)
        self.most_held = max(self.most_held, running + len(got.attempts))
        return got


async def pause(url: str, queue: str, *, paused: bool) -> None:
    """Pause a queue, or let it go on, as asynq's tools do."""
    broker = RedisBroker(url)
    key = QueueKeys(queue).paused
    await broker._link.commands.one(("SET", key, "1") if paused else ("DEL", key))
    await broker.close()


async def test_concurrency_is_a_limit(broker_url: str, client: Client, gate: Gate) -> None:
    """No more handlers run at a time than there are slots, and no more leases are held."""
    server = Server(broker_url, gate, concurrency=7)
    counter = LeaseCounter(server, gate)
    await client.enqueue_many([job(str(n)) for n in range(50)])
    async with server:
        await gate.until_entered(7)
        for _ in range(20):  # It has every chance to take more.
            await client.ping()
        assert 7 == len(gate.running)
        gate.open()
        await gate.until_entered(50)
        await gate.until_empty()

    assert 7 == gate.most
    assert 7 == counter.most_held


async def test_slot_is_taken_until_the_handler_has_ended(
    broker_url: str, client: Client, watch: Watch
) -> None:
    """A handler that cleans up after its cancellation keeps its slot meanwhile."""
    cleaning, clean = asyncio.Event(), asyncio.Event()
    order: list[str] = []

    async def handler(task: Task) -> None:
        order.append(f"begin {task.payload.decode()}")
        if task.payload == b"first":
            try:
                await asyncio.Event().wait()
            finally:
                cleaning.set()
                with anyio.CancelScope(shield=True):
                    await clean.wait()
                order.append("end first")

    async with serving(broker_url, handler, concurrency=1, state_prober=watch.prober):
        first = await client.enqueue(job("first"), max_retry=0)
        await watch.until(first, TaskState.ACTIVE)
        second = await client.enqueue(job("second"))
        await request_cancel(client, first)
        await cleaning.wait()
        assert ["begin first"] == order
        clean.set()
        await watch.until(second, TaskState.COMPLETED)

    assert ["begin first", "end first", "begin second"] == order


async def test_one_queue_is_first_in_first_out(broker_url: str, client: Client, gate: Gate) -> None:
    """One slot and no retries: tasks begin in the order in which they were enqueued."""
    gate.open()
    await client.enqueue_many([job(str(n)) for n in range(250)])
    async with serving(broker_url, gate, concurrency=1):
        await gate.until_entered(250)

    assert [str(n) for n in range(250)] == gate.entered


async def test_weights_share_the_slots(broker_url: str, client: Client, gate: Gate) -> None:
    """While all queues hold tasks, each gets slots in proportion to its weight."""
    queues = {"low": 1, "critical": 6, "default": 3}
    gate.open()
    for queue in queues:
        await client.enqueue_many([job(queue)] * 300, queue=queue)
    async with serving(broker_url, gate, concurrency=20, queues=queues, rng=seeded()):
        await gate.until_entered(300)
        counts = {queue: gate.entered[:300].count(queue) for queue in queues}

    assert 150 <= counts["critical"] <= 210
    assert 70 <= counts["default"] <= 110
    assert 20 <= counts["low"] <= 45


async def test_weights_hold_for_a_single_slot(broker_url: str, client: Client, gate: Gate) -> None:
    """With one slot lots are drawn by weight: no queue starves."""
    queues = {"often": 3, "seldom": 1}
    gate.open()
    for queue in queues:
        await client.enqueue_many([job(queue)] * 200, queue=queue)
    async with serving(broker_url, gate, concurrency=1, queues=queues, rng=seeded()):
        await gate.until_entered(200)
        often = gate.entered[:200].count("often")

    assert 130 <= often <= 170


async def test_empty_queue_leaves_its_share(broker_url: str, client: Client, gate: Gate) -> None:
    """What the heavier queue does not use goes to the others."""
    async with serving(broker_url, gate, concurrency=8, queues={"heavy": 100, "light": 1}):
        await client.enqueue_many([job(str(n)) for n in range(8)], queue="light")
        await gate.until_entered(8)
        assert 8 == len(gate.running)
        gate.open()


async def test_strict_priority_empties_the_heavier_first(
    broker_url: str, client: Client, gate: Gate
) -> None:
    """With strict priority a queue is served only while heavier ones are empty."""
    queues = {"low": 1, "high": 9, "middle": 5}
    gate.open()
    for queue in queues:
        await client.enqueue_many([job(queue)] * 30, queue=queue)
    async with serving(broker_url, gate, concurrency=4, queues=queues, strict_priority=True):
        await gate.until_entered(90)

    assert ["high"] * 30 + ["middle"] * 30 + ["low"] * 30 == gate.entered


async def test_other_queues_are_left_alone(broker_url: str, client: Client, gate: Gate) -> None:
    """A server touches the queues that it was given, and no others."""
    gate.open()
    other = await client.enqueue(job("other"), queue="other")
    async with serving(broker_url, gate, queues={"mine": 1}):
        await client.enqueue(job("mine"), queue="mine")
        await gate.until_entered(1)

    assert ["mine"] == gate.entered
    assert TaskState.PENDING == (await client.get_task(other.id, "other")).state


async def test_paused_queue_waits(broker_url: str, client: Client, gate: Gate) -> None:
    """Nothing of a paused queue starts; other queues go on; it does once it is resumed."""
    gate.open()
    await pause(broker_url, "held", paused=True)
    await client.enqueue(job("held"), queue="held")
    async with serving(broker_url, gate, queues={"held": 5, "free": 1}, task_check_interval=0.02):
        for n in range(3):
            await client.enqueue(job(str(n)), queue="free")
            await gate.until_entered(n + 1)
        assert ["0", "1", "2"] == gate.entered
        await pause(broker_url, "held", paused=False)
        await gate.until_entered(4)

    assert "held" == gate.entered[-1]


async def test_pausing_reaches_an_idle_server(broker_url: str, client: Client, gate: Gate) -> None:
    """A queue that is paused while a server waits for its tasks is paused for that server."""
    gate.open()
    async with serving(broker_url, gate, task_check_interval=0.02):
        await client.enqueue(job("before"))
        await gate.until_entered(1)
        await pause(broker_url, "default", paused=True)
        info = await client.enqueue(job("after"))
        for _ in range(20):  # It has every chance to take it.
            await client.ping()
        assert TaskState.PENDING == (await client.get_task(info.id)).state
        await pause(broker_url, "default", paused=False)
        await gate.until_entered(2)


async def test_idle_paused_server_does_not_spin(redis_url: str, client_of: Client) -> None:
    """A paused queue that holds tasks does not make a server ask Redis without pause."""
    await client_of.enqueue(job("t"))
    await pause(redis_url, "default", paused=True)
    probe = redis.asyncio.Redis.from_url(redis_url)
    async with serving(redis_url, Gate(), task_check_interval=0.2), contextlib.aclosing(probe):
        before = await _dequeues(probe)
        await asyncio.sleep(1)  # Nothing happens in this time: that is the point.
        after = await _dequeues(probe)

    assert after - before <= 10


async def _dequeues(probe: redis.asyncio.Redis) -> int:
    stats = await probe.info("commandstats")
    calls: int = stats.get("cmdstat_evalsha", {}).get("calls", 0)
    return calls


@pytest.fixture
async def client_of(redis_url: str) -> AsyncIterator[Client]:
    """A client of real Redis."""
    async with Client(redis_url) as client:
        yield client


async def test_many_queues_are_all_served(broker_url: str, client: Client, gate: Gate) -> None:
    """More queues than the server watches one by one are served too."""
    gate.open()
    queues = {f"q{n}": 1 for n in range(20)}
    async with serving(broker_url, gate, queues=queues, task_check_interval=0.02):
        for queue in queues:
            await client.enqueue(job(queue), queue=queue)
        await gate.until_entered(20)

    assert set(queues) == set(gate.entered)


async def nothing(task: Task) -> None:
    """Do nothing."""


@pytest.mark.parametrize(
    "queues", [{}, {"": 1}, {"a{b": 1}, {"a": 0}, {"a": -1}, {"a": 1.5}, {"a": True}, ["a"]]
)
def test_unusable_queues_are_refused(memory_url: str, queues: Mapping[str, int]) -> None:
    """A queue without a proper name, or of a weight below 1, is an error, not silence."""
    with pytest.raises(InvalidOptionError, match="queues"):
        Server(memory_url, nothing, queues=queues)
