"""RQ: `SimpleWorker`, which runs one job after another in its process; no result kept."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from redis import Redis
from rq import Queue, SimpleWorker

from benchmarks.systems.adapter import ThreadAdapter, run

if TYPE_CHECKING:
    from collections.abc import Sequence


class Rq(ThreadAdapter):
    """Enqueues with a queue, works with a worker; its concurrency is 1."""

    def connect(self) -> None:
        """Make a queue."""
        self._redis = Redis.from_url(self.url)
        self._queue = Queue(connection=self._redis)

    def add(self, kind: str, argument: int) -> None:
        """Enqueue one job."""
        self._queue.enqueue(_path(kind), argument, result_ttl=0)

    def add_many(self, kind: str, arguments: Sequence[int]) -> None:
        """Enqueue in bulk."""
        path = _path(kind)
        self._queue.enqueue_many(
            [Queue.prepare_data(path, args=(n,), result_ttl=0) for n in arguments]
        )

    def add_later(self, kind: str, argument: int, due: int) -> None:
        """Enqueue a job that is due at *due*."""
        when = datetime.fromtimestamp(due, UTC)
        self._queue.enqueue_at(when, _path(kind), argument, result_ttl=0)

    def work(self, concurrency: int) -> None:  # noqa: ARG002 - there is no choice
        """Run the jobs; RQ's scheduler, a process of its own, only if there are scheduled ones."""
        self.connect()
        worker = SimpleWorker([self._queue], connection=self._redis)
        worker.work(logging_level="WARNING", with_scheduler=self.schedules)


def _path(kind: str) -> str:
    return f"benchmarks.systems.adapter.{kind}_in_thread"


if __name__ == "__main__":
    run(Rq)
