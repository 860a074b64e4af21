"""Both sides, with the same words: who enqueues, who works, and who looks and acts."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final, Protocol, cast

from headrace import Task, TaskState
from tests.interop.handlers import router_for
from tests.interop.views import comparable, view
from tests.interop.waiting import eventually
from tests.server.helpers import serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from headrace import Client, Inspector, TaskOptions
    from tests.interop.conftest import StartGoWorker, Wire
    from tests.interop.programs import GoClient, GoInspector, View

__all__ = ["EACH", "GROUP", "IDLE", "WORK", "Agent", "Eye", "GoAgent", "GoEye", "OurAgent"]
__all__ += ["OurEye", "populated"]

WORK: Final = "work"
IDLE: Final = "idle"
GROUP: Final = "a group"
EACH: Final = 5
"""How many tasks a populated queue has of each state."""
LATE: Final = 3_600


class Agent(Protocol):
    """Enqueues and works."""

    async def enqueue(self, type_: str, payload: bytes | None, **options: object) -> str:
        """Enqueue a task; return its ID."""
        ...

    def working(self) -> AbstractAsyncContextManager[object]:
        """Work on the queue `WORK`, with retries an hour later."""
        ...


class OurAgent:
    """Headrace's client and server."""

    def __init__(self, wire: Wire, client: Client) -> None:
        self._url, self._client = wire.url, client

    async def enqueue(self, type_: str, payload: bytes | None, **options: object) -> str:
        """See `Agent`."""
        task = Task(type_, payload, **cast("TaskOptions", options))
        return (await self._client.enqueue(task)).id

    def working(self) -> AbstractAsyncContextManager[object]:
        """See `Agent`."""
        router = router_for(self._url)
        options = {"queues": {WORK: 3}, "concurrency": 7, "strict_priority": True}
        return serving(self._url, router, retry_delay=lambda *_: LATE, **options)  # type: ignore[arg-type]  # mypy sees one type for all.


class GoAgent:
    """asynq's client and server."""

    def __init__(self, wire: Wire, client: GoClient, start_worker: StartGoWorker) -> None:
        self._wire, self._client, self._start = wire, client, start_worker

    async def enqueue(self, type_: str, payload: bytes | None, **options: object) -> str:
        """See `Agent`."""
        return str(self._client.enqueue(type_, payload, **options)["id"])

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """See `Agent`."""
        options = {"queues": {WORK: 3}, "concurrency": 7, "strict_priority": True}
        worker = self._start(retry_delay=LATE, shutdown_timeout=0.1, **options).wait_until_ready()
        yield
        worker.stop()
        self._wire.tolerate(7, "it gives tasks back without pending_since")


@contextlib.asynccontextmanager
async def populated(agent: Agent, inspector: Inspector) -> AsyncIterator[None]:
    """Have two queues that hold tasks of every state, while a worker runs one of them.

    When it ends, the queue `WORK` holds one more pending task.
    """
    for n in range(EACH):
        tag = f"{n}".encode()
        await agent.enqueue("t", tag, queue=IDLE, timeout=60 + n)
        await agent.enqueue("t", tag, queue=IDLE, process_in=LATE + 100 * n, unique=LATE)
        await agent.enqueue("t", tag, queue=IDLE, group=GROUP, headers={"n": str(n)})
        await agent.enqueue("reply", tag, queue=WORK, retention=LATE + 100 * n)
        await agent.enqueue("fail", tag, queue=WORK, max_retry=n + 1)
        await agent.enqueue("fail", tag, queue=WORK, max_retry=0)
    await agent.enqueue("sleep", b"60", queue=WORK, retention=LATE)

    async def has_settled() -> bool:
        found = await inspector.queue_stats(WORK)
        return (found.retry, found.archived, found.completed, found.active) == (*[EACH] * 3, 1)

    async with agent.working():
        await eventually(has_settled)
        yield


# --- Who looks and acts --------------------------------------------------------------------


class Eye(Protocol):
    """Lists tasks and changes them; operations have the names of ``go/inspector.go``."""

    async def list(self, queue: str, state: TaskState, page: int = 1, size: int = 30) -> list[View]:
        """Report on the tasks of one state; those of `GROUP`, if they are aggregating."""
        ...

    async def act(self, op: str, queue: str, task_id: str, payload: bytes = b"") -> None:
        """Change one task."""
        ...

    async def act_on_all(self, op: str, queue: str, state: TaskState, group: str = GROUP) -> int:
        """Change all tasks of a state, of *group* if they are aggregating; return how many."""
        ...

    async def pause(self, queue: str, *, paused: bool) -> None:
        """Pause a queue, or let it run again."""
        ...

    async def delete_queue(self, queue: str, *, force: bool) -> None:
        """Delete a queue."""
        ...


def _group_of(state: TaskState, group: str = GROUP) -> str:
    return group if state is TaskState.AGGREGATING else ""


class OurEye:
    """Headrace's inspector."""

    def __init__(self, inspector: Inspector) -> None:
        self._inspector = inspector

    async def list(self, queue: str, state: TaskState, page: int = 1, size: int = 30) -> list[View]:
        """See `Eye`."""
        group = _group_of(state) or None
        found = await self._inspector.list_tasks(queue, state, group=group, page=page, size=size)
        return [view(info) for info in found]

    async def act(self, op: str, queue: str, task_id: str, payload: bytes = b"") -> None:
        """See `Eye`."""
        if op == "update_payload":
            await self._inspector.update_payload(queue, task_id, payload)
        else:
            one = {
                "run": self._inspector.run_task,
                "archive": self._inspector.archive_task,
                "delete": self._inspector.delete_task,
            }
            await one[op](queue, task_id)

    async def act_on_all(self, op: str, queue: str, state: TaskState, group: str = GROUP) -> int:
        """See `Eye`."""
        every = {
            "run_all": self._inspector.run_all,
            "archive_all": self._inspector.archive_all,
            "delete_all": self._inspector.delete_all,
        }
        return await every[op](queue, state, group=_group_of(state, group) or None)

    async def pause(self, queue: str, *, paused: bool) -> None:
        """See `Eye`."""
        assert await (self._inspector.pause if paused else self._inspector.unpause)(queue)

    async def delete_queue(self, queue: str, *, force: bool) -> None:
        """See `Eye`."""
        await self._inspector.delete_queue(queue, force=force)


class GoEye:
    """The inspector of asynq."""

    def __init__(self, inspector: GoInspector) -> None:
        self._inspector = inspector

    async def list(self, queue: str, state: TaskState, page: int = 1, size: int = 30) -> list[View]:
        """See `Eye`."""
        group = _group_of(state)
        found = self._inspector.list(queue, str(state), group=group, page=page, size=size)
        return [comparable(one) for one in found]

    async def act(self, op: str, queue: str, task_id: str, payload: bytes = b"") -> None:
        """See `Eye`."""
        self._inspector.do(op, queue, id=task_id, payload=payload)

    async def act_on_all(self, op: str, queue: str, state: TaskState, group: str = GROUP) -> int:
        """See `Eye`."""
        done = self._inspector.do(op, queue, state=str(state), group=_group_of(state, group))
        assert isinstance(done, int)
        return done

    async def pause(self, queue: str, *, paused: bool) -> None:
        """See `Eye`."""
        self._inspector.do("pause" if paused else "unpause", queue)

    async def delete_queue(self, queue: str, *, force: bool) -> None:
        """See `Eye`."""
        self._inspector.do("delete_queue", queue, force=force)
