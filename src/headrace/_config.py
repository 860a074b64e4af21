"""A server's configuration: frozen, checked once, durations in seconds."""

from __future__ import annotations

import dataclasses
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC
from typing import TYPE_CHECKING, Protocol, TypeAlias

from headrace._clock import SYSTEM_CLOCK, SYSTEM_RANDOM, Clock
from headrace._cron import parse_zone
from headrace._errors import InvalidOptionError
from headrace._limits import QueueLimits, check_limits_of_queues
from headrace._validation import check_queue, seconds, whole_number

if TYPE_CHECKING:
    import contextvars
    import random
    from datetime import tzinfo

    from headrace._schedule import Schedule, ScheduleProvider
    from headrace._task import Task

__all__ = [
    "ErrorHandler",
    "GroupAggregator",
    "ServerConfig",
    "TaskStateProber",
    "default_retry_delay",
]


class GroupAggregator(Protocol):
    """Makes one task of a group's tasks."""

    def __call__(self, group: str, tasks: Sequence[Task], /) -> Task | Awaitable[Task]:
        """Return the task that stands for *tasks*, oldest first."""
        ...


RetryDelay: TypeAlias = Callable[[int, BaseException, "Task"], float]
IsFailure: TypeAlias = Callable[[BaseException], bool]
ErrorHandler: TypeAlias = Callable[["Task", BaseException], Awaitable[None] | None]
HealthCheck: TypeAlias = Callable[[BaseException | None], Awaitable[None] | None]
Lifespan: TypeAlias = Callable[[], AbstractAsyncContextManager[object]]
BaseContext: TypeAlias = Callable[[], "contextvars.Context"]


@dataclasses.dataclass(frozen=True, slots=True)
class TaskStateProber:
    """Reports tasks of this server as they change state.

    Attributes:
        probers: Maps the name of a state, or ``"*"`` for all others, to what to report:
            ``"next"`` the next process time (Unix seconds, or None), ``"result"`` the result
            bytes (or None), anything else the whole `TaskInfo` under the key ``"task"``.
        handler: Gets a mapping of that key to that value, beside ``"task_id"``, ``"queue"``
            and ``"state"``. It may be a coroutine function. What it raises is logged.
    """

    probers: Mapping[str, str]
    handler: Callable[[Mapping[str, object]], Awaitable[None] | None]

    def __post_init__(self) -> None:
        if not callable(self.handler):
            raise InvalidOptionError("handler", self.handler, "it must be callable")
        states = {"*", "active", "pending", "scheduled", "retry", "archived", "completed"}
        for state in self.probers:
            if state not in states:
                known = ", ".join(sorted(states))
                raise InvalidOptionError("probers", state, f"the states are {known}")


def default_retry_delay(retried: int, error: BaseException, task: Task) -> float:
    """Return the seconds to wait after the *retried*-th retry: n^4 + 15 + rand(0..29)*(n+1).

    The formula is Sidekiq's (github.com/sidekiq/sidekiq/wiki/Error-Handling): some 20 s at
    first, and 25 retries spread over about three weeks. The random part spreads tasks that
    failed together.
    """
    return retry_delay_from(SYSTEM_RANDOM)(retried, error, task)


def retry_delay_from(rng: random.Random) -> RetryDelay:
    """Return `default_retry_delay` with *rng* as its source of randomness."""

    def delay(retried: int, _error: BaseException, _task: Task) -> float:
        return retried**4 + 15 + rng.randrange(30) * (retried + 1)

    return delay


