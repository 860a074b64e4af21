"""What a server and a client tell those who observe them: metrics, traces."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from headrace._log import RateLimitedLog

__all__ = [
    "EnqueueHook",
    "Events",
    "Outgoing",
    "ServerObserver",
    "TaskEvent",
    "TaskOutcome",
    "TaskWatch",
]


class TaskOutcome(enum.StrEnum):
    """How an attempt ended."""

    SUCCEEDED = "succeeded"
    """The handler returned."""
    RETRIED = "retried"
    """It failed, and is tried again."""
    POSTPONED = "postponed"
    """It asked to run again, or failed in a way that does not count: no retry was spent."""
    ARCHIVED = "archived"
    """It failed for the last time."""
    REVOKED = "revoked"
    """It raised `RevokeTask`: the task was dropped."""
    REQUEUED = "requeued"
    """A shutdown interrupted it: the task was given back."""
    LOST = "lost"
    """Its lease was lost: whoever holds it now says what becomes of the task."""
    ABANDONED = "abandoned"
    """The server broke down around it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TaskEvent:
    """The attempt that something is said about."""

    task_id: str
    type: str
    queue: str
    attempt: int
    """Counted from 1, as `TaskContext.attempt`."""


class ServerObserver:
    """Is told what a server does. Override what you need; see `Server.add_observer`.

    All methods are called in the server's event loop, between two tasks: they must be quick.
    What they raise is logged.
    """

    def task_started(self, task: TaskEvent) -> None:
        """A handler begins."""

    def task_finished(self, task: TaskEvent, outcome: TaskOutcome, seconds: float) -> None:
        """An attempt ended, after its handler had run for *seconds*.

        Called once for each `task_started`.
        """

    def tasks_dequeued(self, count: int) -> None:
        """So many tasks were taken at once; never 0."""

    def ends_written(self, count: int) -> None:
        """The ends of so many attempts were written at once."""

    def loop_late(self, seconds: float) -> None:
        """The event loop woke the server up so late. Measured twice a second."""


class Events:
    """Passes on to all observers. Check `observers` before you call: mostly there are none.

    Args:
        log: Where failures of observers go.

    Attributes:
        observers: Those to be told.
    """

    __slots__ = ("_log", "observers")

    def __init__(self, log: RateLimitedLog) -> None:
        self._log = log
        self.observers: tuple[ServerObserver, ...] = ()

    def add(self, observer: ServerObserver) -> None:
        """Tell *observer* from now on; nothing happens if it is told already."""
        if observer not in self.observers:
            self.observers = (*self.observers, observer)

    def remove(self, observer: ServerObserver) -> None:
        """Tell *observer* no more, but how the attempts ended that it saw begin."""
        self.observers = tuple(one for one in self.observers if one is not observer)

    def tell(self, what: Callable[[ServerObserver], None]) -> None:
        """Call ``what(observer)`` for each."""
        self.tell_these(self.observers, what)

    def tell_these(
        self, observers: tuple[ServerObserver, ...], what: Callable[[ServerObserver], None]
    ) -> None:
        """Call ``what(observer)`` for each of *observers*."""
        for observer in observers:
            try:
                what(observer)
            except Exception as error:  # noqa: BLE001 - a metric must not cost a task
                self._log.fault("observer", "An observer failed", exc=error)


class TaskWatch:
    """Tells of one attempt those who observed its beginning, and nobody else.

    Attributes:
        outcome: How it ended, as far as is known.
    """

    __slots__ = ("_began", "_events", "_observers", "_seconds", "_task", "outcome")

    def __init__(self, events: Events, task: TaskEvent) -> None:
        self._events = events
        self._observers = events.observers
        self._task = task
        self._seconds: float | None = None
        self.outcome = TaskOutcome.ABANDONED
        events.tell(lambda observer: observer.task_started(task))
        self._began = perf_counter()

    def stop(self) -> None:
        """Take the time: the handler ended."""
        self._seconds = perf_counter() - self._began

    def close(self) -> None:
        """Tell the outcome."""
        task, outcome, seconds = self._task, self.outcome, self._seconds
        if seconds is None:
            seconds = perf_counter() - self._began
        self._events.tell_these(
            self._observers, lambda observer: observer.task_finished(task, outcome, seconds)
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A task that a client is about to write. An `EnqueueHook` may add to its headers."""

    task_id: str
    type: str
    queue: str
    payload_size: int
    """Bytes."""
    headers: dict[str, str]


EnqueueHook: TypeAlias = Callable[[Outgoing], Callable[[BaseException | None], None] | None]
"""Called for each task that a client writes, right before. What it returns, unless None, is
called once with the error of the write; None if the task was written."""
