"""The syncer: what could not be written is written later, or dropped and reported."""

from __future__ import annotations

import logging
from itertools import pairwise
from typing import TYPE_CHECKING, cast

import anyio
import pytest
from anyio.lowlevel import checkpoint

from headrace._broker.values import Applied, Done, Finish, Lease
from headrace._errors import BrokerError
from headrace._worker.syncer import Syncer
from tests.worker.helpers import lines, rounded, running, until

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from headrace._log import RateLimitedLog
    from tests.support.fake_broker import FakeBroker
    from tests.support.virtual_time import VirtualTime

WRONG_TYPE = BrokerError("WRONGTYPE", code="WRONGTYPE", retryable=False)


@pytest.fixture
def syncer(broker: FakeBroker, log: RateLimitedLog, rng: random.Random) -> Syncer:
    """A syncer for leases of fifteen seconds."""
    return Syncer(broker, log=log, rng=rng, lease_duration=15.0)


def ends(*task_ids: str, queue: str = "a") -> list[Finish]:
    """Return the ends of attempts."""
    return [Finish(Lease(queue, task_id, f"token-{task_id}"), Done()) for task_id in task_ids]


def written(broker: FakeBroker) -> list[list[str]]:
    """Return the IDs of each write."""
    return [
        [finish.lease.task_id for finish in cast("Sequence[Finish]", call.args[1])]
        for call in broker.called("finish")
    ]


async def test_pass_writes_everything_as_a_repetition(syncer: Syncer, broker: FakeBroker) -> None:
    """One pass writes what waits, and tells the broker that it may have been applied."""
    syncer.add(ends("x", "y"), until=15.0)
    assert syncer.pending == 2
    await syncer.sync()

    assert written(broker) == [["x", "y"]]
    assert broker.called("finish")[0].args[2] is True
    assert syncer.pending == 0


async def test_large_backlogs_go_in_batches(syncer: Syncer, broker: FakeBroker) -> None:
    """One write has no more than a hundred ends, all of one queue."""
    syncer.add(ends(*map(str, range(250))), until=15.0)
    syncer.add(ends("other", queue="b"), until=15.0)
    await syncer.sync()

    assert sorted(len(batch) for batch in written(broker)) == [1, 50, 100, 100]
    assert syncer.pending == 0


async def test_repeats_until_redis_is_back(
    syncer: Syncer, broker: FakeBroker, virtual_time: VirtualTime
) -> None:
    """After each failure it waits, ever longer; nothing is written twice once it succeeded."""
    broker.fail("finish", until=6.0)
    async with running(syncer):
        syncer.add(ends("x"), until=15.0)
        await anyio.sleep(14.0)
    times = broker.called_at("finish")

    assert times[0] >= 0.05, "the finisher has just tried it"
    assert all(second - first <= 15 / 4 for first, second in pairwise(times))
    assert [at for at in times if at >= 6.0] == times[-1:]
    assert syncer.pending == 0
    assert virtual_time.now == pytest.approx(14.0)


async def test_sleeps_while_there_is_nothing_to_do(
    syncer: Syncer, broker: FakeBroker, virtual_time: VirtualTime
) -> None:
    """An idle syncer asks nothing, and wakes for what is added."""
    async with running(syncer):
        await anyio.sleep(3600.0)
        assert broker.calls == []
        syncer.add(ends("x"), until=virtual_time.now + 15)
        await anyio.sleep(0.2)
        assert written(broker) == [["x"]]


async def test_tries_are_closer_than_a_short_lease(
    broker: FakeBroker, log: RateLimitedLog, rng: random.Random
) -> None:
    """With leases of a second, at least four tries fit into one, however long Redis is gone."""
    syncer = Syncer(broker, log=log, rng=rng, lease_duration=1.0)
    broker.fail("finish")
    async with running(syncer):
        syncer.add(ends("x"), until=20.0)
        await anyio.sleep(19.0)

    assert all(later - at <= 0.25 for at, later in pairwise(broker.called_at("finish")))


