"""One attempt: limits, interruptions, and what is written at its end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from headrace import LeaseLostError, SkipRetry, Task, TaskContext, current_context
from headrace._broker.values import Applied, Archive, Complete, Done, Requeue, Retry
from headrace._message import decode_message
from headrace._worker.outcome import Cause
from tests.server.units.harness import NOW, Harness, attempt
from tests.worker.helpers import lines

if TYPE_CHECKING:
    from headrace._worker.execution import Execution
    from tests.support.fake_broker import FakeBroker
    from tests.support.virtual_time import VirtualTime


async def forever(_task: Task, _context: TaskContext) -> None:
    """Be a handler that ends only when it is cancelled."""
    await asyncio.Event().wait()


async def run_and_interrupt(execution: Execution, *causes: Cause) -> None:
    """Run an execution that is interrupted after a second."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(execution.run)
        await anyio.sleep(1)
        for cause in causes:
            execution.interrupt(cause)


async def test_handler_gets_task_and_context(harness: Harness) -> None:
    """A handler gets its task, and a context that is also the current one."""
    seen: list[object] = []

    async def handle(task: Task, context: TaskContext) -> None:
        seen.extend([task.payload, task.headers, context.state, context.deadline])
        seen.append(current_context() is context)

    harness.handle = handle
    await harness.execution(attempt(payload=b"p", headers={"a": "b"}, timeout=5)).run()

    assert [b"p", {"a": "b"}, "the state", NOW + 5, True] == seen
    assert [Done()] == harness.transitions


async def test_lock_is_handed_on(harness: Harness) -> None:
    """The end of an attempt names the uniqueness lock of its task, to be freed."""
    await harness.execution(attempt(unique_key="lock")).run()

    assert "lock" == harness.finished[0].unique_key


async def test_result_is_kept(harness: Harness, virtual_time: VirtualTime) -> None:
    """What a handler returns is kept while retention lasts, dated by Redis's clock."""

    async def handle(_task: Task, _context: TaskContext) -> bytes:
        await anyio.sleep(100)
        return b"result"

    harness.handle = handle
    await harness.execution(attempt(retention=60, timeout=1000)).run()

    [kept] = harness.transitions
    assert isinstance(kept, Complete)
    assert (b"result", int(NOW + 100)) == (kept.result, decode_message(kept.data).completed_at)
    assert 100 == virtual_time.now


@pytest.mark.parametrize(
    ("fields", "seconds", "text"),
    [
        ({"timeout": 30}, 30, "timeout of 30 s exceeded"),
        ({"deadline": int(NOW) + 10}, 9.5, "deadline exceeded"),
        ({"timeout": 30, "deadline": int(NOW) + 10}, 9.5, "deadline exceeded"),
        ({}, 1800, "timeout of 1800 s exceeded"),
    ],
)
async def test_limits(
    harness: Harness,
    virtual_time: VirtualTime,
    fields: dict[str, Any],
    seconds: float,
    text: str,
) -> None:
    """A handler is stopped at its timeout or its deadline, whichever is earlier."""
    harness.handle = forever
    execution = harness.execution(attempt(**{"max_retry": 1, **fields}))
    await execution.run()

    [retry] = harness.transitions
    assert isinstance(retry, Retry)
    assert text in decode_message(retry.data).error_msg
    assert seconds == virtual_time.now
    assert execution.deadline == NOW + seconds


async def test_passed_deadline_calls_nothing(harness: Harness, virtual_time: VirtualTime) -> None:
    """A handler whose deadline has passed is not called, and its task fails."""

    async def handle(_task: Task, _context: TaskContext) -> None:
        pytest.fail("it must not be called")

    harness.handle = handle
    await harness.execution(attempt(deadline=int(NOW) - 1)).run()

    assert isinstance(harness.transitions[0], Archive)
    assert 0 == virtual_time.now


async def test_huge_limits_are_no_limit(harness: Harness) -> None:
    """A foreign message may hold a timeout that no timer takes."""
    await harness.execution(attempt(timeout=2**62)).run()

    assert [Done()] == harness.transitions


async def test_timer_ends_with_the_handler(harness: Harness, virtual_time: VirtualTime) -> None:
    """A timeout that passes after the handler has ended changes nothing."""
    execution = harness.execution(attempt(timeout=5))
    await execution.run()
    await anyio.sleep(10)

    assert execution.cause is None
    assert 10 == virtual_time.now


@pytest.mark.parametrize(
    ("causes", "expected"),
    [
        ([Cause.SHUTDOWN], Requeue),
        ([Cause.CANCELLED], Retry),
        ([Cause.LEASE_LOST], None),
        ([Cause.SHUTDOWN, Cause.CANCELLED], Requeue),
        ([Cause.LEASE_LOST, Cause.SHUTDOWN], None),
        ([Cause.CANCELLED, Cause.LEASE_LOST], Retry),
    ],
)
async def test_first_cause_wins(
    harness: Harness, causes: list[Cause], expected: type | None
) -> None:
    """What becomes of an interrupted task is for the first cause to say."""
    harness.handle = forever
    execution = harness.execution(attempt(max_retry=1))
    await run_and_interrupt(execution, *causes)

    assert ([expected] if expected else []) == [type(one) for one in harness.transitions]
    assert causes[0] is execution.cause


async def test_interrupted_before_it_began(harness: Harness) -> None:
    """A handler that was interrupted before its first step is not called."""

    async def handle(_task: Task, _context: TaskContext) -> None:
        pytest.fail("it must not be called")

    harness.handle = handle
    execution = harness.execution(attempt())
    execution.interrupt(Cause.SHUTDOWN)
    await execution.run()

    assert [Requeue()] == harness.transitions


