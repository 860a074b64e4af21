"""Fixtures for the tests of the server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest_asyncio

from tests.server.helpers import Gate, Watch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


KEEPER = "AnyIO process pool shutdown task"
"""It ends idle worker processes together with the loop."""


@pytest_asyncio.fixture(autouse=True)
async def no_task_is_left() -> AsyncIterator[None]:
    """Nothing of a server goes on behind a test's back."""
    before = asyncio.all_tasks()
    yield
    left = {task for task in asyncio.all_tasks() if task.get_name() != KEEPER}
    assert left - before - {asyncio.current_task()} == set()


@pytest_asyncio.fixture
async def watch() -> Watch:
    """A state prober to wait for."""
    return Watch()


@pytest_asyncio.fixture
async def gate() -> Gate:
    """A handler that waits for the test."""
    return Gate()