async def test_drops_what_lost_its_lease(
    syncer: Syncer, broker: FakeBroker, caplog: pytest.LogCaptureFixture
) -> None:
    """At the lease's end it gives up, and says of which tasks."""
    broker.fail("finish", until=20.0)
    async with running(syncer):
        syncer.add(ends("x"), until=10.0)
        syncer.add(ends("y"), until=100.0)
        await anyio.sleep(50.0)
    record = next(record for record in caplog.records if "will run again" in record.getMessage())

    assert record.levelno == logging.ERROR
    assert vars(record)["task_ids"] == ["x"]
    assert written(broker)[-1] == ["y"]
    assert syncer.pending == 0


async def test_lost_ends_are_logged(
    syncer: Syncer, broker: FakeBroker, caplog: pytest.LogCaptureFixture
) -> None:
    """If another worker has the task by now, that is no error to repeat, but worth a line."""
    broker.answer("finish", [Applied.REPEATED, Applied.LOST])
    syncer.add(ends("x", "y"), until=15.0)
    await syncer.sync()

    assert syncer.pending == 0
    assert vars(caplog.records[0])["task_ids"] == ["y"]


async def test_a_failing_queue_does_not_hold_up_others(syncer: Syncer, broker: FakeBroker) -> None:
    """The other queue's ends are written, and the failing one is tried with growing pauses."""
    broker.fail("finish", queue="a", error=WRONG_TYPE)
    async with running(syncer):
        syncer.add(ends("x"), until=60.0)
        syncer.add(ends("y", queue="b"), until=60.0)
        await anyio.sleep(30.0)

    assert written(broker).count(["y"]) == 1
    assert 5 < written(broker).count(["x"]) < 50
    assert syncer.pending == 1


async def test_what_is_added_during_a_write_is_kept(syncer: Syncer, broker: FakeBroker) -> None:
    """A pass forgets only what it has written itself."""
    broker.latency = 1.0
    syncer.add(ends("x"), until=15.0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(syncer.sync)
        await anyio.sleep(0.5)
        syncer.add(ends("y"), until=15.0)

    assert written(broker) == [["x"]]
    assert syncer.pending == 1


async def test_drain_writes_at_once(
    syncer: Syncer, broker: FakeBroker, virtual_time: VirtualTime
) -> None:
    """At shutdown it does not wait for its next turn."""
    broker.fail("finish", times=6)
    async with running(syncer):
        syncer.add(ends("x"), until=100.0)
        await until(lambda: len(broker.called("finish")) == 6)
        started_at = virtual_time.now

        assert await syncer.drain(5.0) == 0
        assert virtual_time.now == started_at


async def test_drain_gives_up_in_time(
    syncer: Syncer,
    broker: FakeBroker,
    virtual_time: VirtualTime,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It takes no longer than allowed, and says what it leaves behind."""
    broker.fail("finish")
    syncer.add(ends("x", "y"), until=100.0)

    assert await syncer.drain(3.0) == 2
    assert rounded([virtual_time.now]) == [3.0]
    assert "there is no more time" in lines(caplog)[-1]
    assert vars(caplog.records[-1])["task_ids"] == ["x", "y"]


async def test_drain_pauses_if_one_queue_fails(syncer: Syncer, broker: FakeBroker) -> None:
    """One queue that works is no reason to hammer on the one that does not."""
    broker.fail("finish", queue="a", error=WRONG_TYPE)
    syncer.add(ends("x"), until=100.0)
    syncer.add(ends("y", queue="b"), until=100.0)

    assert await syncer.drain(3.0) == 1
    assert len(broker.called("finish")) < 30


async def test_drain_with_nothing_to_do(syncer: Syncer, broker: FakeBroker) -> None:
    """It returns at once."""
    assert await syncer.drain(3.0) == 0
    assert broker.calls == []


async def test_drain_and_loop_do_not_write_the_same(syncer: Syncer, broker: FakeBroker) -> None:
    """While the loop writes, drain waits for it instead of writing the same again."""
    broker.latency = 1.0
    syncer.add(ends("x"), until=100.0)
    async with running(syncer):
        await until(lambda: bool(broker.called("finish")))
        await checkpoint()

        assert await syncer.drain(10.0) == 0
    assert written(broker) == [["x"]]
