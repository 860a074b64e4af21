"""pydocket: `Worker` in the process, no record kept of what is done."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from docket import Docket, Worker

from benchmarks.systems.adapter import COROUTINES, AsyncAdapter, run, wide

if TYPE_CHECKING:
    from collections.abc import Sequence


class Pydocket(AsyncAdapter):
    """Enqueues with a docket, works with a worker."""

    async def connect(self) -> None:
        """Open a docket, and register the tasks."""
        self._docket = Docket(name="bench", url=wide(self.url), execution_ttl=timedelta(0))
        await self._docket.__aenter__()
        for kind, function in COROUTINES.items():
            self._docket.register(function, names=[kind])

    async def add(self, kind: str, argument: int) -> None:
        """Enqueue one task."""
        await self._docket.add(COROUTINES[kind])(argument)

    async def add_many(self, kind: str, arguments: Sequence[int]) -> None:
        """Enqueue in bulk."""
        task = COROUTINES[kind]
        # Each call makes the key of one task.
        await self._docket.add_many([self._docket.call(task)(n) for n in arguments])

    async def add_later(self, kind: str, argument: int, due: int) -> None:
        """Enqueue a task that is due at *due*."""
        when = datetime.fromtimestamp(due, UTC)
        await self._docket.add(COROUTINES[kind], when=when)(argument)

    async def work(self, concurrency: int) -> None:
        """Run the tasks."""
        await self.connect()
        async with Worker(self._docket, concurrency=concurrency) as worker:
            await worker.run_forever()


if __name__ == "__main__":
    run(Pydocket)
