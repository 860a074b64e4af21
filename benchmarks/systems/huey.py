"""Huey: a consumer with threads in the process, blocking reads, no result kept."""

from __future__ import annotations

from datetime import datetime

from huey import RedisHuey

from benchmarks.systems.adapter import FUNCTIONS, ThreadAdapter, run, wide


class Huey(ThreadAdapter):
    """Enqueues with tasks, works with a consumer."""

    def connect(self) -> None:
        """Declare the tasks."""
        self._huey = RedisHuey("bench", url=wide(self.url), results=False, utc=False)
        self._tasks = {
            kind: self._huey.task(name=kind)(function) for kind, function in FUNCTIONS.items()
        }

    def add(self, kind: str, argument: int) -> None:
        """Enqueue one task."""
        self._tasks[kind](argument)

    def add_later(self, kind: str, argument: int, due: int) -> None:
        """Enqueue a task that is due at *due*; Huey wants local time."""
        when = datetime.fromtimestamp(due)  # noqa: DTZ006
        self._tasks[kind].schedule(args=(argument,), eta=when)

    def work(self, concurrency: int) -> None:
        """Run the tasks."""
        self.connect()
        self._huey.create_consumer(workers=concurrency, worker_type="thread").run()


if __name__ == "__main__":
    run(Huey)
