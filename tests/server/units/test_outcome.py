"""How an attempt ended, and what is to become of its task."""

from __future__ import annotations

import logging
import math
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from headrace import (
    HandlerCrashError,
    HandlerTimeoutError,
    RetryLater,
    RevokeTask,
    SkipRetry,
    Snooze,
    Task,
    TaskArgumentsError,
    TaskCancelledError,
)
from headrace._broker.values import Archive, Complete, Done, Requeue, Retry
from headrace._message import decode_message
from headrace._worker.outcome import (
    Cause,
    Judge,
    error_of,
    error_report,
    is_request,
    remaining,
)
from tests.server.units.harness import NOW, attempt, raised
from tests.support.randomness import seeded

if TYPE_CHECKING:
    from headrace._broker.values import Transition

TASK = Task("t")


def judge(*, delay: object = 60.0, is_failure: object = True) -> Judge:
    """Return a judge whose functions return, or raise, what is given."""

    def answer(value: Any) -> Any:  # noqa: ANN401 - that it may be anything is the point
        if isinstance(value, Exception):
            raise value
        return value

    return Judge(
        retry_delay=lambda *_: answer(delay),
        is_failure=lambda _: answer(is_failure),
        rng=seeded(),
        log=logging.getLogger("headrace.test"),
    )


def summary(transition: Transition) -> tuple[object, ...]:
    """Return what matters of a transition: its kind, and what it writes."""
    match transition:
        case Retry(data, delay, is_failure):
            message = decode_message(data)
            return ("retry", message.retried, message.error_msg, delay, is_failure)
        case Archive(data):
            message = decode_message(data)
            return ("archive", message.retried, message.error_msg)
    return (type(transition).__name__,)


def test_success_without_retention_is_done() -> None:
    """A task without retention is deleted, its result with it."""
    assert Done() == judge().success(attempt(), b"result", NOW)


def test_success_with_retention_is_kept() -> None:
    """A task with retention is kept with its result, and the second when it was done."""
    kept = judge().success(attempt(retention=60), b"result", NOW)

    assert isinstance(kept, Complete)
    assert (60, b"result") == (kept.retention, kept.result)
    assert int(NOW) == decode_message(kept.data).completed_at


@pytest.mark.parametrize(
    ("error", "fields", "is_failure", "expected"),
    [
        (ValueError("x"), {"max_retry": 3}, True, ("retry", 1, "ValueError: x", 60.0, True)),
        (ValueError("x"), {"max_retry": 0}, True, ("archive", 0, "ValueError: x")),
        (
            ValueError("x"),
            {"max_retry": 3, "retried": 3},
            True,
            ("archive", 3, "ValueError: x"),
        ),
        (
            ValueError("x"),
            {"max_retry": 3, "retried": 9},
            True,
            ("archive", 9, "ValueError: x"),
        ),
        (ValueError("x"), {"max_retry": 0}, False, ("retry", 0, "ValueError: x", 60.0, False)),
        (SkipRetry("x"), {"max_retry": 3}, True, ("archive", 0, "x")),
        (SkipRetry("x"), {"max_retry": 3}, False, ("archive", 0, "x")),
        (RevokeTask("x"), {"max_retry": 3, "retention": 9}, True, ("Done",)),
        (RetryLater(5, "x"), {"max_retry": 3}, True, ("retry", 1, "x", 5.0, True)),
        (RetryLater(5, "x"), {"max_retry": 3}, False, ("retry", 0, "x", 5.0, False)),
        (RetryLater(5, "x"), {"max_retry": 0}, True, ("archive", 0, "x")),
        (RetryLater(timedelta(hours=1)), {}, False, ("retry", 0, "retry requested", 3600.0, False)),
        (Snooze(5, "x"), {"max_retry": 0}, True, ("retry", 0, "x", 5.0, False)),
        (Snooze(-5, "x"), {"max_retry": 0}, True, ("retry", 0, "x", 60.0, False)),
    ],
)
def test_failure(
    error: Exception,
    fields: dict[str, Any],
    is_failure: bool,  # noqa: FBT001 - a column of the table
    expected: tuple[object, ...],
) -> None:
    """Retries are spent by failures only; requests of the handler come before everything."""
    decided = judge(is_failure=is_failure).failure(attempt(**fields), TASK, error, NOW)

    assert expected == summary(decided)


