"""Fixtures for the tests of metrics, health and traces."""

from __future__ import annotations

import pytest_asyncio

from tests.server.helpers import Gate, Watch


@pytest_asyncio.fixture
async def gate() -> Gate:
    """A handler that waits for the test."""
    return Gate()


@pytest_asyncio.fixture
async def watch() -> Watch:
    """A state prober to wait for."""
    return Watch()
