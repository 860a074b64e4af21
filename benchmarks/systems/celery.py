"""Celery: a worker with the pool of threads, long prefetching, results ignored."""

from __future__ import annotations

from datetime import UTC, datetime

from celery import Celery

from benchmarks.systems.adapter import AT_ONCE, FUNCTIONS, ThreadAdapter, run

PREFETCH = 64
"""Celery's guide to optimizing: many tasks of short duration want 64 or 128."""


class CeleryAdapter(ThreadAdapter):
    """Enqueues with tasks, works with `worker_main`."""

    def connect(self) -> None:
        """Declare the tasks."""
        self._app = Celery("bench", broker=self.url)
        self._app.conf.update(
            task_ignore_result=True,
            broker_pool_limit=AT_ONCE,
            worker_prefetch_multiplier=PREFETCH,
            worker_hijack_root_logger=False,
        )
        self._tasks = {
            kind: self._app.task(function, name=kind) for kind, function in FUNCTIONS.items()
        }

    def add(self, kind: str, argument: int) -> None:
        """Enqueue one task."""
        self._tasks[kind].apply_async((argument,))

    def add_later(self, kind: str, argument: int, due: int) -> None:
        """Enqueue a task that is due at *due*."""
        self._tasks[kind].apply_async((argument,), eta=datetime.fromtimestamp(due, UTC))

    def work(self, concurrency: int) -> None:
        """Run the tasks, without talking to other workers."""
        self.connect()
        self._app.worker_main(
            [
                *("worker", "--pool", "threads", "--concurrency", str(concurrency)),
                *("--without-gossip", "--without-mingle", "--without-heartbeat"),
                *("--loglevel", "WARNING"),
            ]
        )


if __name__ == "__main__":
    run(CeleryAdapter)
