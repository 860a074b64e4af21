"""What these tests share: a watched broker whose time the test sets, and parts of servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio

from headrace import Inspector
from tests.broker.conftest import TRANSITIONS, bare, rules, time
from tests.server.conftest import gate, no_task_is_left, watch
from tests.support.transitions import Watch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from headrace._broker.redis import RedisBroker
    from tests.broker.helpers import Rules, Time
    from tests.support.wire import RawClient

__all__ = ["bare", "gate", "no_task_is_left", "rules", "time", "watch"]


@pytest_asyncio.fixture
async def broker(
    bare: RedisBroker, raw: RawClient, time: Time, rules: Rules
) -> AsyncIterator[RedisBroker]:
    """A broker of which no step may break an invariant; setting limits is one of the steps."""
    watch = Watch(raw, ("q", "low"), now=time)
    watch.guard(bare, (*TRANSITIONS, "set_limits"))
    yield bare
    assert [str(item) for item in watch.violations if item.number not in rules.allowed] == []


@pytest_asyncio.fixture
async def inspector(broker_url: str) -> AsyncIterator[Inspector]:
    """An inspector of the test's broker."""
    async with Inspector(broker_url) as inspector:
        yield inspector
