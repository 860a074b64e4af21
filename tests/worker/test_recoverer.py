"""The recoverer: abandoned tasks go back soon, and it says which."""

from __future__ import annotations

import logging
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from headrace._broker.values import Recovered
from headrace._errors import BrokerError
from headrace._worker.recoverer import Recoverer
from tests.worker.helpers import lines, run_for

if TYPE_CHECKING:
    import random

    from headrace._log import RateLimitedLog
    from tests.support.fake_broker import FakeBroker


@pytest.fixture
def recoverer(broker: FakeBroker, log: RateLimitedLog, rng: random.Random) -> Recoverer:
    """A recoverer of one queue."""
    return Recoverer(broker, queues=("a",), interval=2.0, max_crashes=3, log=log, rng=rng)


async def test_pass_recovers_every_queue(
    broker: FakeBroker, log: RateLimitedLog, rng: random.Random
) -> None:
    """One pass asks for each queue, with the limit of crashes."""
    recoverer = Recoverer(broker, queues=("a", "b"), interval=2.0, max_crashes=3, log=log, rng=rng)
    broker.answer("recover", Recovered(["x"], []), Recovered([], ["y"]))

    assert await recoverer.recover() == 2
    assert sorted(call.args for call in broker.called("recover")) == [("a", 3), ("b", 3)]


async def test_full_answers_are_followed_up(recoverer: Recoverer, broker: FakeBroker) -> None:
    """A hundred tasks, however they ended: there may be more."""
    many = [str(number) for number in range(100)]
    broker.answer("recover", Recovered(many, []), Recovered(many[:60], many[60:]))

    assert await recoverer.recover() == 200
    assert len(broker.called("recover")) == 3


async def test_a_pass_is_bounded(recoverer: Recoverer, broker: FakeBroker) -> None:
    """A pass ends even if there is always more."""
    many = [str(number) for number in range(100)]
    broker.answer("recover", *[Recovered(many, [])] * 150)

    assert await recoverer.recover() == 10_000


async def test_findings_are_logged(
    recoverer: Recoverer, broker: FakeBroker, caplog: pytest.LogCaptureFixture
) -> None:
    """Tasks given back are a warning, poisoned ones an error; both with queue and IDs."""
    broker.answer("recover", Recovered(["x", "y\n"], ["z"]))
    await recoverer.recover()
    back, poisoned = caplog.records

    assert (back.levelno, poisoned.levelno) == (logging.WARNING, logging.ERROR)
    assert vars(back)["task_ids"] == ["x", "y\n"]
    assert vars(poisoned)["task_ids"] == ["z"]
    assert vars(poisoned)["queue"] == "a"
    assert lines(caplog) == [
        "Gave 2 tasks back to queue 'a' whose worker died or lost Redis: 'x', 'y\\n'",
        "Archived 1 tasks of queue 'a', since 3 workers died while they ran each: 'z'",
    ]


async def test_long_findings_are_cut_in_the_line(
    recoverer: Recoverer, broker: FakeBroker, caplog: pytest.LogCaptureFixture
) -> None:
    """The line stays readable; the record has all IDs."""
    broker.answer("recover", Recovered([str(number) for number in range(50)], []))
    await recoverer.recover()

    assert lines(caplog)[0].endswith("'8', '9', ...")
    assert len(vars(caplog.records[0])["task_ids"]) == 50


async def test_runs_at_once_then_out_of_step(recoverer: Recoverer, broker: FakeBroker) -> None:
    """The first pass does not wait; the others come every two seconds, give or take."""
    await run_for(recoverer, 60.0)
    times = broker.called_at("recover")
    gaps = [second - first for first, second in pairwise(times)]

    assert times[0] == 0
    assert all(1.5 <= gap <= 2.5 for gap in gaps)
    assert len({round(gap, 3) for gap in gaps}) > 10


async def test_survives_an_outage(
    recoverer: Recoverer, broker: FakeBroker, caplog: pytest.LogCaptureFixture
) -> None:
    """It tries again until Redis is back, with one line per ten seconds."""
    broker.fail("recover", until=30.0)
    await run_for(recoverer, 40.0)

    assert broker.called_at("recover")[-1] > 30
    assert 3 <= len(lines(caplog)) <= 4


async def test_a_failing_queue_does_not_hold_up_others(
    broker: FakeBroker, log: RateLimitedLog, rng: random.Random
) -> None:
    """The other queue is recovered in the same pass."""
    broker.fail("recover", queue="a", error=BrokerError("no", code="WRONGTYPE", retryable=False))
    broker.answer("recover", Recovered(["x"], []))
    recoverer = Recoverer(broker, queues=("a", "b"), interval=2.0, max_crashes=3, log=log, rng=rng)

    assert await recoverer.recover() == 1
