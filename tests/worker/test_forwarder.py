"""The forwarder: punctual, and not to be stopped by an outage."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import anyio
import pytest

from headrace._broker.values import Forwarded
from headrace._errors import BrokerError
from headrace._worker.forwarder import Forwarder
from tests.worker.helpers import lines, rounded, run_for, running

if TYPE_CHECKING:
    import random

    from headrace._log import RateLimitedLog
    from tests.support.fake_broker import FakeBroker
    from tests.support.virtual_time import VirtualTime

WRONG_TYPE = BrokerError("WRONGTYPE", code="WRONGTYPE", retryable=False)


@pytest.fixture
def forwarder(broker: FakeBroker, log: RateLimitedLog, rng: random.Random) -> Forwarder:
    """A forwarder of two queues, once a second."""
    return Forwarder(broker, queues=("a", "b"), interval=1.0, log=log, rng=rng)


@pytest.fixture
def single(broker: FakeBroker, log: RateLimitedLog, rng: random.Random) -> Forwarder:
    """A forwarder of one queue, once a second."""
    return Forwarder(broker, queues=("a",), interval=1.0, log=log, rng=rng)


def redis_seconds(broker: FakeBroker, virtual_time: VirtualTime) -> list[float]:
    """Return how long after a whole second of Redis's clock each question reached Redis."""
    skew = broker.redis_time() - virtual_time.now
    return [(at + broker.latency + skew) % 1.0 for at in broker.called_at("forward")]


async def test_pass_forwards_every_queue(forwarder: Forwarder, broker: FakeBroker) -> None:
    """One pass asks for each queue, and says how many tasks moved."""
    broker.answer("forward", Forwarded(3, 0), Forwarded(4, 0))

    assert await forwarder.forward() == 7
    assert sorted(str(call.args[0]) for call in broker.called("forward")) == ["a", "b"]


async def test_full_answers_are_followed_up(broker: FakeBroker, single: Forwarder) -> None:
    """As long as a hundred or more tasks come back, there are more: ask again at once."""
    broker.answer("forward", Forwarded(100, 0), Forwarded(200, 0), Forwarded(99, 0))

    assert await single.forward() == 399
    assert len(broker.called("forward")) == 3


async def test_a_pass_is_bounded(broker: FakeBroker, single: Forwarder) -> None:
    """A pass ends even if there is always more, and the next one follows without a pause."""
    broker.answer("forward", *[Forwarded(100, 0)] * 250)

    assert await single.forward() == 10_000
    await run_for(single, 0.5)
    assert len(broker.called("forward")) == 251
    assert broker.called_at("forward")[-1] == 0


@pytest.mark.parametrize("latency", [0.0, 0.0005, 0.02])
@pytest.mark.parametrize("clock_offset", [0.0, 0.6, -7.3, 86_400.9])
async def test_passes_follow_the_seconds_of_redis(
    broker: FakeBroker,
    single: Forwarder,
    virtual_time: VirtualTime,
    latency: float,
    clock_offset: float,
) -> None:
    """Whatever the clocks and the network, Redis is asked within 50 ms after each second."""
    broker.latency, broker.clock_offset = latency, clock_offset
    await run_for(single, 20.0)
    after = redis_seconds(broker, virtual_time)[1:]

    assert len(after) in {19, 20}
    assert all(0 <= late < 0.05 for late in after)


async def test_one_slow_answer_does_not_spoil_the_beat(
    broker: FakeBroker, single: Forwarder, virtual_time: VirtualTime
) -> None:
    """An answer that took long says little about Redis's clock; the ones before said more."""
    async with running(single):
        await anyio.sleep(5.5)
        broker.answer_delay = 0.3
        await anyio.sleep(0.5)
        broker.answer_delay = 0.0
        await anyio.sleep(5.0)

    assert all(late < 0.05 for late in redis_seconds(broker, virtual_time)[1:])


async def test_follows_a_clock_that_was_set(
    broker: FakeBroker,
    single: Forwarder,
    virtual_time: VirtualTime,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """When Redis's clock jumps, that is logged, and the passes follow it."""
    await run_for(single, 3.0)
    broker.clock_offset = -90.4
    await run_for(single, 1.0)
    broker.calls.clear()
    await run_for(single, 5.0)

    assert all(late < 0.05 for late in redis_seconds(broker, virtual_time)[1:])
    assert lines(caplog) == ["Redis's clock and this process's moved by 90.4 s against each other"]


async def test_longer_intervals_are_aligned_too(
    broker: FakeBroker, log: RateLimitedLog, rng: random.Random
) -> None:
    """With an interval of five seconds, passes fall on multiples of five seconds."""
    await run_for(Forwarder(broker, queues=("a",), interval=5.0, log=log, rng=rng), 16.0)

    # The loop's 0 is Redis's ...0.25.
    assert rounded(broker.called_at("forward")) == [0.0, 4.752, 9.752, 14.752]


async def test_intervals_below_a_second_are_one(
    broker: FakeBroker, log: RateLimitedLog, rng: random.Random
) -> None:
    """Due times are whole seconds: passes between them could find nothing."""
    await run_for(Forwarder(broker, queues=("a",), interval=0.1, log=log, rng=rng), 2.5)

    assert rounded(broker.called_at("forward")) == [0.0, 0.752, 1.752]


async def test_survives_an_outage(
    broker: FakeBroker,
    forwarder: Forwarder,
    virtual_time: VirtualTime,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Redis gone for thirty seconds: growing pauses, a line per ten seconds, then the beat."""
    broker.fail("forward", until=30.0)
    await run_for(forwarder, 45.0)
    tries = [at for at in broker.called_at("forward") if at < 30]
    later = [at for at in broker.called_at("forward") if at >= 30]

    assert 10 < len(tries) < 60
    assert later[0] <= 35
    assert all(late < 0.05 for late in redis_seconds(broker, virtual_time)[len(tries) + 2 :])
    assert 3 <= len(lines(caplog)) <= 4
    assert "Redis answers again" in lines(caplog, logging.INFO)[-1]


async def test_a_failing_queue_does_not_hold_up_others(
    broker: FakeBroker, forwarder: Forwarder, caplog: pytest.LogCaptureFixture
) -> None:
    """The other queue keeps its beat, and the broken one has a line of its own."""
    broker.fail("forward", queue="a", error=WRONG_TYPE)
    await run_for(forwarder, 9.0)
    served = [call.at for call in broker.called("forward") if call.args == ("b",)]

    assert rounded(served) == [0.0, *(second + 0.752 for second in range(9))]
    assert lines(caplog) == ["Could not forward due tasks of queue 'a': WRONGTYPE"]


async def test_pass_raises_if_redis_is_gone(forwarder: Forwarder, broker: FakeBroker) -> None:
    """A pass that reached no queue at all says so."""
    broker.fail("forward")

    with pytest.raises(BrokerError):
        await forwarder.forward()


async def test_other_errors_end_it(forwarder: Forwarder, broker: FakeBroker) -> None:
    """A mistake in the program is not survived in silence."""
    broker.fail("forward", error=RuntimeError("a mistake"))

    with pytest.raises(ExceptionGroup) as raised:
        await run_for(forwarder, 10.0)
    assert raised.group_contains(RuntimeError, match="a mistake")


async def test_starts_before_its_first_pass(forwarder: Forwarder, broker: FakeBroker) -> None:
    """started() does not wait for Redis."""
    broker.latency = 5.0
    async with anyio.create_task_group() as tasks:
        await tasks.start(forwarder.run)
        assert broker.called("forward") == []
        tasks.cancel_scope.cancel()
