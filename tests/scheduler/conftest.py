"""What the tests of schedulers share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio

from tests.scheduler.helpers import Redis
from tests.support.virtual_time import pytest_asyncio_loop_factories, virtual_time

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.virtual_time import VirtualTime

__all__ = ["pytest_asyncio_loop_factories", "virtual_time"]


@pytest_asyncio.fixture
async def redis(virtual_time: VirtualTime, memory_url: str) -> AsyncIterator[Redis]:
    """An embedded Redis whose clock goes with the virtual time."""
    redis = Redis(memory_url, virtual_time)
    yield redis
    await redis.close()
