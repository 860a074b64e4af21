"""Tells the log, the state prober and the observers what becomes of attempts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from headrace._broker.values import Applied, Archive, Complete, Done, Requeue, Retry
from headrace._events import Events, TaskEvent, TaskOutcome, TaskWatch
from headrace._log import RateLimitedLog
from headrace._message import task_info
from headrace._task import TaskState
from headrace._worker.outcome import is_request, text_of

if TYPE_CHECKING:
    import logging

    from headrace._broker.values import Attempt, Finish, Lease, Transition
    from headrace._worker.prober import StateProber

__all__ = ["Reporter", "outcome_of"]


class Reporter:
    """One place for what is said about attempts.

    Args:
        prober: Gets the tasks that change state.
        log: Gets failures and losses.
        events: Gets the beginnings and the ends; None: nobody does.
    """

    def __init__(
        self, prober: StateProber, *, log: logging.Logger, events: Events | None = None
    ) -> None:
        self._prober = prober
        self._log = log
        self._awaited: dict[Lease, tuple[Attempt, Transition, float]] = {}
        self._events = Events(RateLimitedLog(log)) if events is None else events

    @property
    def active(self) -> bool:
        """Whether changes of state are to be reported."""
        return self._prober.active

    def watch(self, attempt: Attempt) -> TaskWatch | None:
        """Return what tells the observers of an attempt that begins; None: there are none."""
        if not self._events.observers:
            return None
        message = attempt.message
        return TaskWatch(
            self._events,
            TaskEvent(
                task_id=message.id,
                type=message.type,
                queue=message.queue,
                attempt=message.retried + 1,
            ),
        )

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

    def awaited(self, attempt: Attempt, transition: Transition, now: float) -> None:
        """The end of an attempt could not be written yet; `settled` will tell."""
        self._awaited[attempt.lease] = (attempt, transition, now)

    def settled(self, finish: Finish, applied: Applied) -> None:
        """The end of an attempt was written late, or is dropped."""
        awaited = self._awaited.pop(finish.lease, None)
        if awaited is not None and applied is not Applied.LOST:
            self.finished(*awaited)

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


def outcome_of(
    transition: Transition | None, applied: Applied | None, *, returned: bool
) -> TaskOutcome:
    """Return what observers are told of an attempt.

    Args:
        transition: How it was to end; None: it had no say.
        applied: What became of that; None: it is still to be written.
        returned: Whether the handler did.
    """
    if applied is Applied.LOST:
        return TaskOutcome.LOST
    match transition:
        case Done() | Complete():
            return TaskOutcome.SUCCEEDED if returned else TaskOutcome.REVOKED
        case Retry(is_failure=is_failure):
            return TaskOutcome.RETRIED if is_failure else TaskOutcome.POSTPONED
        case Archive():
            return TaskOutcome.ARCHIVED
        case Requeue():
            return TaskOutcome.REQUEUED
        case None:
            return TaskOutcome.LOST


def _fields(attempt: Attempt) -> dict[str, object]:
    message = attempt.message
    return {"task_id": message.id, "task_type": message.type, "queue": message.queue}
