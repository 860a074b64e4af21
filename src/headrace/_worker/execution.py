"""One attempt: the handler runs, within its limits, and its end is written."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
from typing import TYPE_CHECKING

import anyio

from headrace._broker.values import Applied, Finish, Lease
from headrace._context import TaskContext, set_current_context
from headrace._errors import HandlerCrashError, LeaseLostError
from headrace._task import Task
from headrace._worker.outcome import (
    Cause,
    Judge,
    error_of,
    is_failed_attempt,
    is_request,
    remaining,
)
from headrace._worker.reporter import outcome_of

if TYPE_CHECKING:
    import logging
    from collections.abc import Awaitable, Callable

    from headrace._broker.base import FinisherBroker
    from headrace._broker.values import Attempt, Transition
    from headrace._config import ErrorHandler
    from headrace._worker.finisher import Finisher
    from headrace._worker.reporter import Reporter

__all__ = ["Execution", "Executor"]

# 100 years: a timer of asyncio overflows where a message of another program says more.
_LONGEST = 3.2e9


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Executor:
    """What all executions of one server share."""

    resolve: Callable[[str], Callable[[Task, TaskContext], Awaitable[bytes | None]]]
    """Returns the handler of a type of task."""
    judge: Judge
    finisher: Finisher
    broker: FinisherBroker
    reporter: Reporter
    error_handler: ErrorHandler | None
    state: object
    """What the server's lifespan yielded."""
    log: logging.Logger
    loop: asyncio.AbstractEventLoop = dataclasses.field(
        init=False, default_factory=asyncio.get_running_loop
    )
    new_scope: Callable[[], anyio.CancelScope] = dataclasses.field(
        init=False, default_factory=lambda: type(anyio.CancelScope())
    )
    """The running backend's scope. anyio looks for it, and initialises it twice, at each call."""


@dataclasses.dataclass(slots=True)
class _Ending:
    """How a handler ended: it returned, or raised *error*, or was cancelled."""

    returned: bool = False
    result: bytes | None = None
    error: BaseException | None = None


class Execution:
    """One run of a handler for one attempt.

    Args:
        attempt: The task, and the claim on it.
        executor: What all executions share.
        now: Redis's Unix time when the task was dequeued.
        lease_until: When the lease ends unless it is extended, in the event loop's time.
    """

    __slots__ = (
        "_cause",
        "_executor",
        "_offset",
        "_scope",
        "attempt",
        "deadline",
        "lease_until",
        "started_at",
    )

    def __init__(
        self, attempt: Attempt, executor: Executor, *, now: float, lease_until: float
    ) -> None:
        self.attempt = attempt
        self.lease_until = lease_until
        self.started_at = now
        self.deadline: float | None = None
        self._executor = executor
        # Redis's clock as the loop sees it, so that a jump of ours does not matter.
        self._offset = now - executor.loop.time()
        self._scope: anyio.CancelScope | None = None
        self._cause: Cause | None = None

    @property
    def lease(self) -> Lease:
        """The claim on the task."""
        return self.attempt.lease

    @property
    def cause(self) -> Cause | None:
        """Why the handler was cancelled; None if it was not."""
        return self._cause

    def interrupt(self, cause: Cause) -> None:
        """Cancel the handler. The first cause wins."""
        if self._cause is None:
            self._cause = cause
            if self._scope is not None:
                self._scope.cancel()

    async def run(self) -> None:
        """Run the handler and write how it ended. Raises nothing of the handler's."""
        executor, reporter = self._executor, self._executor.reporter
        task = Task._from_wire(  # noqa: SLF001 - made for this
            self.attempt.message.type, self.attempt.message.payload, self.attempt.message.headers
        )
        watch = reporter.watch(self.attempt)
        if reporter.active:
            reporter.started(self.attempt)
        applied: Applied | None = Applied.LOST
        try:
            ending = await self._call(task)
            if watch is not None:
                watch.stop()
            if ending.returned:  # Even if it was to be interrupted: its work is done.
                transition: Transition | None = executor.judge.success(
                    self.attempt, ending.result, self._now()
                )
            else:
                transition = await self._judge(task, ending.error)
            if transition is not None:
                applied = await executor.finisher.finish(
                    Finish(self.lease, transition, self.attempt.message.unique_key),
                    self.lease_until,
                )
            if watch is not None:
                watch.outcome = outcome_of(transition, applied, returned=ending.returned)
        finally:
            if watch is not None:
                watch.close()
        if transition is None or applied is Applied.LOST:
            reporter.lost(self.attempt)
        elif reporter.active:
            report = reporter.awaited if applied is None else reporter.finished
            report(self.attempt, transition, self._now())

    async def _call(self, task: Task) -> _Ending:
        """Call the handler, within its limits."""
        limit, limit_cause = remaining(self.attempt.message, self.started_at)
        self.deadline = self.started_at + limit
        if limit <= 0:
            self.interrupt(limit_cause)
        if self._cause is not None:  # It came before the handler began.
            return _Ending()
        timer = self._executor.loop.call_later(min(limit, _LONGEST), self.interrupt, limit_cause)
        try:
            with self._executor.new_scope() as self._scope:
                return _Ending(returned=True, result=await self._handle(task))
        except asyncio.CancelledError as cancelled:
            if asyncio.current_task().cancelling():  # type: ignore[union-attr]  # A task runs this.
                raise  # The server itself is being torn down.
            return _Ending(error=cancelled)
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except SystemExit as exit_:
            return _Ending(error=HandlerCrashError(f"the handler called sys.exit({exit_.code!r})"))
        except BaseException as raised:  # noqa: BLE001 - whatever a handler raises is its failure
            return _Ending(error=raised)
        finally:
            timer.cancel()
            self._scope = None
        return _Ending()  # The scope was cancelled, and so was the handler.

    def _handle(self, task: Task) -> Awaitable[bytes | None]:
        context = TaskContext(
            self.attempt.message,
            annotate=self._annotate,
            deadline=self.deadline,
            state=self._executor.state,
        )
        set_current_context(context)
        return self._executor.resolve(task.type)(task, context)

    async def _annotate(self, field: str, value: bytes) -> None:
        """Write a field of the task's hash, fenced like every other write."""
        if not await self._executor.broker.annotate(self.lease, field, value):
            self.interrupt(Cause.LEASE_LOST)
            raise LeaseLostError(self.lease.queue, self.lease.task_id)

    async def _judge(self, task: Task, error: BaseException | None) -> Transition | None:
        """Return what becomes of a task that was not done; None: this attempt has no say in it.

        Args:
            task: The task.
            error: What the handler raised; None: it was interrupted.
        """
        judge = self._executor.judge
        if self._cause is not None and not is_request(error):
            error = error_of(self._cause, self.attempt.message)
        if error is None or self._cause is Cause.LEASE_LOST:
            return judge.interruption(self._cause or Cause.SHUTDOWN)
        if is_failed_attempt(error):
            await self._report_error(task, error)
        return judge.failure(self.attempt, task, error, self._now())

    async def _report_error(self, task: Task, error: BaseException) -> None:
        executor = self._executor
        executor.reporter.failed(self.attempt, error)
        if executor.error_handler is None:
            return
        try:
            outcome = executor.error_handler(task, error)
            if inspect.isawaitable(outcome):
                await outcome
        except Exception:
            executor.log.exception("The error handler failed")

    def _now(self) -> float:
        return self._executor.loop.time() + self._offset
