"""What is said about attempts."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from headrace import SkipRetry, TaskState
from headrace._broker.values import Archive, Complete, Done, Requeue, Retry
from tests.server.units.harness import NOW, Harness, attempt, raised

if TYPE_CHECKING:
    from headrace._broker.values import Transition
    from headrace._worker.reporter import Reporter


@pytest.mark.parametrize(
    ("transition", "expected"),
    [
        (Done(), (TaskState.COMPLETED, None, NOW, None)),
        (Complete(b"", 60, b"r"), (TaskState.COMPLETED, None, NOW, b"r")),
        (Retry(b"", 30.0, is_failure=True), (TaskState.RETRY, 1_700_000_031, None, None)),
        (Archive(b""), (TaskState.ARCHIVED, None, None, None)),
        (Requeue(), (TaskState.PENDING, None, None, None)),
    ],
)
async def test_ends_are_changes_of_state(
    harness: Harness, transition: Transition, expected: tuple[object, ...]
) -> None:
    """Each way to end is reported as the state that it leads to."""
    infos = harness.watch()
    harness.executor.reporter.finished(attempt("a"), transition, NOW)
    await harness.prober.deliver()

    [info] = infos
    assert expected == (info.state, info.next_process_at, info.completed_at, info.result)


async def test_begin_is_reported(harness: Harness) -> None:
    """A handler that begins is an active task."""
    infos = harness.watch()
    assert harness.executor.reporter.active
    harness.executor.reporter.started(attempt("a"))
    await harness.prober.deliver()

    assert [TaskState.ACTIVE] == [info.state for info in infos]


async def test_without_a_prober_there_is_nothing_to_report(harness: Harness) -> None:
    """Without a prober nobody has to build reports."""
    assert not harness.executor.reporter.active


@pytest.fixture
def reporter(harness: Harness, caplog: pytest.LogCaptureFixture) -> Reporter:
    """A reporter whose log is recorded."""
    caplog.set_level(logging.INFO, logger="headrace")
    return harness.executor.reporter


async def test_failure_is_one_line(reporter: Reporter, caplog: pytest.LogCaptureFixture) -> None:
    """A failed attempt is logged with the task, which attempt it was, and the traceback."""
    failed = attempt("a", retried=2, max_retry=5, payload=b"secret")
    reporter.failed(failed, raised(ValueError("no")))

    [record] = caplog.records
    assert "Task a of type 't' failed at attempt 3 of 6: ValueError: no" == record.getMessage()
    assert ("a", "t", "default") == (
        record.__dict__["task_id"],
        record.__dict__["task_type"],
        record.__dict__["queue"],
    )
    assert record.exc_info
    assert "secret" not in caplog.text


async def test_request_needs_no_traceback(
    reporter: Reporter, caplog: pytest.LogCaptureFixture
) -> None:
    """Who raises SkipRetry has said all there is to say."""
    reporter.failed(attempt("a"), raised(SkipRetry("enough")))

    assert not caplog.records[0].exc_info


async def test_error_without_a_text(reporter: Reporter, caplog: pytest.LogCaptureFixture) -> None:
    """An error that cannot be shown does not break the log."""

    class BrokenError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    reporter.failed(attempt("a"), BrokenError())

    assert "BrokenError: (its text cannot be shown)" in caplog.text


async def test_loss_is_a_warning(reporter: Reporter, caplog: pytest.LogCaptureFixture) -> None:
    """A lost lease is logged with its task."""
    reporter.lost(attempt("a"))

    assert "The lease of task a of type 't' was lost" in caplog.text
    assert "a" == caplog.records[0].__dict__["task_id"]
