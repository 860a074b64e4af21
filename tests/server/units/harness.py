"""Builds the parts of a server on the fake broker."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from headrace import TaskStateProber
from headrace._broker.values import Attempt, Dequeued, Lease
from headrace._message import TaskMessage, encode_message
from headrace._worker.execution import Execution, Executor
from headrace._worker.finisher import Finisher
from headrace._worker.intake import Intake
from headrace._worker.outcome import Judge
from headrace._worker.prober import StateProber
from headrace._worker.processor import Processor
from headrace._worker.reporter import Reporter
from headrace._worker.syncer import Syncer

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from contextvars import Context

    from headrace import Task, TaskContext, TaskInfo
    from headrace._broker.values import Finish, Transition
    from headrace._log import RateLimitedLog
    from tests.support.fake_broker import FakeBroker

__all__ = ["LEASE", "NOW", "Harness", "attempt", "found", "raised"]

NOW = 1_700_000_000.5
"""Redis's time, in tests that make it up."""
LEASE = 15.0


def attempt(task_id: str = "id", queue: str = "default", **fields: Any) -> Attempt:  # noqa: ANN401
    """Return an attempt at a task; *fields* are its message's."""
    message = TaskMessage(id=task_id, type="t", queue=queue, **fields)
    return Attempt(message, encode_message(message), Lease(queue, task_id, f"token {task_id}"))


def found(
    attempts: Iterable[Attempt],
    *,
    exhausted: Iterable[str] = (),
    paused: Iterable[str] = (),
    now: float = NOW,
) -> Dequeued:
    """Return what a dequeue brought."""
    return Dequeued(list(attempts), now, frozenset(exhausted), frozenset(paused))


def raised(error: BaseException) -> BaseException:
    """Return *error* with a traceback."""
    try:
        raise error  # noqa: TRY301 - that is it
    except BaseException as caught:  # noqa: BLE001 - whatever a test gives
        return caught


class Harness:
    """The parts of a server around one handler.

    Attributes:
        handle: The handler; None: every task is done at once.
        errors: What the error handler got.
    """

    def __init__(self, broker: FakeBroker, rng: random.Random, log: RateLimitedLog) -> None:
        self.broker = broker
        self.rng = rng
        self.log = log
        self.handle: Callable[[Task, TaskContext], Awaitable[bytes | None]] | None = None
        self.errors: list[BaseException] = []
        self.prober = StateProber(log=log)
        reporter = Reporter(self.prober, log=log.logger)
        self.syncer = Syncer(
            broker, log=log, rng=rng, lease_duration=LEASE, settled=reporter.settled
        )
        self.finisher = Finisher(broker, self.syncer, log=log)
        self.judge = Judge(
            retry_delay=lambda *_: 60.0, is_failure=lambda _: True, rng=rng, log=log.logger
        )
        self.executor = Executor(
            resolve=self._resolve,
            judge=self.judge,
            finisher=self.finisher,
            broker=broker,
            reporter=reporter,
            error_handler=lambda _, error: self.errors.append(error),
            state="the state",
            log=log.logger,
        )

    def _resolve(self, _: str) -> Callable[[Task, TaskContext], Awaitable[bytes | None]]:
        return self.handle or _nothing

    def execution(self, one: Attempt, *, now: float = NOW) -> Execution:
        """Return an execution whose lease has just begun."""
        until = asyncio.get_running_loop().time() + LEASE
        return Execution(one, self.executor, now=now, lease_until=until)

    def intake(
        self, weights: Mapping[str, int] | None = None, *, strict_priority: bool = False
    ) -> Intake:
        """Return an intake that polls every 2 s where it must."""
        return Intake(
            self.broker,
            weights=weights or {"default": 1},
            strict_priority=strict_priority,
            lease_duration=LEASE,
            poll_interval=2.0,
            rng=self.rng,
            log=self.log,
        )

    def processor(
        self, concurrency: int, *, base_context: Callable[[], Context] | None = None
    ) -> Processor:
        """Return a processor of the queue "default"."""
        return Processor(
            self.intake(),
            self.executor,
            concurrency=concurrency,
            lease_duration=LEASE,
            base_context=base_context,
            log=self.log,
            rng=self.rng,
        )

    @property
    def finished(self) -> list[Finish]:
        """What the broker was asked to write as ends of attempts."""
        calls = self.broker.called("finish")
        return [finish for call in calls for finish in cast("list[Finish]", call.args[1])]

    @property
    def transitions(self) -> list[Transition]:
        """The transitions among them."""
        return [finish.transition for finish in self.finished]

    def watch(self) -> list[TaskInfo]:
        """Return a list that fills with what is reported to the state prober."""
        infos: list[TaskInfo] = []
        self.prober.set(
            TaskStateProber(
                {"*": "task"}, lambda report: infos.append(cast("TaskInfo", report["task"]))
            )
        )
        return infos


async def _nothing(_task: Task, _context: TaskContext) -> None:
    return None
