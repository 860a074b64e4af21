"""The heartbeat: first the leases, then the server's state."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import anyio
import pytest

from headrace import BrokerError
from headrace._broker.values import Extended
from headrace._fleet_message import WorkerInfo
from headrace._proto import asynq_pb2 as pb
from headrace._worker.heartbeater import Heartbeater, Identity
from headrace._worker.outcome import Cause
from tests.server.units.harness import LEASE, NOW, Harness, attempt
from tests.worker.helpers import lines, run_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace._broker.values import Lease
    from headrace._worker.execution import Execution
    from tests.support.fake_broker import FakeBroker
    from tests.support.virtual_time import VirtualTime

IDENTITY = Identity(
    host="h",
    pid=1,
    server_id="s",
    key="asynq:servers:{h:1:s}",
    concurrency=7,
    queues={"default": 1},
    strict_priority=True,
    start_time=NOW,
)
NONE: frozenset[Lease] = frozenset()


class Beat:
    """A heartbeater and the executions that it watches over."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self.running: dict[Lease, Execution] = {}
        self.heart = Heartbeater(
            harness.broker,
            identity=IDENTITY,
            status=lambda: "active",
            running=self.running,
            lease_duration=LEASE,
            interval=5.0,
            log=harness.log,
            rng=harness.rng,
        )

    def add(self, task_id: str, queue: str = "default") -> Execution:
        """Have a task run."""
        execution = self.harness.execution(attempt(task_id, queue, payload=b"p"))
        self.running[execution.lease] = execution
        return execution


@pytest.fixture
async def beat(harness: Harness) -> Beat:
    """A heartbeater."""
    return Beat(harness)


async def test_leases_come_first(beat: Beat, broker: FakeBroker) -> None:
    """Each beat extends all leases, and then publishes the state for twice the interval."""
    one, two = beat.add("a"), beat.add("b")

    await beat.heart.beat()

    assert ["extend", "write_server"] == [call.method for call in broker.calls]
    assert ([one.lease, two.lease], LEASE) == broker.called("extend")[0].args
    key, info, workers, ttl = broker.called("write_server")[0].args
    shown = pb.ServerInfo.FromString(cast("bytes", info))
    assert (IDENTITY.key, 10.0) == (key, ttl)
    assert ("h", 1, "s", 7, True, "active", 2) == (
        shown.host,
        shown.pid,
        shown.server_id,
        shown.concurrency,
        shown.strict_priority,
        shown.status,
        shown.active_worker_count,
    )
    assert {"a", "b"} == set(cast("dict[str, bytes]", workers))
    worker = pb.WorkerInfo.FromString(cast("dict[str, bytes]", workers)["a"])
    assert ("a", "t", b"p", "default") == (
        worker.task_id,
        worker.task_type,
        worker.task_payload,
        worker.queue,
    )


