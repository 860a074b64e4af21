"""Tells the log and the state prober what becomes of attempts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from headrace._broker.base import Archive, Complete, Done, Requeue, Retry
from headrace._message import task_info
from headrace._task import TaskState
from headrace._worker.outcome import is_request, text_of

if TYPE_CHECKING:
    import logging

    from headrace._broker.base import Attempt, Transition
    from headrace._worker.prober import StateProber

__all__ = ["Reporter"]


class Reporter:
    """One place for what is said about attempts.

    Args:
        prober: Gets the tasks that change state.
        log: Gets failures and losses.
    """

    def __init__(self, prober: StateProber, *, log: logging.Logger) -> None:
        self._prober = prober
        self._log = log

    @property
    def active(self) -> bool:
        """Whether changes of state are to be reported."""
        return self._prober.active

    def started(self, attempt: Attempt) -> None:
        """A handler begins."""
        self._prober.report(task_info(attempt.message, TaskState.ACTIVE))

    def finished(self, attempt: Attempt, transition: Transition, now: float) -> None:
        """The end of an attempt was written, at Redis's time *now*."""
        match transition:
            case Done():
                info = task_info(attempt.message, TaskState.COMPLETED, completed_at=now)
            case Complete(result=result):
                info = task_info(
                    attempt.message, TaskState.COMPLETED, completed_at=now, result=result
                )
            case Retry(delay=delay):
                info = task_info(
                    attempt.message, TaskState.RETRY, next_process_at=math.ceil(now + delay)
                )
            case Archive():
                info = task_info(attempt.message, TaskState.ARCHIVED)
            case Requeue():
                info = task_info(attempt.message, TaskState.PENDING)
        self._prober.report(info)

    def failed(self, attempt: Attempt, error: BaseException) -> None:
        """A handler failed."""
        message = attempt.message
        self._log.warning(
            "Task %s of type %r failed at attempt %d of %d: %s: %s",
            message.id,
            message.type,
            message.retried + 1,
            message.max_retry + 1,
            type(error).__name__,
            text_of(error),
            exc_info=None if is_request(error) or error.__traceback__ is None else error,
            extra=_fields(attempt),
        )

    def lost(self, attempt: Attempt) -> None:
        """An attempt ended without a say: its lease was lost."""
        self._log.warning(
            "The lease of task %s of type %r was lost; another worker runs it, or will",
            attempt.message.id,
            attempt.message.type,
            extra=_fields(attempt),
        )


def _fields(attempt: Attempt) -> dict[str, object]:
    message = attempt.message
    return {"task_id": message.id, "task_type": message.type, "queue": message.queue}
