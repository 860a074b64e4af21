"""A Redis in virtual time, and schedulers on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from headrace import PeriodicTaskManager, Scheduler
from headrace._broker.redis import RedisBroker
from headrace._errors import BrokerError
from headrace._message import decode_message

if TYPE_CHECKING:
    from headrace import ScheduleProvider, SchedulerOptions
    from tests.support.virtual_time import VirtualTime

__all__ = ["Redis"]


class Redis:
    """An embedded Redis whose clock is the virtual time, plus what a test sets it by."""

    def __init__(self, url: str, time: VirtualTime) -> None:
        self.url = url
        self.ahead = 0.0
        """Seconds that its clock is ahead of this process's."""
        self.is_down = False
        self._time = time
        self._broker = RedisBroker(url, now=self.now)

    def now(self) -> float:
        """Return its Unix time."""
        return self._time.time() + self.ahead

    def scheduler(self, **options: Unpack[SchedulerOptions]) -> Scheduler:
        """Return a scheduler that works here."""
        scheduler = Scheduler(self.url, **options)
        self.tie(scheduler._broker)
        return scheduler

    def manager(self, provider: ScheduleProvider, interval: float) -> PeriodicTaskManager:
        """Return a manager that works here."""
        manager = PeriodicTaskManager(self.url, provider, sync_interval=interval)
        self.tie(manager._broker)
        return manager

    def tie(self, broker: RedisBroker) -> None:
        """Let *broker* live in the virtual time."""
        broker._link._now = self.now
        run = broker._link.commands.run

        async def guarded(*commands: object) -> object:
            if self.is_down:
                raise BrokerError("Redis is down", retryable=True)
            return await run(*commands)  # type: ignore[arg-type]

        broker._link.commands.run = guarded  # type: ignore[method-assign, assignment]

    async def tasks(self, queue: str = "default") -> list[tuple[str, float]]:
        """Return the type of each pending task, and when it was enqueued: oldest first."""
        one = self._broker._link.commands.one
        keys = self._broker._link.keys(queue)
        found = []
        for task_id in reversed(await one(("LRANGE", keys.pending, 0, -1))):
            key = keys.task(task_id.decode())
            msg, since = await one(("HMGET", key, "msg", "pending_since"))
            found.append((decode_message(msg).type, int(since) / 1e9))
        return found

    async def times(self, queue: str = "default") -> list[float]:
        """Return when each pending task was enqueued, to a tenth of a second."""
        return [round(at, 1) for _, at in await self.tasks(queue)]

    async def command(self, *arguments: str | bytes | float) -> Any:  # noqa: ANN401 - as redis-py
        """Send a command. What it answers depends on it."""
        return await self._broker._link.commands.one(arguments)

    async def close(self) -> None:
        """Close the connections."""
        await self._broker.close()
