"""Fixtures for the tests of metrics, health and traces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio

from headrace import Client
from tests.server.helpers import Gate, Watch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest_asyncio.fixture
async def client(broker_url: str) -> AsyncIterator[Client]:
    """A client of the test's broker."""
    async with Client(broker_url) as client:
        yield client


@pytest_asyncio.fixture
async def gate() -> Gate:
    """A handler that waits for the test."""
    return Gate()


@pytest_asyncio.fixture
async def watch() -> Watch:
    """A state prober to wait for."""
    return Watch()
