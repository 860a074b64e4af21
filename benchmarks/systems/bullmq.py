"""BullMQ for Python: `Worker` in the process, jobs removed when they are done."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bullmq import Job, Queue, Worker

from benchmarks.systems.adapter import COROUTINES, AsyncAdapter, run

if TYPE_CHECKING:
    from collections.abc import Sequence

OPTIONS = {"removeOnComplete": True}


class BullMQ(AsyncAdapter):
    """Enqueues with a queue, works with a worker whose processor knows all kinds."""

    async def connect(self) -> None:
        """Make a queue."""
        self._queue = Queue("bench", {"connection": self.url})

    async def add(self, kind: str, argument: int) -> None:
        """Enqueue one job."""
        await self._queue.add(kind, {"argument": argument}, OPTIONS)

    async def add_many(self, kind: str, arguments: Sequence[int]) -> None:
        """Enqueue in bulk."""
        await self._queue.addBulk(
            [{"name": kind, "data": {"argument": n}, "opts": OPTIONS} for n in arguments]
        )

    async def add_later(self, kind: str, argument: int, due: int) -> None:
        """Enqueue a job that is due at *due*; BullMQ wants the delay in milliseconds."""
        options = {**OPTIONS, "delay": round((due - time.time()) * 1000)}
        await self._queue.add(kind, {"argument": argument}, options)

    async def work(self, concurrency: int) -> None:
        """Run the jobs."""
        worker = Worker(
            "bench",
            _process,
            {"connection": self.url, "concurrency": concurrency, "autorun": False},
        )
        await worker.run()


async def _process(job: Job, _token: str) -> None:
    await COROUTINES[job.name](job.data["argument"])


if __name__ == "__main__":
    run(BullMQ)
