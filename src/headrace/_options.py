"""The options of a server, as its users write them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, TypedDict

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping, Sequence
    from datetime import timedelta, tzinfo

    from headrace._clock import Clock
    from headrace._config import (
        BaseContext,
        ErrorHandler,
        GroupAggregator,
        HealthCheck,
        IsFailure,
        Lifespan,
        RetryDelay,
        TaskStateProber,
    )
    from headrace._limits import QueueLimits
    from headrace._schedule import Schedule, ScheduleProvider

__all__ = ["ServerOptions"]

Seconds: TypeAlias = "float | timedelta"


class ServerOptions(TypedDict, total=False):
    """How a server works. Durations are seconds or a timedelta."""

    concurrency: int
    """How many tasks run at a time at the most. Default: 100."""
    queues: Mapping[str, int]
    """Queue name to weight, at least 1. Default: {"default": 1}."""
    strict_priority: bool
    """Serve a queue only while those of greater weight are empty. Default: False."""
    limits: Mapping[str, QueueLimits]
    """Queue name to what all workers together may run of it. Written to Redis at each start,
    where the last writer wins; queues not named keep the limits that they have. Default: {}."""
    task_check_interval: Seconds
    """Between looks at the queues where Redis cannot be waited for: while one of them is
    paused or held back by a limit, or with more than eight. Default: 1."""
    retry_delay: RetryDelay
    """``f(retried, error, task)`` returns the seconds until the next attempt. Default:
    retried^4 + 15 + random(0..29) * (retried + 1)."""
    is_failure: IsFailure
    """``f(error)`` tells whether an error counts as a failure; one that does not spends no
    retry. Default: all of them do."""
    error_handler: ErrorHandler | None
    """``f(task, error)`` is called for every failed attempt. It may be a coroutine function."""
    base_context: BaseContext | None
    """Returns the `contextvars.Context` whose copies the handlers run in. Default: the
    server's own."""
    shutdown_timeout: Seconds
    """How long a shutdown waits for running tasks before it gives them back. Default: 8."""
    health_check: HealthCheck | None
    """``f(error)`` is called now and then with None, or why Redis did not answer."""
    health_check_interval: Seconds
    """Default: 15."""
    delayed_task_check_interval: Seconds
    """Between looks at scheduled tasks and retries, in whole seconds. Default: 1."""
    group_grace_period: Seconds
    """A group is aggregated once nothing was added for so long. At least 1. Default: 60."""
    group_max_delay: Seconds
    """... or once its oldest task has waited for so long; 0: no limit. Default: 0."""
    group_max_size: int
    """... or once it holds so many tasks; 0: no limit. Default: 0."""
    group_aggregator: GroupAggregator | None
    """``f(group, tasks)`` returns the task that stands for them. Default: None, groups wait."""
    janitor_interval: Seconds
    """Between deletions of what has expired. Default: 8."""
    janitor_batch_size: int
    """How many tasks one script call deletes, at most 100. Default: 100."""
    lease_duration: Seconds
    """How long a task is claimed for. When a worker dies, its tasks run elsewhere soon after.
    At least twice *heartbeat_interval*. Default: 15."""
    heartbeat_interval: Seconds
    """Between extensions of the leases. Default: 5."""
    recovery_interval: Seconds
    """Between looks for leases that have ended. Default: 2."""
    reconcile_interval: Seconds
    """Between audits of the queues that repair what is damaged. Default: 60."""
    max_crashes: int
    """A task whose worker died so often while it ran is archived; 0: never. Default: 3."""
    schedules: Sequence[Schedule]
    """Enqueue their tasks when they are due, beside those of the router's ``cron``."""
    schedule_location: tzinfo | str
    """Time zone of the schedules that name none. Default: UTC."""
    schedule_provider: ScheduleProvider | None
    """Returns further schedules that are wanted, such as `StoredSchedules`; see
    `PeriodicTaskManager`."""
    schedule_sync_interval: Seconds
    """Between calls of *schedule_provider*. Default: 180."""
    state_prober: TaskStateProber | None
    """Reports tasks that change state."""
    lifespan: Lifespan | None
    """Returns an async context manager that is entered around the server's run. What it yields
    is `TaskContext.state`."""
    allow_eviction: bool
    """Run on a Redis whose maxmemory-policy may delete tasks. Default: False."""
    log_level: int | str | None
    """Level of the logger "headrace". Default: None, as logging is configured."""
    clock: Clock
    """Source of the wall time, for tests."""
    rng: random.Random
    """Source of all randomness, for tests."""
