"""taskiq with taskiq-redis: its stream broker and `run_receiver_task`, no result kept."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from taskiq import TaskiqScheduler
from taskiq.api import run_receiver_task, run_scheduler_task
from taskiq_redis import ListRedisScheduleSource, RedisStreamBroker

from benchmarks.systems.adapter import COROUTINES, AsyncAdapter, run

LOOK = timedelta(seconds=1)
"""How often the scheduler looks for new schedules; by default once a minute."""


class Taskiq(AsyncAdapter):
    """Enqueues through a broker, works with a receiver; a scheduler sends what falls due."""

    async def connect(self) -> None:
        """Make a broker with its consumer group, and declare the tasks."""
        self._broker = RedisStreamBroker(self.url)
        self._source = ListRedisScheduleSource(self.url)
        self._tasks = {
            kind: self._broker.register_task(function, task_name=kind)
            for kind, function in COROUTINES.items()
        }
        await self._broker.startup()
        await self._source.startup()

    async def add(self, kind: str, argument: int) -> None:
        """Enqueue one task."""
        await self._tasks[kind].kiq(argument)

    async def add_later(self, kind: str, argument: int, due: int) -> None:
        """Enqueue a task that is due at *due*."""
        when = datetime.fromtimestamp(due, UTC)
        await self._tasks[kind].schedule_by_time(self._source, when, argument)

    async def work(self, concurrency: int) -> None:
        """Run the tasks, and the scheduler if there are scheduled ones."""
        await self.connect()
        async with asyncio.TaskGroup() as group:
            group.create_task(run_receiver_task(self._broker, max_async_tasks=concurrency))
            if self.schedules:
                scheduler = TaskiqScheduler(self._broker, [self._source])
                group.create_task(run_scheduler_task(scheduler, interval=LOOK))


if __name__ == "__main__":
    run(Taskiq)