def _always(_error: BaseException) -> bool:
    return True


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """See `Server` for what each field means."""

    concurrency: int = 100
    queues: Mapping[str, int] = dataclasses.field(default_factory=lambda: {"default": 1})
    strict_priority: bool = False
    limits: Mapping[str, QueueLimits] = dataclasses.field(default_factory=dict)
    task_check_interval: float = 1.0
    retry_delay: RetryDelay | None = None
    is_failure: IsFailure = _always
    error_handler: ErrorHandler | None = None
    base_context: BaseContext | None = None
    shutdown_timeout: float = 8.0
    health_check: HealthCheck | None = None
    health_check_interval: float = 15.0
    delayed_task_check_interval: float = 1.0
    group_grace_period: float = 60.0
    group_max_delay: float = 0.0
    group_max_size: int = 0
    group_aggregator: GroupAggregator | None = None
    janitor_interval: float = 8.0
    janitor_batch_size: int = 100
    lease_duration: float = 15.0
    heartbeat_interval: float = 5.0
    recovery_interval: float = 2.0
    reconcile_interval: float = 60.0
    max_crashes: int = 3
    schedules: Sequence[Schedule] = ()
    schedule_location: tzinfo | str = UTC
    schedule_provider: ScheduleProvider | None = None
    schedule_sync_interval: float = 180.0
    state_prober: TaskStateProber | None = None
    lifespan: Lifespan | None = None
    allow_eviction: bool = False
    log_level: int | str | None = None
    clock: Clock = SYSTEM_CLOCK
    rng: random.Random = SYSTEM_RANDOM

    def __post_init__(self) -> None:
        self._set("queues", _checked_queues(self.queues))
        self._set("schedules", tuple(self.schedules))
        self._set("schedule_location", parse_zone("schedule_location", self.schedule_location))
        self._set("limits", check_limits_of_queues("limits", self.limits, self.queues))
        if self.retry_delay is None:
            self._set("retry_delay", retry_delay_from(self.rng))
        whole_number("concurrency", self.concurrency, at_least=1)
        whole_number("group_max_size", self.group_max_size, at_least=0)
        whole_number("janitor_batch_size", self.janitor_batch_size, at_least=1)
        whole_number("max_crashes", self.max_crashes, at_least=0)
        self._check_durations()
        self._check_callables()
        if self.log_level is not None:
            _check_log_level(self.log_level)

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _check_durations(self) -> None:
        for name in (
            "task_check_interval",
            "health_check_interval",
            "delayed_task_check_interval",
            "janitor_interval",
            "heartbeat_interval",
            "recovery_interval",
            "reconcile_interval",
            "schedule_sync_interval",
        ):
            self._set(name, seconds(name, getattr(self, name), above=0))
        for name in ("shutdown_timeout", "group_max_delay"):
            self._set(name, seconds(name, getattr(self, name)))
        self._set(
            "group_grace_period",
            seconds("group_grace_period", self.group_grace_period, at_least=1),
        )
        self._set("lease_duration", seconds("lease_duration", self.lease_duration, above=0))
        if self.lease_duration < 2 * self.heartbeat_interval:
            raise InvalidOptionError(
                "lease_duration",
                self.lease_duration,
                f"it must be at least twice heartbeat_interval ({self.heartbeat_interval:g} s), "
                f"or one late heartbeat loses every running task",
            )

    def _check_callables(self) -> None:
        for name in (
            "retry_delay",
            "is_failure",
            "error_handler",
            "base_context",
            "health_check",
            "group_aggregator",
            "lifespan",
            "schedule_provider",
        ):
            value = getattr(self, name)
            if value is not None and not callable(value):
                raise InvalidOptionError(name, value, "it must be callable")
        for name in ("retry_delay", "is_failure"):
            if inspect.iscoroutinefunction(getattr(self, name)):
                raise InvalidOptionError(name, getattr(self, name), "it must be a plain function")


def _checked_queues(queues: object) -> dict[str, int]:
    if not isinstance(queues, Mapping):
        raise InvalidOptionError("queues", queues, "a mapping of queue name to weight is needed")
    if not queues:
        raise InvalidOptionError("queues", queues, "name at least one queue")
    return {
        check_queue("queues", name): whole_number(f"queues[{name!r}]", weight, at_least=1)
        for name, weight in queues.items()
    }


def _check_log_level(level: int | str) -> None:
    if isinstance(level, str):
        known = logging.getLevelNamesMapping()
        if level.upper() not in known:
            raise InvalidOptionError("log_level", level, f"the levels are {', '.join(known)}")