def test_failure_is_dated() -> None:
    """A failure's second is kept in the message, and what else the message holds."""
    decided = judge().failure(attempt(payload=b"p", max_retry=9), TASK, ValueError(), NOW)

    assert isinstance(decided, Retry)
    message = decode_message(decided.data)
    assert (int(NOW), b"p", 9) == (message.last_failed_at, message.payload, message.max_retry)


def test_unfit_arguments_are_final_for_their_own_task_only() -> None:
    """Arguments that do not fit archive the task that has them, not the one that sent others."""
    own, other = TaskArgumentsError("t", "missing"), TaskArgumentsError("other", "missing")

    assert "archive" == summary(judge().failure(attempt(max_retry=9), TASK, own, NOW))[0]
    assert "retry" == summary(judge().failure(attempt(max_retry=9), TASK, other, NOW))[0]


@pytest.mark.parametrize("delay", [KeyError(), -1, math.nan, math.inf, "soon", None, 2**70])
def test_bad_retry_delay_is_a_minute_or_so(delay: object) -> None:
    """Where retry_delay fails, the task is retried after 60 to 90 s, spread at random."""
    decided = judge(delay=delay).failure(attempt(max_retry=1), TASK, ValueError(), NOW)

    assert isinstance(decided, Retry)
    assert 60 <= decided.delay <= 90


def test_bad_is_failure_counts() -> None:
    """Where is_failure fails, the error counts as a failure."""
    decided = judge(is_failure=KeyError()).failure(attempt(max_retry=1), TASK, ValueError(), NOW)

    assert isinstance(decided, Retry)
    assert decided.is_failure


def test_interruptions() -> None:
    """A shutdown gives the task back; who lost the lease writes nothing."""
    assert Requeue() == judge().interruption(Cause.SHUTDOWN)
    assert judge().interruption(Cause.LEASE_LOST) is None


def test_causes_have_errors() -> None:
    """Limits and requests are failures that say so; the others are nobody's failure."""
    message = attempt("id", timeout=5).message

    assert "timeout of 5 s" in str(error_of(Cause.TIMEOUT, message))
    assert "timeout of 1800 s" in str(error_of(Cause.TIMEOUT, attempt().message))
    assert "deadline" in str(error_of(Cause.DEADLINE, message))
    assert isinstance(error_of(Cause.DEADLINE, message), HandlerTimeoutError)
    assert isinstance(error_of(Cause.CANCELLED, message), TaskCancelledError)
    assert error_of(Cause.SHUTDOWN, message) is None
    assert error_of(Cause.LEASE_LOST, message) is None


def test_requests_are_told_from_errors() -> None:
    """Only Headrace's own four are requests."""
    assert all(map(is_request, [SkipRetry(), RevokeTask(), RetryLater(1), Snooze(1)]))
    assert not any(map(is_request, [ValueError(), TimeoutError(), None]))


def test_report_names_the_place() -> None:
    """An error's report ends with file and line; what explains itself has no place."""
    code = raised.__code__
    place = f" [{code.co_filename}:{code.co_firstlineno + 3}]"

    assert f"ValueError: x{place}" == error_report(raised(ValueError("x")))
    assert f"ValueError{place}" == error_report(raised(ValueError()))
    assert "ValueError: x" == error_report(ValueError("x"))
    assert "x" == error_report(raised(SkipRetry("x")))
    assert "SkipRetry" == error_report(raised(SkipRetry()))
    assert "HandlerCrashError: x" == error_report(raised(HandlerCrashError("x")))


def test_report_survives_a_broken_text() -> None:
    """An error whose text cannot be shown is reported by its type."""

    class BrokenError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    class BrokenSkip(SkipRetry):
        def __str__(self) -> str:
            raise RuntimeError

    assert "BrokenError: (its text cannot be shown)" == error_report(BrokenError())
    assert "(its text cannot be shown)" == error_report(BrokenSkip())


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"timeout": 30}, (30, Cause.TIMEOUT)),
        ({"deadline": int(NOW) + 10}, (9.5, Cause.DEADLINE)),
        ({"timeout": 30, "deadline": int(NOW) + 10}, (9.5, Cause.DEADLINE)),
        ({"timeout": 5, "deadline": int(NOW) + 10}, (5, Cause.TIMEOUT)),
        ({"deadline": int(NOW) - 10}, (-10.5, Cause.DEADLINE)),
        ({}, (1800, Cause.TIMEOUT)),
    ],
)
def test_remaining(fields: dict[str, Any], expected: tuple[float, Cause]) -> None:
    """The earlier of timeout and deadline limits an attempt; half an hour where neither does."""
    assert expected == remaining(attempt(**fields).message, NOW)
