"""What becomes of a task whose handler fails, or asks for something else."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from typing import TYPE_CHECKING

import pytest

from headrace import (
    Client,
    HandlerNotFoundError,
    RetryLater,
    RevokeTask,
    Router,
    SkipRetry,
    Snooze,
    Task,
    TaskArgumentsError,
    TaskContext,
    TaskNotFoundError,
    TaskState,
)
from tests.server.helpers import Watch, counters, job, raising, serving

if TYPE_CHECKING:
    from headrace import TaskInfo


# --- Failure ---------------------------------------------------------------------------------


async def test_failure_is_retried(broker_url: str, client: Client, watch: Watch) -> None:
    """A failed task is tried again after the delay that retry_delay says, and then succeeds."""
    asked: list[tuple[int, str, str]] = []
    attempts: list[tuple[int, int]] = []

    def delay(retried: int, error: BaseException, task: Task) -> float:
        asked.append((retried, str(error), task.type))
        return 0

    async def handler(task: Task, context: TaskContext) -> None:
        attempts.append((context.attempt, context.retry_count))
        if context.retry_count == 0:
            raise ValueError("not yet")

    async with serving(broker_url, handler, state_prober=watch.prober, retry_delay=delay):
        info = await client.enqueue(job("x"))
        await watch.until(info, TaskState.COMPLETED)

    assert [(0, "not yet", "t")] == asked
    assert [(1, 0), (2, 1)] == attempts
    assert (2, 1) == await counters(client)


async def test_retry_waits(broker_url: str, client: Client, watch: Watch) -> None:
    """A retry is due in whole seconds, rounded up; the task tells of its failure meanwhile."""
    async with serving(
        broker_url,
        raising(ValueError("no")),
        state_prober=watch.prober,
        retry_delay=lambda *_: 99.5,
    ):
        before = time.time()
        info = await client.enqueue(Task("t"), max_retry=3)
        reported = await watch.until(info, TaskState.RETRY)

    report = await client.get_task(info.id)
    assert (TaskState.RETRY, 1, 3) == (report.state, report.retried, report.max_retry)
    assert report.next_process_at is not None
    assert before + 99.5 <= report.next_process_at <= time.time() + 101
    assert reported.next_process_at == report.next_process_at == int(report.next_process_at)
    assert report.last_failed_at is not None
    assert (1, 1) == await counters(client)


async def test_last_failure_archives(broker_url: str, client: Client, watch: Watch) -> None:
    """When its retries are spent, a task is archived."""
    async with serving(
        broker_url,
        raising(ValueError("no")),
        state_prober=watch.prober,
        retry_delay=lambda *_: 0,
    ):
        info = await client.enqueue(Task("t"), max_retry=1)
        await watch.until(info, TaskState.ARCHIVED)

    report = await client.get_task(info.id)
    assert (TaskState.ARCHIVED, 1) == (report.state, report.retried)
    assert "ValueError: no" in report.last_error
    assert (2, 2) == await counters(client)


async def test_what_is_no_failure_spends_no_retry(
    broker_url: str, client: Client, watch: Watch
) -> None:
    """An error that is_failure declines leaves `retried` and the counters alone."""
    async with serving(
        broker_url,
        raising(ConnectionError("later")),
        state_prober=watch.prober,
        is_failure=lambda error: not isinstance(error, ConnectionError),
        retry_delay=lambda *_: 0,
    ):
        info = await client.enqueue(Task("t"), max_retry=0)
        await watch.until(info, TaskState.RETRY, times=2)

    report = await client.get_task(info.id)
    assert 0 == report.retried
    assert "later" in report.last_error
    assert (0, 0) == await counters(client)


async def test_broken_is_failure_counts_as_failure(
    broker_url: str, client: Client, watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where is_failure raises, the error counts; that is logged."""

    def broken(error: BaseException) -> bool:
        raise KeyError("oops")

    async with serving(
        broker_url, raising(ValueError("no")), state_prober=watch.prober, is_failure=broken
    ):
        info = await client.enqueue(Task("t"))
        await watch.until(info, TaskState.RETRY)

    assert 1 == (await client.get_task(info.id)).retried
    assert any("is_failure failed" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("delay", [-1, float("nan"), float("inf"), "soon", None, 10**30])
async def test_unusable_retry_delay_falls_back(
    memory_url: str, watch: Watch, delay: object
) -> None:
    """Where retry_delay returns what is no duration, the task is retried in a minute or so."""
    async with (
        Client(memory_url) as client,
        serving(
            memory_url,
            raising(ValueError("no")),
            state_prober=watch.prober,
            retry_delay=lambda *_: delay,  # type: ignore[arg-type]  # That is it.
        ),
    ):
        info = await client.enqueue(Task("t"))
        reported = await watch.until(info, TaskState.RETRY)

    assert reported.next_process_at is not None
    assert 55 <= reported.next_process_at - time.time() <= 95


async def test_broken_retry_delay_falls_back(memory_url: str, watch: Watch) -> None:
    """Where retry_delay raises, the task is retried in a minute or so."""

    def broken(*_: object) -> float:
        raise KeyError("oops")

    async with (
        Client(memory_url) as client,
        serving(
            memory_url,
            raising(ValueError("no")),
            state_prober=watch.prober,
            retry_delay=broken,
        ),
    ):
        info = await client.enqueue(Task("t"))
        reported = await watch.until(info, TaskState.RETRY)

    assert reported.next_process_at is not None
    assert 55 <= reported.next_process_at - time.time() <= 95


# --- What a handler asks for -----------------------------------------------------------------


async def test_skip_retry_archives(broker_url: str, client: Client, watch: Watch) -> None:
    """SkipRetry archives the task, whatever retries are left."""
    async with serving(broker_url, raising(SkipRetry("no such user")), state_prober=watch.prober):
        info = await client.enqueue(Task("t"), max_retry=9)
        await watch.until(info, TaskState.ARCHIVED)

    report = await client.get_task(info.id)
    assert ("no such user", 0) == (report.last_error, report.retried)
    assert (1, 1) == await counters(client)


async def test_revoke_drops(broker_url: str, client: Client, watch: Watch) -> None:
    """RevokeTask drops the task: neither retried nor archived, nor kept, nor a failure."""
    async with serving(broker_url, raising(RevokeTask("not needed")), state_prober=watch.prober):
        info = await client.enqueue(Task("t"), retention=60, unique=60)
        await watch.until(info, TaskState.COMPLETED)
        await client.enqueue(Task("t"), unique=60, process_in=60)  # The lock is free.

    with pytest.raises(TaskNotFoundError):
        await client.get_task(info.id)
    assert (1, 0) == await counters(client)


async def test_retry_later_spends_a_retry(broker_url: str, client: Client, watch: Watch) -> None:
    """RetryLater retries after the delay that it names; otherwise it is a failure."""
    async with serving(
        broker_url,
        raising(RetryLater(dt.timedelta(minutes=5), "rate limit")),
        state_prober=watch.prober,
    ):
        info = await client.enqueue(Task("t"))
        await watch.until(info, TaskState.RETRY)

    report = await client.get_task(info.id)
    assert ("rate limit", 1) == (report.last_error, report.retried)
    assert report.next_process_at is not None
    assert 295 <= report.next_process_at - time.time() <= 302
    assert (1, 1) == await counters(client)


async def test_retry_later_is_limited(broker_url: str, client: Client, watch: Watch) -> None:
    """RetryLater archives the task when its retries are spent."""
    async with serving(broker_url, raising(RetryLater(5)), state_prober=watch.prober):
        info = await client.enqueue(Task("t"), max_retry=0)
        await watch.until(info, TaskState.ARCHIVED)


async def test_snooze_spends_no_retry(broker_url: str, client: Client, watch: Watch) -> None:
    """Snooze runs the task again after its delay, as often as it likes, and counts nothing."""
    async with serving(broker_url, raising(Snooze(0, "not my turn")), state_prober=watch.prober):
        info = await client.enqueue(Task("t"), max_retry=0)
        await watch.until(info, TaskState.RETRY, times=2)

    report = await client.get_task(info.id)
    assert ("not my turn", 0) == (report.last_error, report.retried)
    assert (0, 0) == await counters(client)


@pytest.mark.parametrize("request_type", [RetryLater, Snooze])
@pytest.mark.parametrize("delay", [-1, float("nan"), float("inf"), "soon"])
async def test_unusable_asked_delay_falls_back(
    memory_url: str, watch: Watch, request_type: type[RetryLater | Snooze], delay: float
) -> None:
    """Where RetryLater or Snooze names no duration, retry_delay says when."""
    async with (
        Client(memory_url) as client,
        serving(
            memory_url,
            raising(request_type(delay)),
            state_prober=watch.prober,
            retry_delay=lambda *_: 1000,
        ),
    ):
        info = await client.enqueue(Task("t"))
        reported = await watch.until(info, TaskState.RETRY)

    assert reported.next_process_at is not None
    assert 995 <= reported.next_process_at - time.time() <= 1002


# --- Handlers that are not there, arguments that do not fit ----------------------------------


async def test_missing_handler_is_retried(broker_url: str, client: Client, watch: Watch) -> None:
    """A task that nothing is registered for is retried: a newer worker may know it."""
    router = Router()

    @router.task("known")
    async def known() -> None:
        pass

    errors: list[BaseException] = []
    async with serving(
        broker_url,
        router,
        state_prober=watch.prober,
        error_handler=lambda _, error: errors.append(error),
    ):
        info = await client.enqueue(Task("unknown"))
        await watch.until(info, TaskState.RETRY)

    report = await client.get_task(info.id)
    assert isinstance(errors[0], HandlerNotFoundError)
    assert "No handler is registered for task type 'unknown'" in report.last_error
    assert "'known'" in report.last_error


async def test_unfit_arguments_archive_at_once(
    broker_url: str, client: Client, watch: Watch
) -> None:
    """Arguments that do not validate archive the task with what is wrong with them."""
    router = Router()

    @router.task("mail")
    async def mail(user_id: int) -> None:
        pytest.fail("it must not run")

    async with serving(broker_url, router, state_prober=watch.prober):
        info = await client.enqueue(Task("mail", {"user_id": "many"}))
        await watch.until(info, TaskState.ARCHIVED)

    report = await client.get_task(info.id)
    assert 0 == report.retried
    assert "user_id" in report.last_error


async def test_unfit_arguments_of_another_task_are_a_failure(
    broker_url: str, client: Client, watch: Watch
) -> None:
    """A handler that makes another task with bad arguments fails like any other."""
    async with serving(
        broker_url, raising(TaskArgumentsError("other", "missing")), state_prober=watch.prober
    ):
        info = await client.enqueue(Task("t"))
        await watch.until(info, TaskState.RETRY)


# --- Whatever a handler may raise ------------------------------------------------------------


class UnprintableError(Exception):
    """An error that cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError("broken __str__")

    __repr__ = __str__


class Homemade(BaseException):
    """An error outside of Exception."""


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (ValueError("bad \ud800 value"), r"ValueError: bad \ud800 value"),
        (ValueError(), "ValueError"),
        (SystemExit(3), "sys.exit(3)"),
        (asyncio.CancelledError("by itself"), "CancelledError: by itself"),
        (BaseExceptionGroup("many", [Homemade("one")]), "BaseExceptionGroup: many"),
        (ExceptionGroup("some", [ValueError("one")]), "ExceptionGroup: some"),
        (Homemade("odd"), "Homemade: odd"),
        (StopAsyncIteration("end"), "StopAsyncIteration"),
        (UnprintableError(), "UnprintableError: (its text cannot be shown)"),
        (ValueError("x" * 1_000_000), "x... ("),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
async def test_any_error_is_a_failure(
    memory_url: str, watch: Watch, error: BaseException, shown: str
) -> None:
    """Whatever a handler raises is recorded, and neither the server nor other tasks mind."""
    async with (
        Client(memory_url) as client,
        serving(memory_url, raising(error), state_prober=watch.prober) as server,
    ):
        info = await client.enqueue(Task("t"))
        await watch.until(info, TaskState.RETRY)
        report = await client.get_task(info.id)
        assert "active" == server.state

    assert shown in report.last_error
    assert len(report.last_error) < 11_000


async def test_error_names_file_and_line(broker_url: str, client: Client, watch: Watch) -> None:
    """The recorded error says where it was raised."""
    async with serving(broker_url, raising(ZeroDivisionError("why")), state_prober=watch.prober):
        info = await client.enqueue(Task("t"))
        await watch.until(info, TaskState.RETRY)

    line = raising.__code__.co_firstlineno + 4
    report: TaskInfo = await client.get_task(info.id)
    assert f"ZeroDivisionError: why [{raising.__code__.co_filename}:{line}]" == report.last_error
