"""An inspector, whose every test ends with queues in which each invariant holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio

from headrace import Inspector
from tests.support.invariants import check_queue

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.wire import RawClient


@pytest_asyncio.fixture
async def bare(broker_url: str) -> AsyncIterator[Inspector]:
    """An inspector, for tests that plant what is broken."""
    async with Inspector(broker_url) as inspector:
        yield inspector


@pytest_asyncio.fixture
async def inspector(bare: Inspector, raw: RawClient) -> AsyncIterator[Inspector]:
    """An inspector; at the end, no invariant may be broken."""
    yield bare
    assert [str(found) for found in await check_queue(raw, "q")] == []