async def test_running_task_is_encoded_once(
    beat: Beat, broker: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is published of a task stays the same from when it has begun, and is made once."""
    encode, encoded = WorkerInfo.encode, list[str]()

    def count(info: WorkerInfo) -> bytes:
        encoded.append(info.task_id)
        return encode(info)

    monkeypatch.setattr(WorkerInfo, "encode", count)
    execution = beat.add("a")
    await beat.heart.beat()  # It has not begun, so its deadline is not known.
    execution.deadline = NOW + 60
    for _ in range(3):
        await beat.heart.beat()
    del beat.running[execution.lease]
    await beat.heart.beat()

    assert ["a", "a"] == encoded
    shown = [cast("dict[str, bytes]", call.args[2]) for call in broker.called("write_server")]
    assert {} == shown[-1]
    deadlines = [pb.WorkerInfo.FromString(workers["a"]).deadline for workers in shown[:-1]]
    assert [0, *[int(NOW + 60)] * 3] == [deadline.seconds for deadline in deadlines]


async def test_idle_server_extends_nothing(beat: Beat, broker: FakeBroker) -> None:
    """Without tasks there is only the state to publish."""
    await beat.heart.beat()

    assert ["write_server"] == [call.method for call in broker.calls]


async def test_beats_keep_their_interval(beat: Beat, broker: FakeBroker) -> None:
    """There is a beat at once, and then one per interval."""
    await run_for(beat.heart, 12)

    assert [0.0, 5.0, 10.0] == broker.called_at("write_server")


async def test_extension_is_taken_note_of(
    beat: Beat, broker: FakeBroker, virtual_time: VirtualTime
) -> None:
    """A lease lasts from when the extension was asked for, not from when it was answered."""
    execution = beat.add("a")
    broker.latency = 1.0
    await anyio.sleep(7)
    await beat.heart.beat()

    assert 7 + LEASE == execution.lease_until
    assert virtual_time.now > 8


async def test_lost_and_cancelled_are_interrupted(beat: Beat, broker: FakeBroker) -> None:
    """Who lost the lease stops, and who was asked to; the others go on."""
    lost, cancelled, kept = beat.add("lost"), beat.add("cancelled"), beat.add("kept")
    before = lost.lease_until
    broker.answer("extend", Extended(frozenset({lost.lease}), frozenset({cancelled.lease})))
    await anyio.sleep(1)
    await beat.heart.beat()

    assert [Cause.LEASE_LOST, Cause.CANCELLED, None] == [
        one.cause for one in (lost, cancelled, kept)
    ]
    assert before == lost.lease_until


async def test_who_has_ended_meanwhile_is_left_alone(beat: Beat, broker: FakeBroker) -> None:
    """A task that ended while its lease was being extended looks lost, and is not."""
    execution = beat.add("a")
    broker.latency = 1.0
    broker.answer("extend", Extended(frozenset({execution.lease}), NONE))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(beat.heart.beat)
        await anyio.sleep(0.5)
        beat.running.clear()

    assert execution.cause is None


async def test_outage_does_not_end_the_heart(
    beat: Beat, broker: FakeBroker, caplog: pytest.LogCaptureFixture
) -> None:
    """While Redis does not answer, the heart tries often, and logs seldom."""
    beat.add("a")
    broker.fail("extend", until=8.0)
    await run_for(beat.heart, 9.5)

    tries = [at for at in broker.called_at("extend") if at < 8]
    assert len(tries) > 8
    assert 1 == len(lines(caplog))
    assert 1 == len(broker.called("write_server"))


async def test_leases_end_with_the_outage(beat: Beat, broker: FakeBroker) -> None:
    """When a lease has ended during an outage, its handler is stopped: another may run it."""
    early = beat.add("early")
    broker.fail("extend")
    await run_for(beat.heart, LEASE - 1)
    assert {None} == {early.cause}
    late = beat.add("late")
    await run_for(beat.heart, 3)

    assert Cause.LEASE_LOST is early.cause
    assert late.cause is None


async def test_queues_are_independent(
    beat: Beat, broker: FakeBroker, caplog: pytest.LogCaptureFixture
) -> None:
    """Where only one queue is out of reach, as in a cluster, the leases of others are safe."""
    away = beat.add("a", "away")
    here = beat.add("b", "here")
    extend = broker.extend

    async def partly(leases: Sequence[Lease], duration: float) -> Extended:
        if leases[0].queue == "away":
            raise BrokerError("no answer")
        return await extend(leases, duration)

    broker.extend = partly  # type: ignore[method-assign]
    await run_for(beat.heart, 40)

    assert (Cause.LEASE_LOST, None) == (away.cause, here.cause)
    assert len(lines(caplog)) <= 4


async def test_state_that_cannot_be_written_is_no_danger(beat: Beat, broker: FakeBroker) -> None:
    """Leases are extended also where the server's state cannot be published."""
    execution = beat.add("a")
    broker.fail("write_server")
    await run_for(beat.heart, 20)

    assert execution.lease_until > 20
    assert execution.cause is None


async def test_end_takes_the_state_back(beat: Beat, broker: FakeBroker) -> None:
    """A server that ends takes itself out of the list of servers."""
    await run_for(beat.heart, 1)

    assert [(IDENTITY.key,)] == [call.args for call in broker.called("clear_server")]


async def test_end_without_redis(
    beat: Beat, broker: FakeBroker, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the state cannot be taken back, it expires; the end is not held up."""
    broker.fail("clear_server", error=BrokerError("gone"))
    await run_for(beat.heart, 1)

    assert [] == lines(caplog)


async def test_end_does_not_wait_for_a_silent_redis(
    beat: Beat, broker: FakeBroker, virtual_time: VirtualTime
) -> None:
    """A Redis that does not say anything holds up the end for a second at the most."""
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            await tasks.start(beat.heart.run)
            await anyio.sleep(1)
            broker.latency = 3600
            scope.cancel()

    assert 2.0 == virtual_time.now
