"""Headrace: a server of its own in the process, no result kept."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from benchmarks.systems.adapter import COROUTINES, AsyncAdapter, run
from headrace import Client, Router, Server, Task

if TYPE_CHECKING:
    from collections.abc import Sequence


class Headrace(AsyncAdapter):
    """Enqueues with a client, works with a server."""

    async def connect(self) -> None:
        """Make a client."""
        self._client = Client(self.url)
        await self._client.ping()

    async def add(self, kind: str, argument: int) -> None:
        """Enqueue one task; concurrent calls share round trips."""
        await self._client.enqueue(Task(kind, {"argument": argument}))

    async def add_many(self, kind: str, arguments: Sequence[int]) -> None:
        """Enqueue in bulk."""
        await self._client.enqueue_many([Task(kind, {"argument": n}) for n in arguments])

    async def add_later(self, kind: str, argument: int, due: int) -> None:
        """Enqueue a task that is due at *due*."""
        await self._client.enqueue(Task(kind, {"argument": argument}), process_at=due)

    async def work(self, concurrency: int) -> None:
        """Run typed tasks: their argument is read from JSON and checked."""
        router = Router()
        for kind, handler in COROUTINES.items():
            router.task(kind)(handler)
        async with Server(self.url, router, concurrency=concurrency):
            await asyncio.Event().wait()


if __name__ == "__main__":
    run(Headrace)
