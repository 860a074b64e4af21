"""What these tests share: virtual time, a fake broker, a log, a seeded rng, a harness."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio

from tests.server.units.harness import Harness
from tests.worker.conftest import (
    broker,
    log,
    pytest_asyncio_loop_factories,
    rng,
    virtual_time,
)

if TYPE_CHECKING:
    import random

    from headrace._log import RateLimitedLog
    from tests.support.fake_broker import FakeBroker

__all__ = ["broker", "harness", "log", "pytest_asyncio_loop_factories", "rng", "virtual_time"]


@pytest_asyncio.fixture
async def harness(broker: FakeBroker, rng: random.Random, log: RateLimitedLog) -> Harness:
    """What executions need, on the fake broker."""
    return Harness(broker, rng, log)
