"""Handlers for tests, and what a server would call them with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace._context import TaskContext
from headrace._message import TaskMessage
from headrace._task import Task

if TYPE_CHECKING:
    from headrace._router import Resolver, Router


async def _annotate(_field: str, _value: bytes) -> None:
    raise AssertionError("nothing is written in these tests")


def make_context(*, retention: int = 0) -> TaskContext:
    """Return a context as a server would make it."""
    message = TaskMessage(id="id", type="t", queue="default", retention=retention)
    return TaskContext(message, annotate=_annotate)


async def dispatch(resolver: Resolver, task: Task, *, retention: int = 0) -> bytes | None:
    """Run *task* as a server would."""
    return await resolver.resolve(task.type)(task, make_context(retention=retention))


def answering(router: Router, *patterns: str) -> Router:
    """Register for each of *patterns* a handler that answers with it."""
    for pattern in patterns:

        async def handler(_task: Task, answer: str = pattern) -> bytes:
            return answer.encode()

        router.add_handler(pattern, handler)
    return router


async def ignore(_task: Task) -> None:
    """Be a plain handler."""


async def answer(resolver: Resolver, task_type: str) -> bytes | None:
    """Return what the handler of *task_type* answers."""
    return await dispatch(resolver, Task(task_type), retention=60)
