"""Plain handlers, one for each form that a handler may have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from headrace._task import Task

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace._context import TaskContext

__all__ = ["plain_handlers"]


class Named(Protocol):
    """What a handler may ask of a task at the least."""

    @property
    def type(self) -> str:
        """The task's type."""
        ...


def plain_handlers() -> list[Callable[..., Any]]:
    """Return plain handlers, each of its own form."""
    return [*_taking_the_task(), *_taking_the_context()]


def _taking_the_task() -> list[Callable[..., Any]]:
    """Return handlers that get the task, and nothing else."""

    async def just_task(task: Task) -> object:
        return task.type

    async def untyped(task):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
        return task.type

    async def with_default(task: Task, limit: int = 3) -> object:
        return limit == 3 and task.type

    async def wide(task: Task, *args: object, **kwargs: object) -> object:
        return not args and not kwargs and task.type

    async def variadic(*args: Any) -> object:  # noqa: ANN401
        return args[0].type

    async def optional(task: Task | None) -> object:
        return task and task.type

    async def protocol(task: Named) -> object:
        return task.type

    async def unresolved(task: object) -> object:
        return isinstance(task, Task) and task.type

    async def again(task: Task, same: Task) -> object:
        return task is same and task.type

    unresolved.__annotations__["task"] = "typing_only.Task"
    return [
        *(just_task, untyped, with_default, wide),
        *(variadic, optional, protocol, unresolved, again),
    ]


def _taking_the_context() -> list[Callable[..., Any]]:
    """Return handlers that get the task and the context."""

    async def with_context(task: Task, ctx: TaskContext) -> object:
        return ctx.task_id and task.type

    async def context_by_name(task: Task, *, context: TaskContext | None = None) -> object:
        return context and task.type

    async def positional(task: Task, /, ctx: TaskContext) -> object:
        return ctx.task_id and task.type

    def in_thread(task: Task, ctx: TaskContext) -> object:
        return ctx.task_id and task.type

    return [with_context, context_by_name, positional, in_thread]
