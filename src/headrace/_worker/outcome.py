"""How an attempt ended -> what is to become of its task. Decides only; writes nothing."""

from __future__ import annotations

import enum
import math
import traceback
from typing import TYPE_CHECKING, Final

from headrace._broker.values import Archive, Complete, Done, Requeue, Retry
from headrace._errors import (
    HandlerCrashError,
    HandlerTimeoutError,
    InvalidOptionError,
    RetryLater,
    RevokeTask,
    SkipRetry,
    Snooze,
    TaskArgumentsError,
    TaskCancelledError,
)
from headrace._message import completed_message, failed_message
from headrace._validation import seconds

if TYPE_CHECKING:
    import logging
    import random

    from headrace._broker.values import Attempt, Transition
    from headrace._config import IsFailure, RetryDelay
    from headrace._message import TaskMessage
    from headrace._task import Task

__all__ = [
    "Cause",
    "Judge",
    "error_of",
    "error_report",
    "is_failed_attempt",
    "is_request",
    "remaining",
    "text_of",
]

_DONE: Final = Done()
_OWN_REQUESTS: Final = (RetryLater, Snooze, SkipRetry, RevokeTask)


class Cause(enum.Enum):
    """Why a handler was cancelled."""

    SHUTDOWN = "shutdown"
    TIMEOUT = "timeout"
    DEADLINE = "deadline"
    LEASE_LOST = "lease lost"
    CANCELLED = "cancelled on request"


def is_request(error: BaseException | None) -> bool:
    """Whether a handler raised *error* to say what is to become of its task."""
    return isinstance(error, _OWN_REQUESTS)


def is_failed_attempt(error: BaseException) -> bool:
    """Whether *error* is worth a report: a handler may also snooze, or find its task needless."""
    return not isinstance(error, (Snooze, RevokeTask))


def error_of(cause: Cause, message: TaskMessage) -> Exception | None:
    """Return the error that stands for *cause*; None where the task did not fail."""
    if cause is Cause.TIMEOUT:
        return HandlerTimeoutError(message.type, f"timeout of {message.timeout or 1800} s")
    if cause is Cause.DEADLINE:
        return HandlerTimeoutError(message.type, "deadline")
    if cause is Cause.CANCELLED:
        return TaskCancelledError(message.type, message.id)
    return None


class Judge:
    """Decides by a server's configuration.

    Args:
        retry_delay: Seconds until the next attempt.
        is_failure: Whether an error counts as one.
        rng: Spreads the retries where *retry_delay* fails.
        log: Where faults of the user's functions go.
    """

    def __init__(
        self,
        *,
        retry_delay: RetryDelay,
        is_failure: IsFailure,
        rng: random.Random,
        log: logging.Logger,
    ) -> None:
        self._retry_delay = retry_delay
        self._is_failure = is_failure
        self._rng = rng
        self._log = log

    def success(self, attempt: Attempt, result: bytes | None, now: float) -> Transition:
        """Return what follows when the handler returned. *now* is Redis's Unix time."""
        retention = attempt.message.retention
        if not retention:
            return _DONE
        return Complete(completed_message(attempt.data, completed_at=now), retention, result)

    def failure(self, attempt: Attempt, task: Task, error: BaseException, now: float) -> Transition:
        """Return what follows when the handler raised *error*. *now* is Redis's Unix time."""
        message = attempt.message
        if isinstance(error, RevokeTask):
            return Done()
        is_failure = not isinstance(error, Snooze) and self._counts(error)
        exhausted = message.retried >= message.max_retry
        gives_up = _is_final(error, message) or (is_failure and exhausted)
        retried = message.retried + 1 if is_failure and not gives_up else message.retried
        data = failed_message(
            attempt.data, error=error_report(error), failed_at=now, retried=retried
        )
        if gives_up:
            return Archive(data)
        return Retry(data, self._delay(message, error, task), is_failure)

    def interruption(self, cause: Cause) -> Transition | None:
        """Return what follows when the task is to blame for nothing; None: nothing at all."""
        # Who lost the lease must not write: another worker may run the task by now.
        return Requeue() if cause is Cause.SHUTDOWN else None

    def _counts(self, error: BaseException) -> bool:
        try:
            return bool(self._is_failure(error))
        except Exception:  # noqa: BLE001 - the user's code may raise anything
            self._log.exception("is_failure failed; the error counts as a failure")
            return True

    def _delay(self, message: TaskMessage, error: BaseException, task: Task) -> float:
        if isinstance(error, (RetryLater, Snooze)):
            try:
                return seconds("delay", error.delay)
            except InvalidOptionError as problem:
                self._log.error("%s of task %s: %s", type(error).__name__, message.id, problem)
        try:
            return seconds("retry_delay", self._retry_delay(message.retried, error, task))
        except Exception:  # noqa: BLE001 - the user's code may raise anything
            self._log.exception("retry_delay failed; the task is retried after a minute or so")
            return 60.0 + self._rng.uniform(0, 30)


def _is_final(error: BaseException, message: TaskMessage) -> bool:
    """Whether another attempt is not wanted, or could not help."""
    if isinstance(error, TaskArgumentsError):
        # A handler may also have failed to make another task.
        return error.task_type == message.type
    return isinstance(error, SkipRetry)


def text_of(error: BaseException) -> str:
    """Return an error's text, even if its ``__str__`` is broken."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - it must not hide the failure
        return "(its text cannot be shown)"


def error_report(error: BaseException) -> str:
    """Return what is recorded of *error*: its type, its text, and where it was raised."""
    text = text_of(error)
    if isinstance(error, (*_OWN_REQUESTS, TaskArgumentsError, HandlerTimeoutError)):
        return text or type(error).__name__
    report = f"{type(error).__name__}: {text}" if text else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    if frames and not isinstance(error, (TaskCancelledError, HandlerCrashError)):
        report += f" [{frames[-1].filename}:{frames[-1].lineno}]"
    return report


def remaining(message: TaskMessage, now: float) -> tuple[float, Cause]:
    """Return the seconds that an attempt may take from *now* (Redis's time), and what limits it.

    A message of another program may hold neither timeout nor deadline: then half an hour.
    """
    timeout = float(message.timeout) if message.timeout else math.inf
    if not message.timeout and not message.deadline:
        timeout = 1800.0
    until_deadline = message.deadline - now if message.deadline else math.inf
    if until_deadline < timeout:
        return until_deadline, Cause.DEADLINE
    return timeout, Cause.TIMEOUT
