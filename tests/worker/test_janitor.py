"""The janitor: everything goes, in small batches."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import pytest

from headrace._errors import BrokerError
from headrace._worker.janitor import Janitor
from tests.worker.helpers import lines, run_for

if TYPE_CHECKING:
    import random

    from headrace._log import RateLimitedLog
    from tests.support.fake_broker import FakeBroker


def janitor_of(
    broker: FakeBroker,
    log: RateLimitedLog,
    rng: random.Random,
    *,
    queues: tuple[str, ...] = ("a",),
    batch_size: int = 100,
) -> Janitor:
    """Return a janitor that comes every eight seconds."""
    return Janitor(broker, queues=queues, interval=8.0, batch_size=batch_size, log=log, rng=rng)


async def test_pass_cleans_every_queue(
    broker: FakeBroker, log: RateLimitedLog, rng: random.Random
) -> None:
    """One pass deletes completed and archived tasks, queue after queue."""
    broker.answer("expire_completed", 5, 6)
    broker.answer("trim_archive", 1, 2)

    assert await janitor_of(broker, log, rng, queues=("a", "b")).clean() == 14
    assert [(call.method, *call.args) for call in broker.calls] == [
        ("expire_completed", "a", 100),
        ("trim_archive", "a", 100),
        ("expire_completed", "b", 100),
        ("trim_archive", "b", 100),
    ]


async def test_full_batches_are_followed_up(
    broker: FakeBroker, log: RateLimitedLog, rng: random.Random
) -> None:
    """It goes on until a batch was not full."""
    broker.answer("expire_completed", 40, 40, 39)
    broker.answer("trim_archive", 40, 0)

    assert await janitor_of(broker, log, rng, batch_size=40).clean() == 159
    assert [call.args[1] for call in broker.calls] == [40] * 5


async def test_batches_never_exceed_a_hundred(
    broker: FakeBroker, log: RateLimitedLog, rng: random.Random
) -> None:
    """A larger batch size would hold up Redis: it only means more calls."""
    broker.answer("expire_completed", 100, 100, 1)

    assert await janitor_of(broker, log, rng, batch_size=5000).clean() == 201
    assert {call.args[1] for call in broker.calls} == {100}


async def test_others_get_their_turn_between_batches(
    broker: FakeBroker, log: RateLimitedLog, rng: random.Random
) -> None:
    """A large backlog does not keep the event loop busy at a stretch."""
    broker.answer("expire_completed", *[100] * 50)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(count)
        await janitor_of(broker, log, rng).clean()
        tasks.cancel_scope.cancel()

    assert turns > 50


async def test_comes_at_its_interval(
    broker: FakeBroker, log: RateLimitedLog, rng: random.Random
) -> None:
    """The first pass does not wait; the others come every eight seconds, give or take."""
    await run_for(janitor_of(broker, log, rng), 100.0)
    times = broker.called_at("trim_archive")

    assert times[0] == 0
    assert all(6 <= second - first <= 10 for first, second in pairwise(times))


async def test_survives_an_outage(
    broker: FakeBroker,
    log: RateLimitedLog,
    rng: random.Random,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It tries again until Redis is back, with one line per ten seconds."""
    broker.fail(until=30.0)
    await run_for(janitor_of(broker, log, rng), 40.0)

    assert broker.called_at("trim_archive")[0] > 30
    assert 3 <= len(lines(caplog)) <= 4


async def test_a_failing_queue_does_not_hold_up_others(
    broker: FakeBroker, log: RateLimitedLog, rng: random.Random
) -> None:
    """The other queue is cleaned in the same pass; if all fail, the pass says so."""
    wrong_type = BrokerError("no", code="WRONGTYPE", retryable=False)
    broker.fail(queue="a", error=wrong_type)
    broker.answer("expire_completed", 7)
    janitor = janitor_of(broker, log, rng, queues=("a", "b"))

    assert await janitor.clean() == 7
    broker.fail(queue="b", error=wrong_type)
    with pytest.raises(BrokerError):
        await janitor.clean()