async def test_interrupted_after_it_ended(harness: Harness, broker: FakeBroker) -> None:
    """An interruption while the end is being written changes nothing."""
    broker.latency = 1.0
    execution = harness.execution(attempt())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(execution.run)
        await anyio.sleep(0.5)
        execution.interrupt(Cause.SHUTDOWN)

    assert [Done()] == harness.transitions


async def test_handler_may_catch_its_cancellation(harness: Harness) -> None:
    """A handler that returns when it is interrupted has done its work."""

    async def handle(task: Task, context: TaskContext) -> None:
        try:
            await forever(task, context)
        except asyncio.CancelledError:
            return

    harness.handle = handle
    await run_and_interrupt(harness.execution(attempt()), Cause.SHUTDOWN)

    assert [Done()] == harness.transitions


@pytest.mark.parametrize("cause", [Cause.SHUTDOWN, Cause.LEASE_LOST, Cause.CANCELLED])
async def test_error_of_an_interrupted_handler_is_not_the_cause(
    harness: Harness, cause: Cause
) -> None:
    """What a handler raises because it is interrupted does not stand for why it was."""

    async def handle(task: Task, context: TaskContext) -> None:
        try:
            await forever(task, context)
        finally:
            raise ConnectionError("cleanup failed")

    harness.handle = handle
    await run_and_interrupt(harness.execution(attempt(max_retry=1)), cause)

    assert "cleanup failed" not in str(harness.errors)
    kinds = {Cause.SHUTDOWN: [Requeue], Cause.LEASE_LOST: [], Cause.CANCELLED: [Retry]}
    assert kinds[cause] == [type(one) for one in harness.transitions]


async def test_request_of_who_lost_the_lease_is_not_heard(harness: Harness) -> None:
    """Whoever lost the task has no say in it, not even by SkipRetry."""

    async def handle(task: Task, context: TaskContext) -> None:
        try:
            await forever(task, context)
        except asyncio.CancelledError:
            raise SkipRetry from None

    harness.handle = handle
    await run_and_interrupt(harness.execution(attempt()), Cause.LEASE_LOST)

    assert [] == harness.transitions
    assert [] == harness.errors


async def test_cancellation_of_its_own_is_a_failure(harness: Harness) -> None:
    """A handler that is cancelled by what it waits for has failed; the server goes on."""

    async def handle(_task: Task, _context: TaskContext) -> None:
        inner = asyncio.ensure_future(asyncio.Event().wait())
        inner.cancel()
        await inner

    harness.handle = handle
    await harness.execution(attempt(max_retry=1)).run()

    assert [Retry] == [type(one) for one in harness.transitions]
    assert isinstance(harness.errors[0], asyncio.CancelledError)


async def test_teardown_goes_through(harness: Harness) -> None:
    """When the server itself is torn down, nothing is written: the lease ends by itself."""
    harness.handle = forever
    run = asyncio.create_task(harness.execution(attempt()).run())
    await anyio.sleep(1)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run

    assert [] == harness.transitions


async def test_interrupted_annotation_tells_of_the_loss(
    harness: Harness, broker: FakeBroker
) -> None:
    """A write that finds the lease lost raises, and interrupts the handler."""
    broker.answer("annotate", False)  # noqa: FBT003 - what it answers
    seen: list[BaseException] = []

    async def handle(_task: Task, context: TaskContext) -> None:
        try:
            await context.write_result(b"x")
        except LeaseLostError as error:
            seen.append(error)
        await asyncio.Event().wait()

    harness.handle = handle
    execution = harness.execution(attempt())
    await execution.run()

    assert isinstance(seen[0], LeaseLostError)
    assert Cause.LEASE_LOST is execution.cause
    assert [] == harness.transitions


async def test_refused_end_is_reported_as_lost(
    harness: Harness, broker: FakeBroker, caplog: pytest.LogCaptureFixture
) -> None:
    """An end that came too late is logged, and not reported as if it had happened."""
    infos = harness.watch()
    broker.answer("finish", [Applied.LOST])
    await harness.execution(attempt()).run()
    await harness.prober.deliver()

    assert ["active"] == [str(info.state) for info in infos]
    assert "was lost" in lines(caplog)[0]


@pytest.mark.parametrize(
    ("answers", "expected"),
    [([Applied.APPLIED], ["active", "completed"]), ([Applied.LOST], ["active"])],
)
async def test_end_that_is_written_late_is_reported_late(
    harness: Harness, broker: FakeBroker, answers: list[Applied], expected: list[str]
) -> None:
    """An end that Redis did not answer is reported once it is written, if it is."""
    infos = harness.watch()
    broker.fail("finish", times=1)
    await harness.execution(attempt()).run()
    await harness.prober.deliver()
    assert ["active"] == [str(info.state) for info in infos]
    broker.answer("finish", answers)
    await harness.syncer.sync()
    await harness.prober.deliver()

    assert expected == [str(info.state) for info in infos]


async def test_end_that_is_dropped_is_not_reported(harness: Harness, broker: FakeBroker) -> None:
    """An end that could not be written while its lease lasted has not happened."""
    infos = harness.watch()
    broker.fail("finish")
    await harness.execution(attempt()).run()
    await anyio.sleep(20)
    await harness.syncer.sync()
    await harness.prober.deliver()

    assert ["active"] == [str(info.state) for info in infos]
    assert 0 == harness.syncer.pending


async def test_broken_error_handler_changes_nothing(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    """What the error handler raises is logged."""

    async def handle(_task: Task, _context: TaskContext) -> None:
        harness.errors = None  # type: ignore[assignment]  # Its append is what fails.
        raise ValueError

    harness.handle = handle
    await harness.execution(attempt(max_retry=1)).run()

    assert [Retry] == [type(one) for one in harness.transitions]
    assert "The error handler failed" in lines(caplog)
