"""Waits for what another process writes into Redis, which sets no event."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.server.helpers import queue_stats

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from headrace import Client, QueueStats

__all__ = ["PATIENCE", "eventually", "until_empty"]

PATIENCE = 240.0
"""Seconds after which something that should have happened has not. It is more than the two
minutes that a Go worker's tasks may lie for when it dies."""


async def eventually(condition: Callable[[], Awaitable[object]]) -> None:
    """Wait until *condition* holds."""
    async with asyncio.timeout(PATIENCE):
        while not await condition():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.02)


async def until_empty(client: Client) -> QueueStats:
    """Wait until the only queue holds no task; return what it counted."""

    async def is_empty() -> bool:
        [found] = await queue_stats(client)
        return not found.size

    await eventually(is_empty)
    [found] = await queue_stats(client)
    return found
