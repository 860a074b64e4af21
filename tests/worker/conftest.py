"""What the tests of components share: virtual time, a fake broker, a log, a seeded rng."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from headrace._log import RateLimitedLog
from tests.support.fake_broker import FakeBroker
from tests.support.randomness import seeded
from tests.support.virtual_time import pytest_asyncio_loop_factories, virtual_time

if TYPE_CHECKING:
    import random

    from tests.support.virtual_time import VirtualTime

__all__ = ["pytest_asyncio_loop_factories", "virtual_time"]


@pytest.fixture
def broker(virtual_time: VirtualTime) -> FakeBroker:
    """A broker whose Redis clock goes with the virtual time."""
    return FakeBroker(virtual_time)


@pytest.fixture
def rng() -> random.Random:
    """Randomness that is the same in every run."""
    return seeded()


@pytest.fixture
def log(virtual_time: VirtualTime, caplog: pytest.LogCaptureFixture) -> RateLimitedLog:
    """A log in virtual time, of which caplog records everything."""
    caplog.set_level(logging.DEBUG, logger="headrace")
    return RateLimitedLog(logging.getLogger("headrace.test"), time=lambda: virtual_time.now)
