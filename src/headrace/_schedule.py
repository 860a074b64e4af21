"""What is to be enqueued again and again, and when."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, tzinfo
from typing import TYPE_CHECKING, Literal, TypeAlias, Unpack

from headrace._cron import parse_spec
from headrace._errors import InvalidOptionError
from headrace._task import Options, Task, TaskOptions
from headrace._validation import check_task_id, seconds, whole_number

if TYPE_CHECKING:
    from datetime import timedelta

    from headrace._cron import Ticks

__all__ = ["All", "Misfire", "Schedule", "ScheduleProvider"]

MOST_MISSED = 10_000


@dataclasses.dataclass(frozen=True, slots=True)
class All:
    """Misfire policy: make up for every missed tick, but for the last *limit* at the most."""

    limit: int

    def __post_init__(self) -> None:
        whole_number("limit", self.limit, at_least=1, at_most=MOST_MISSED)


Misfire: TypeAlias = Literal["skip", "once"] | All
"""What becomes of ticks that no scheduler was there for: ``"skip"`` none of them is made up
for, ``"once"`` the last one is, ``All(limit)`` the last *limit* are."""


class Schedule:
    """A task, and when it is to be enqueued.

    Args:
        spec: Five cron fields (minute, hour, day, month, weekday), or six with seconds first;
            ``@every 1h30m``; ``@hourly``, ``@daily``, ``@midnight``, ``@weekly``, ``@monthly``,
            ``@yearly``, ``@annually``. ``CRON_TZ=Europe/Berlin`` before it sets its time zone.
        task: What to enqueue. A typed task makes one with ``.task(...)``.
        misfire: What becomes of ticks that were missed: ``"skip"``, ``"once"`` or `All`.
        jitter: Up to so many seconds late, drawn anew for each tick; never beyond the next.
        entry_id: What identifies it. All schedulers that have it share its ticks. None: made
            of the spec, the task and the options.
        options: See `TaskOptions`. They take precedence over the task's own.

    Raises:
        InvalidOptionError: If an argument cannot be used.
    """

    __slots__ = ("entry_id", "jitter", "misfire", "options", "spec", "task")

    def __init__(
        self,
        spec: str,
        task: Task,
        *,
        misfire: Misfire = "skip",
        jitter: float | timedelta = 0.0,
        entry_id: str | None = None,
        **options: Unpack[TaskOptions],
    ) -> None:
        parse_spec(spec)
        if not isinstance(task, Task):
            raise InvalidOptionError(
                "task", task, "a Task is needed; a typed task makes one with .task(...)"
            )
        if misfire not in ("skip", "once") and not isinstance(misfire, All):
            raise InvalidOptionError("misfire", misfire, "it is 'skip', 'once' or All(limit)")
        self.spec: str = spec
        self.task: Task = task
        self.misfire: Misfire = misfire
        self.jitter: float = seconds("jitter", jitter)
        self.entry_id: str | None = (
            None if entry_id is None else check_task_id("entry_id", entry_id)
        )
        self.options: Options = task.options.overridden_by(Options.check(options))

    def ticks(self, location: tzinfo = UTC) -> Ticks:
        """Return when it is due, in *location* where its spec names no time zone."""
        return parse_spec(self.spec, location)

    def _values(self) -> tuple[object, ...]:
        task = self.task
        return (
            *(self.spec, task.type, task.has_payload, task.payload, self.options),
            *(self.misfire, self.jitter, self.entry_id),
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Schedule):
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash((self.spec, self.task.type, self.task.payload))

    def __repr__(self) -> str:
        return f"<Schedule {self.spec!r} {self.task!r}>"


ScheduleProvider: TypeAlias = Callable[[], Iterable[Schedule] | Awaitable[Iterable[Schedule]]]
"""Returns the schedules that are wanted. It may be a coroutine function."""
