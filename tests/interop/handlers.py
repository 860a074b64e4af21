"""Our half of ``go/handlers.go``: the same types of tasks, and what becomes of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from headrace import RateSemaphore, RevokeTask, Router, SkipRetry, Task, TaskContext
from tests.interop.views import write_report

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["aggregate", "router_for"]


async def echo(task: Task, context: TaskContext) -> bytes:
    """Result in a report of the task."""
    return write_report(
        id=context.task_id,
        type=task.type,
        queue=context.queue,
        payload=task.payload,
        headers=dict(task.headers),
        retried=context.retry_count,
        max_retry=context.max_retry,
        deadline=int(context.deadline or 0),
    )


async def reply(task: Task) -> bytes:
    """Result in the payload."""
    return task.payload


async def sleep(task: Task) -> None:
    """Take as many seconds as the payload says."""
    await asyncio.sleep(float(task.payload))


async def fail(task: Task) -> None:
    """Fail."""
    raise ValueError("on purpose")


async def fail_once(task: Task, context: TaskContext) -> bytes:
    """Fail when it is tried for the first time."""
    if context.retry_count == 0:
        raise ValueError("on purpose")
    return await echo(task, context)


async def skip(task: Task) -> None:
    """Fail, and say that a retry is of no use."""
    raise SkipRetry("no use")


async def revoke(task: Task) -> None:
    """Have the task dropped."""
    raise RevokeTask


def aggregate(group: str, tasks: Sequence[Task]) -> Task:
    """Make one task of a group: its payload is the group's name and theirs, sorted."""
    members = sorted(task.payload.decode() for task in tasks)
    return Task("echo", {"group": group, "members": members}, retention=3600)


def router_for(url: str) -> Router:
    """Return the handlers; *url* is that of the Redis where semaphores are."""
    router = Router()

    async def hold(task: Task) -> bytes:
        """Take a token of a semaphore of one, and result in whether it got it."""
        scope, _, keep = task.payload.decode().partition(" ")
        async with RateSemaphore(url, scope, 1) as semaphore:
            acquired = await semaphore.try_acquire()
            if acquired and not keep:
                assert await semaphore.release()
        return b"true" if acquired else b"false"

    for name, handler in (("echo", echo), ("fail_once", fail_once)):
        router.add_handler(name, handler)
    for name, plain in (("reply", reply), ("sleep", sleep), ("fail", fail), ("panic", fail)):
        router.add_handler(name, plain)
    for name, ending in (("skip", skip), ("revoke", revoke), ("hold", hold)):
        router.add_handler(name, ending)
    return router
