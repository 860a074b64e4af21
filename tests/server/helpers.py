"""What the tests of the server share: a server that runs, and what it says of its tasks."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, cast

from headrace import Server, Task, TaskInfo, TaskState, TaskStateProber
from headrace._broker.redis import RedisBroker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from typing import Unpack

    from redis.asyncio import Redis, RedisCluster

    from headrace import Client, QueueStats, ServerOptions
    from headrace._router import Handler

__all__ = [
    "PATIENCE",
    "Gate",
    "Watch",
    "broker_of",
    "counters",
    "eventually",
    "job",
    "queue_stats",
    "raising",
    "request_cancel",
    "serving",
    "settled",
    "state_of",
]

PATIENCE = 60.0
"""Seconds after which something that should have happened has not."""


@contextlib.asynccontextmanager
async def serving(
    redis: str | Redis | RedisCluster, handler: Handler, **options: Unpack[ServerOptions]
) -> AsyncIterator[Server]:
    """Have a server running; leaving shuts it down, without much patience."""
    impatient: ServerOptions = {"shutdown_timeout": 1.0, **options}
    async with Server(redis, handler, **impatient) as server:
        yield server


def state_of(server: Server) -> str:
    """Return a server's state. A type checker takes the property for a constant."""
    return server.state


def broker_of(server: Server) -> RedisBroker:
    """Return a server's broker, for tests that break it."""
    assert isinstance(server._broker, RedisBroker)
    return server._broker


def job(name: str) -> Task:
    """Return a task whose payload is its name."""
    return Task("t", name.encode())


def raising(error: BaseException) -> Callable[[Task], Awaitable[None]]:
    """Return a handler that raises *error*."""

    async def handler(task: Task) -> None:
        raise error

    return handler


async def request_cancel(client: Client, task: TaskInfo) -> bool:
    """Ask for a running task to be cancelled, as the inspector does."""
    return await client._broker.request_cancel(task.queue, task.id)


async def eventually(condition: Callable[[], Awaitable[object]]) -> None:
    """Wait until *condition* holds. Only for what Redis alone knows, which sets no event."""
    async with asyncio.timeout(PATIENCE):
        while not await condition():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.02)


async def settled(client: Client) -> list[QueueStats]:
    """Wait until no queue holds a task; return what they counted."""

    async def is_empty() -> bool:
        return not any(found.size for found in await queue_stats(client))

    await eventually(is_empty)
    return await queue_stats(client)


async def queue_stats(client: Client) -> list[QueueStats]:
    """Count what each queue holds, sorted by name."""
    broker = client._broker
    return [await broker.queue_stats(name) for name in await broker.queue_names()]


async def counters(client: Client) -> tuple[int, int]:
    """Return how many tasks were processed, and how many attempts failed."""
    stats: QueueStats = (await queue_stats(client))[0]
    assert (stats.processed_total, stats.failed_total) == (stats.processed, stats.failed)
    return stats.processed, stats.failed


class Watch:
    """A state prober whose reports a test can wait for.

    Attributes:
        infos: What was reported, oldest first.
    """

    def __init__(self) -> None:
        self.infos: list[TaskInfo] = []
        self._reported = asyncio.Event()
        self.prober = TaskStateProber({"*": "task"}, self._take)

    def _take(self, report: Mapping[str, object]) -> None:
        self.infos.append(cast("TaskInfo", report["task"]))
        self._reported.set()

    def seen(self, task: TaskInfo | str, state: TaskState) -> list[TaskInfo]:
        """Return the reports of a task in a state."""
        task_id = task.id if isinstance(task, TaskInfo) else task
        return [info for info in self.infos if (task_id, state) == (info.id, info.state)]

    async def until(self, task: TaskInfo | str, state: TaskState, times: int = 1) -> TaskInfo:
        """Wait until a task was so often in a state; return the report."""
        async with asyncio.timeout(PATIENCE):
            while len(found := self.seen(task, state)) < times:
                self._reported.clear()
                await self._reported.wait()
        return found[times - 1]

    async def ended(self, count: int) -> None:
        """Wait until so many tasks were completed."""
        async with asyncio.timeout(PATIENCE):
            while sum(info.state is TaskState.COMPLETED for info in self.infos) < count:
                self._reported.clear()
                await self._reported.wait()


class Gate:
    """A handler that waits until the test lets it go on.

    Attributes:
        running: The payloads of the tasks that are inside.
        entered: The payloads of all that came, in order.
        left: The payloads of those that went through, in order.
        most: How many were inside at a time at the most.
        interrupted: The payloads of those that were cancelled.
    """

    def __init__(self, *, is_open: bool = False) -> None:
        self.running: list[str] = []
        self.entered: list[str] = []
        self.left: list[str] = []
        self.interrupted: list[str] = []
        self.most = 0
        self._open = asyncio.Event()
        self._changed = asyncio.Event()
        if is_open:
            self._open.set()

    def open(self) -> None:
        """Let everybody through from now on."""
        self._open.set()

    async def __call__(self, task: Task) -> None:
        """Wait. This is the handler."""
        name = task.payload.decode()
        self.entered.append(name)
        self.running.append(name)
        self.most = max(self.most, len(self.running))
        self._changed.set()
        try:
            await self._open.wait()
            self.left.append(name)
        except asyncio.CancelledError:
            self.interrupted.append(name)
            raise
        finally:
            self.running.remove(name)
            self._changed.set()

    async def until_entered(self, count: int) -> None:
        """Wait until so many tasks have come."""
        async with asyncio.timeout(PATIENCE):
            while len(self.entered) < count:
                self._changed.clear()
                await self._changed.wait()

    async def until_empty(self) -> None:
        """Wait until nobody is inside."""
        async with asyncio.timeout(PATIENCE):
            while self.running:
                self._changed.clear()
                await self._changed.wait()
