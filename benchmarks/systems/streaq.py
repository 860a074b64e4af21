"""streaq: `Worker` in the process, no result kept, its own logging of tasks off."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from streaq import Worker

from benchmarks.systems.adapter import COROUTINES, AsyncAdapter, run

if TYPE_CHECKING:
    from collections.abc import Sequence


class Streaq(AsyncAdapter):
    """Enqueues and works with a worker, as streaq has no client beside it."""

    async def connect(self) -> None:
        """Make a worker, and open its connections."""
        self._worker = Worker(redis_url=self.url, concurrency=100)
        self._register()
        await self._worker.__aenter__()

    def _register(self) -> None:
        self._tasks = {
            kind: self._worker.task(name=kind, silent=True, ttl=0)(function)
            for kind, function in COROUTINES.items()
        }

    async def add(self, kind: str, argument: int) -> None:
        """Enqueue one task."""
        await self._tasks[kind].enqueue(argument)

    async def add_many(self, kind: str, arguments: Sequence[int]) -> None:
        """Enqueue in bulk."""
        task = self._tasks[kind]
        await self._worker.enqueue_many([task.enqueue(n) for n in arguments])

    async def add_later(self, kind: str, argument: int, due: int) -> None:
        """Enqueue a task that is due at *due*."""
        await self._tasks[kind].enqueue(argument).start(schedule=datetime.fromtimestamp(due, UTC))

    async def work(self, concurrency: int) -> None:
        """Run the tasks."""
        self._worker = Worker(redis_url=self.url, concurrency=concurrency, handle_signals=False)
        self._register()
        await self._worker.run_async()


if __name__ == "__main__":
    run(Streaq)
