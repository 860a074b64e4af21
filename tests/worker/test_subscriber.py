"""The subscriber: requests reach the server, and it reconnects."""

from __future__ import annotations

import logging
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from headrace._errors import BrokerError
from headrace._worker.subscriber import Subscriber
from tests.support.fake_broker import OUTAGE
from tests.worker.helpers import lines, run_for

if TYPE_CHECKING:
    import random

    from headrace._log import RateLimitedLog
    from tests.support.fake_broker import FakeBroker


@pytest.fixture
def cancelled() -> list[str]:
    """The IDs that were handed on."""
    return []


@pytest.fixture
def subscriber(
    broker: FakeBroker, cancelled: list[str], log: RateLimitedLog, rng: random.Random
) -> Subscriber:
    """A subscriber that hands on into *cancelled*."""
    return Subscriber(broker, cancel=cancelled.append, log=log, rng=rng)


async def test_requests_are_handed_on(
    subscriber: Subscriber, broker: FakeBroker, cancelled: list[str]
) -> None:
    """One connection hands on all that comes until it breaks."""
    broker.answer("cancellations", ["x", "y", OUTAGE])

    with pytest.raises(BrokerError):
        await subscriber.listen()
    assert cancelled == ["x", "y"]


async def test_reconnects(subscriber: Subscriber, broker: FakeBroker, cancelled: list[str]) -> None:
    """A broken connection is replaced, and requests come through again."""
    broker.answer("cancellations", ["x", OUTAGE], OUTAGE, OUTAGE, ["y"])
    await run_for(subscriber, 60.0)

    assert cancelled == ["x", "y"]
    assert len(broker.called("cancellations")) == 4


async def test_pauses_grow_while_redis_is_gone(
    subscriber: Subscriber, broker: FakeBroker, caplog: pytest.LogCaptureFixture
) -> None:
    """It does not spin, does not wait for more than five seconds, and logs sparingly."""
    broker.fail("cancellations", until=60.0)
    await run_for(subscriber, 70.0)
    gaps = [second - first for first, second in pairwise(broker.called_at("cancellations"))]

    assert all(0.05 <= gap <= 5.0 for gap in gaps)
    assert max(gaps) > 2
    assert 5 <= len(lines(caplog)) <= 7


async def test_a_connection_that_held_resets_the_pauses(
    subscriber: Subscriber, broker: FakeBroker
) -> None:
    """After a quiet hour, the first reconnection is quick, whatever was before."""
    broker.answer("cancellations", *[OUTAGE] * 10, [3600.0, OUTAGE])
    await run_for(subscriber, 4000.0)
    lost_at, back_at = 3600.0 + broker.called_at("cancellations")[10], broker.calls[11].at

    assert back_at - lost_at <= 0.1


async def test_a_request_shows_that_it_works_again(
    subscriber: Subscriber, broker: FakeBroker, caplog: pytest.LogCaptureFixture
) -> None:
    """The end of an outage is logged when a request comes through."""
    broker.answer("cancellations", OUTAGE, ["x"])
    await run_for(subscriber, 5.0)

    assert "Redis answers again" in lines(caplog, logging.INFO)[-1]


async def test_other_errors_end_it(subscriber: Subscriber, broker: FakeBroker) -> None:
    """A mistake in the program is not survived in silence."""
    broker.answer("cancellations", [RuntimeError("a mistake")])

    with pytest.raises(RuntimeError, match="a mistake"):
        await run_for(subscriber, 5.0)
