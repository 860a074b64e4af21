"""What a scheduler's user wants to be told."""

from __future__ import annotations

import dataclasses
import inspect
from typing import TYPE_CHECKING, TypeAlias

from headrace._errors import InvalidOptionError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from headrace._errors import HeadraceError
    from headrace._log import RateLimitedLog
    from headrace._task import Task, TaskInfo

__all__ = ["Hooks", "PostEnqueue", "PreEnqueue", "ScheduleErrorHandler"]

PreEnqueue: TypeAlias = "Callable[[Task], Awaitable[None] | None]"
PostEnqueue: TypeAlias = "Callable[[TaskInfo | None, HeadraceError | None], Awaitable[None] | None]"
ScheduleErrorHandler: TypeAlias = "Callable[[Task, HeadraceError], Awaitable[None] | None]"


@dataclasses.dataclass(frozen=True, slots=True)
class Hooks:
    """The functions to call. What they raise is logged, and changes nothing."""

    log: RateLimitedLog
    pre_enqueue: PreEnqueue | None = None
    post_enqueue: PostEnqueue | None = None
    error_handler: ScheduleErrorHandler | None = None

    def __post_init__(self) -> None:
        for name in ("pre_enqueue", "post_enqueue", "error_handler"):
            value = getattr(self, name)
            if value is not None and not callable(value):
                raise InvalidOptionError(name, value, "it must be callable")

    async def before(self, task: Task) -> None:
        """Say that *task* is about to be enqueued, here or by another scheduler."""
        if self.pre_enqueue is not None:
            await self._call("pre_enqueue", self.pre_enqueue, task)

    async def after(self, task: Task, info: TaskInfo | None, error: HeadraceError | None) -> None:
        """Say what became of it."""
        if error is not None and self.error_handler is not None:
            await self._call("error_handler", self.error_handler, task, error)
        if self.post_enqueue is not None:
            await self._call("post_enqueue", self.post_enqueue, info, error)

    async def _call(self, name: str, function: Callable[..., object], *args: object) -> None:
        try:
            result = function(*args)
            if inspect.isawaitable(result):
                await result
        except Exception as error:  # noqa: BLE001 - the user's code, in the midst of ours
            self.log.fault(name, "The scheduler's %s failed", name, exc=error)
        else:
            self.log.recovered(name)
