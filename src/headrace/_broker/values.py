"""What goes to a broker and comes back: claims, ends of attempts, reports."""

from __future__ import annotations

import dataclasses
import enum
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace._message import TaskMessage
    from headrace._task import TaskState

MAX_ITEMS = 100
"""How many tasks one script call handles at the most, so that Redis is never held up."""
SET_LIFETIME = 120.0
"""Seconds that an aggregation set has before its tasks go back to their group."""


class Lease(NamedTuple):
    """One attempt's claim on a task. Redis accepts nothing from an attempt that lost it."""

    queue: str
    task_id: str
    token: str


@dataclasses.dataclass(slots=True)
class Attempt:
    """A task that was dequeued, and the claim on it."""

    message: TaskMessage
    data: bytes = dataclasses.field(repr=False)
    """The encoded message as Redis held it."""
    lease: Lease


@dataclasses.dataclass(frozen=True, slots=True)
class Dequeued:
    """What one dequeue brought."""

    attempts: Sequence[Attempt]
    now: float
    """Redis's Unix time when it answered."""
    exhausted: frozenset[str] = frozenset()
    """Queues that had less than was asked for."""
    paused: frozenset[str] = frozenset()
    """Those of them that are paused: to wait for their tasks would return at once."""
    limited: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Those of them that hold more, which a limit keeps back -> seconds until it may give more;
    infinity: once a running one has ended. To wait for their tasks would return at once."""


# --- Enqueue -------------------------------------------------------------------------------


@dataclasses.dataclass(slots=True, kw_only=True)
class Placement:
    """A task to be written. At most one of *process_at* and *process_in* is given."""

    message: TaskMessage
    process_at: float | None = None
    process_in: float | None = None
    unique_ttl: int | None = None


class Placed(NamedTuple):
    """Where a task was written. *process_at* is 0 where it waits for no time."""

    state: TaskState
    process_at: float


# --- The end of an attempt -----------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class Done:
    """Finished: delete it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Complete:
    """Finished: keep it, with its result, for *retention* seconds."""

    data: bytes
    retention: int
    result: bytes | None


@dataclasses.dataclass(frozen=True, slots=True)
class Retry:
    """Not finished: again after *delay* seconds."""

    data: bytes
    delay: float
    is_failure: bool
    """False leaves the counters alone."""


@dataclasses.dataclass(frozen=True, slots=True)
class Archive:
    """Failed for good: keep it for a person to look at."""

    data: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Requeue:
    """Interrupted through no fault of its own: back to the front of its queue."""


Transition: TypeAlias = Done | Complete | Retry | Archive | Requeue


class Finish(NamedTuple):
    """The end of one attempt."""

    lease: Lease
    transition: Transition
    unique_key: str = ""


class Applied(enum.IntEnum):
    """What became of a transition."""

    APPLIED = 1
    REPEATED = 0
    """An earlier try had been applied; only its answer was lost."""
    LOST = -1
    """The attempt no longer holds the task. Nothing was written."""


# --- Upkeep --------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class Extended:
    """What an extension of leases found."""

    lost: frozenset[Lease]
    cancelled: frozenset[Lease]
    """Those whose cancellation somebody asked for."""


@dataclasses.dataclass(frozen=True, slots=True)
class Forwarded:
    """One pass of the forwarder over one queue."""

    moved: int
    now: float
    """Redis's Unix time."""


@dataclasses.dataclass(frozen=True, slots=True)
class Recovered:
    """One pass of the recoverer over one queue: IDs by what became of them."""

    requeued: Sequence[str]
    poisoned: Sequence[str]
    """Archived: their worker died too often while it ran them."""


@dataclasses.dataclass(frozen=True, slots=True)
class AggregationSet:
    """Tasks taken out of a group, to be aggregated by *deadline* (Redis's Unix time)."""

    queue: str
    group: str
    set_id: str
    messages: Sequence[TaskMessage]
    deadline: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GroupLimits:
    """When a group is ripe. Seconds and tasks; 0: no limit."""

    grace_period: float
    max_delay: float
    max_size: int
