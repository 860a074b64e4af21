"""A broker that is watched: every step of every test is checked against the invariants."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from headrace._broker.redis import RedisBroker
from tests.broker.helpers import Rules, Time
from tests.support.transitions import Watch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.wire import RawClient

QUEUES = ("q", "low")
TRANSITIONS = (
    *("enqueue", "dequeue", "finish", "extend", "annotate", "request_cancel", "forward"),
    *("recover", "expire_completed", "trim_archive", "check_group", "aggregate", "reclaim"),
)


@pytest.fixture
def time() -> Time:
    """What the scripts take for Redis's time."""
    return Time()


@pytest.fixture
def rules() -> Rules:
    """Says which invariants the test breaks on purpose."""
    return Rules()


@pytest_asyncio.fixture
async def bare(broker_url: str, time: Time) -> AsyncIterator[RedisBroker]:
    """A broker whose time the test sets, and which nobody watches."""
    broker = RedisBroker(broker_url, now=time)
    yield broker
    await broker.close()


@pytest_asyncio.fixture
async def broker(
    bare: RedisBroker, raw: RawClient, time: Time, rules: Rules
) -> AsyncIterator[RedisBroker]:
    """The same, watched: at the end, no step may have broken an invariant."""
    watch = Watch(raw, QUEUES, now=time)
    watch.guard(bare, TRANSITIONS)
    yield bare
    found = [str(item) for item in watch.violations if item.number not in rules.allowed]
    assert found == []


@pytest_asyncio.fixture
async def real_time(broker_url: str) -> AsyncIterator[RedisBroker]:
    """A broker that asks Redis for the time."""
    broker = RedisBroker(broker_url)
    yield broker
    await broker.close()
