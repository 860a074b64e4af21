"""SAQ: `Worker` in the process, results not kept (``ttl=-1``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from saq import Queue, Worker

from benchmarks.systems.adapter import COROUTINES, AsyncAdapter, run

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


class Saq(AsyncAdapter):
    """Enqueues with a queue, works with a worker."""

    async def connect(self) -> None:
        """Make a queue."""
        self._queue = Queue.from_url(self.url)
        await self._queue.connect()

    async def add(self, kind: str, argument: int) -> None:
        """Enqueue one job."""
        await self._queue.enqueue(kind, argument=argument, ttl=-1)

    async def add_later(self, kind: str, argument: int, due: int) -> None:
        """Enqueue a job that is due at *due*."""
        await self._queue.enqueue(kind, argument=argument, ttl=-1, scheduled=due)

    async def work(self, concurrency: int) -> None:
        """Run the jobs."""
        worker = Worker(
            Queue.from_url(self.url),
            functions=[(kind, _with_context(f)) for kind, f in COROUTINES.items()],
            concurrency=concurrency,
        )
        await worker.start()


def _with_context(
    handler: Callable[[int], Coroutine[None, None, None]],
) -> Callable[..., Coroutine[None, None, None]]:
    async def job(_context: object, *, argument: int) -> None:
        await handler(argument)

    return job


if __name__ == "__main__":
    run(Saq)
