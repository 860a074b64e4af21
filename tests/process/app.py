"""A worker for tests: ``python -m tests.process.app REDIS_URL JOURNAL_FD OPTIONS_AS_JSON``."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import time
from pathlib import Path

import anyio

import headrace
from headrace import Router, Server, Task, TaskContext

router = Router()
journal = -1


def note(kind: str, task: str = "-") -> None:
    """Write an event into the journal, in one piece."""
    os.write(journal, f"{kind} {task} {os.getpid()} {time.monotonic()}\n".encode())


@router.handler("sleep")
async def sleep(task: Task, context: TaskContext) -> int:
    """Sleep for as many seconds as the payload says; return which process it was."""
    note("begin", context.task_id)
    try:
        await asyncio.sleep(float(task.payload))
    except asyncio.CancelledError:
        note("cancelled", context.task_id)
        raise
    note("end", context.task_id)
    return os.getpid()


@router.handler("once")
async def once(task: Task, context: TaskContext) -> int:
    """Sleep for long, unless somebody did so before: the payload is the path of a mark."""
    mark = Path(task.payload.decode())
    is_first = not mark.exists()
    mark.touch()
    note("begin", context.task_id)
    try:
        await asyncio.sleep(3600 if is_first else 0)
    except asyncio.CancelledError:
        note("cancelled", context.task_id)
        raise
    note("end", context.task_id)
    return os.getpid()


@router.handler("block")
async def block(task: Task, context: TaskContext) -> int:
    """Block the event loop for as many seconds as the payload says."""
    note("begin", context.task_id)
    time.sleep(float(task.payload))  # noqa: ASYNC251 - that is it
    note("end", context.task_id)
    return os.getpid()


@router.handler("die")
async def die(task: Task, context: TaskContext) -> None:
    """Take the whole process along."""
    note("begin", context.task_id)
    os.kill(os.getpid(), signal.SIGKILL)


@router.handler("stubborn")
async def stubborn(task: Task, context: TaskContext) -> None:
    """Ignore every cancellation."""
    note("begin", context.task_id)
    while True:
        with contextlib.suppress(asyncio.CancelledError), anyio.CancelScope(shield=True):
            await asyncio.sleep(3600)


@router.handler("thread")
def thread(task: Task, context: TaskContext) -> None:
    """Be a thread that nothing stops."""
    note("begin", context.task_id)
    time.sleep(float(task.payload))


def check(_error: BaseException | None) -> None:
    """Be the health check: its first call comes when the server has started."""
    if not getattr(check, "called", False):
        check.called = True  # type: ignore[attr-defined]  # A function has attributes.
        note("ready")


def main() -> None:
    """Run the worker until a signal ends it."""
    global journal  # noqa: PLW0603 - one per process
    url, fd, options = sys.argv[1:]
    journal = int(fd)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    headrace.run(
        Server(url, router, health_check=check, health_check_interval=3600, **json.loads(options))
    )
    note("closed")


if __name__ == "__main__":
    main()
