"""A broker within the process, and what looks and writes there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio

from headrace import Client, Inspector

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest_asyncio.fixture
async def client(memory_url: str) -> AsyncIterator[Client]:
    """What enqueues."""
    async with Client(memory_url) as client:
        yield client


@pytest_asyncio.fixture
async def inspector(memory_url: str) -> AsyncIterator[Inspector]:
    """What the dashboard looks and acts with."""
    async with Inspector(memory_url) as inspector:
        yield inspector
