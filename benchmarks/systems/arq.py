"""arq: `Worker` in the process, no result kept."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from arq import create_pool, func
from arq.connections import RedisSettings
from arq.worker import Worker

from benchmarks.systems.adapter import COROUTINES, AsyncAdapter, run

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


class Arq(AsyncAdapter):
    """Enqueues with a pool, works with a worker whose *max_jobs* is the concurrency."""

    async def connect(self) -> None:
        """Make a pool."""
        self._pool = await create_pool(RedisSettings.from_dsn(self.url))

    async def add(self, kind: str, argument: int) -> None:
        """Enqueue one job."""
        await self._pool.enqueue_job(kind, argument)

    async def add_later(self, kind: str, argument: int, due: int) -> None:
        """Enqueue a job that is due at *due*."""
        await self._pool.enqueue_job(kind, argument, _defer_until=datetime.fromtimestamp(due, UTC))

    async def work(self, concurrency: int) -> None:
        """Run the jobs."""
        worker = Worker(
            functions=[func(_with_context(f), name=kind) for kind, f in COROUTINES.items()],
            redis_settings=RedisSettings.from_dsn(self.url),
            max_jobs=concurrency,
            keep_result=0,
            log_results=False,
            handle_signals=False,
        )
        await worker.async_run()


def _with_context(
    handler: Callable[[int], Coroutine[None, None, None]],
) -> Callable[[object, int], Coroutine[None, None, None]]:
    async def job(_context: object, argument: int) -> None:
        await handler(argument)

    return job


if __name__ == "__main__":
    run(Arq)
