"""What a running handler knows of its task, and may say about it."""

from __future__ import annotations

import contextvars
import json
import math
from typing import TYPE_CHECKING

from headrace._errors import InvalidOptionError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from headrace._message import TaskMessage

__all__ = ["TaskContext", "current_context"]

_current: contextvars.ContextVar[TaskContext] = contextvars.ContextVar("headrace_task")


class TaskContext:
    """The attempt that a handler runs in. Annotate a parameter with it to get it.

    Attributes:
        state: What the server's *lifespan* yielded; None without one.
        deadline: When this attempt is stopped, in Unix seconds; None: never.
    """

    __slots__ = ("_annotate", "_message", "deadline", "state")

    def __init__(
        self,
        message: TaskMessage,
        *,
        annotate: Callable[[str, bytes], Awaitable[None]],
        deadline: float | None = None,
        state: object = None,
    ) -> None:
        self._message = message
        self._annotate = annotate
        self.deadline: float | None = deadline
        self.state: object = state

    @property
    def task_id(self) -> str:
        """The task's ID."""
        return self._message.id

    @property
    def type(self) -> str:
        """The task's type."""
        return self._message.type

    @property
    def queue(self) -> str:
        """The queue that the task came from."""
        return self._message.queue

    @property
    def attempt(self) -> int:
        """Which try this is, counted from 1. A repetition after a crash counts as the same."""
        return self._message.retried + 1

    @property
    def retry_count(self) -> int:
        """How often the task has been retried so far."""
        return self._message.retried

    @property
    def max_retry(self) -> int:
        """How often the task may be retried."""
        return self._message.max_retry

    @property
    def headers(self) -> Mapping[str, str]:
        """Text that travelled beside the payload."""
        return self._message.headers

    @property
    def retention(self) -> int:
        """Seconds that the task and its result are kept for; 0: it is deleted once done."""
        return self._message.retention

    async def write_result(self, data: bytes) -> None:
        """Store *data* as the task's result. A value returned later takes its place.

        Raises:
            LeaseLostError: If another worker may run the task by now. Nothing was written.
            BrokerError: If Redis did not answer.
        """
        if not isinstance(data, bytes):
            raise InvalidOptionError("data", data, "a result is written as bytes")
        await self._annotate("result", data)

    async def progress(self, fraction: float, note: str = "") -> None:
        """Report how far the task is.

        Args:
            fraction: From 0 to 1.
            note: For a person to read.

        Raises:
            LeaseLostError: If another worker may run the task by now. Nothing was written.
            BrokerError: If Redis did not answer.
        """
        if not (math.isfinite(fraction) and 0 <= fraction <= 1):
            raise InvalidOptionError("fraction", fraction, "it must lie between 0 and 1")
        report = json.dumps({"fraction": fraction, "note": note})
        await self._annotate("hr:progress", report.encode())

    def __repr__(self) -> str:
        return f"<TaskContext {self.type!r} {self.task_id} attempt {self.attempt}>"


def current_context() -> TaskContext:
    """Return the context of the handler that is running.

    Raises:
        LookupError: If no handler runs here.
    """
    try:
        return _current.get()
    except LookupError:
        raise LookupError(
            "No handler is running here: current_context() works inside a task's handler only."
        ) from None


def set_current_context(context: TaskContext) -> None:
    """Make *context* what `current_context` returns in this asyncio task."""
    _current.set(context)
