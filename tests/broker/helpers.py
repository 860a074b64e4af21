"""What the tests of the broker are made of."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, TypedDict, Unpack

from headrace._broker.keys import QueueKeys
from headrace._broker.values import (
    Archive,
    Complete,
    Done,
    Finish,
    Lease,
    Placement,
    Requeue,
    Retry,
)
from headrace._message import TaskMessage, completed_message, failed_message

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace._broker.redis import RedisBroker
    from headrace._broker.values import Attempt

__all__ = [
    "KEYS",
    "LEASE",
    "Options",
    "Rules",
    "Time",
    "archive",
    "complete",
    "done",
    "lease_of",
    "new",
    "requeue",
    "retry",
    "take",
    "take_one",
]

KEYS = QueueKeys("q")
LEASE = 15.0


class Time:
    """What the scripts take for Redis's time. Only a test moves it."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.25  # Not a whole second, lest that hide a mistake.

    def __call__(self) -> float:
        """Return the Unix time."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


@dataclasses.dataclass
class Rules:
    """Which invariants a test breaks on purpose, by planting something broken."""

    allowed: set[int] = dataclasses.field(default_factory=set)

    def allow(self, *numbers: int) -> None:
        """Expect that these are broken."""
        self.allowed.update(numbers)


class Options(TypedDict, total=False):
    """What `new` takes."""

    type: str
    payload: bytes
    timeout: int
    deadline: int
    retention: int
    group_key: str
    headers: Mapping[str, str]
    queue: str
    at: float
    """When the task is due; Unix seconds."""
    after: float
    """The same, in seconds from now."""
    unique: int
    """Seconds for which it holds the lock of its type and payload."""


def new(task_id: str = "a", **options: Unpack[Options]) -> Placement:
    """Return a task to be written, of type "t" in queue "q"."""
    queue, kind = options.get("queue", "q"), options.get("type", "t")
    lock = QueueKeys(queue).unique(kind, options.get("payload"))
    message = TaskMessage(
        id=task_id,
        type=kind,
        queue=queue,
        payload=options.get("payload", b""),
        max_retry=5,
        timeout=options.get("timeout", 0),
        deadline=options.get("deadline", 0),
        unique_key=lock if "unique" in options else "",
        retention=options.get("retention", 0),
        group_key=options.get("group_key", ""),
        headers=options.get("headers", {}),
    )
    return Placement(
        message=message,
        process_at=options.get("at"),
        process_in=options.get("after"),
        unique_ttl=options.get("unique"),
    )


async def take(
    broker: RedisBroker,
    count: int = 100,
    *,
    queue: str = "q",
    token: str = "token",
    lease: float = LEASE,
) -> list[Attempt]:
    """Dequeue up to *count* tasks."""
    return list((await broker.dequeue({queue: count}, token=token, lease_duration=lease)).attempts)


async def take_one(broker: RedisBroker, *, queue: str = "q", token: str = "token") -> Attempt:
    """Dequeue the task that is there."""
    [attempt] = await take(broker, 1, queue=queue, token=token)
    return attempt


def lease_of(task_id: str, token: str = "token", queue: str = "q") -> Lease:
    """Return the claim that an attempt would have."""
    return Lease(queue, task_id, token)


def done(attempt: Attempt) -> Finish:
    """Return the end of an attempt that succeeded."""
    return Finish(attempt.lease, Done(), attempt.message.unique_key)


def complete(attempt: Attempt, *, retention: int = 60, result: bytes | None = None) -> Finish:
    """Return the end of one that succeeded, and whose task is kept."""
    data = completed_message(attempt.data, completed_at=1_700_000_000)
    return Finish(attempt.lease, Complete(data, retention, result), attempt.message.unique_key)


def retry(attempt: Attempt, *, delay: float = 10, is_failure: bool = True) -> Finish:
    """Return the end of one that failed, and is tried again."""
    retried = attempt.message.retried + is_failure
    data = failed_message(attempt.data, error="oh", failed_at=1_700_000_000, retried=retried)
    return Finish(attempt.lease, Retry(data, delay, is_failure), attempt.message.unique_key)


def archive(attempt: Attempt) -> Finish:
    """Return the end of one that failed for good."""
    data = failed_message(
        attempt.data, error="oh", failed_at=1_700_000_000, retried=attempt.message.retried
    )
    return Finish(attempt.lease, Archive(data), attempt.message.unique_key)


def requeue(attempt: Attempt) -> Finish:
    """Return the end of one that was interrupted."""
    return Finish(attempt.lease, Requeue(), attempt.message.unique_key)
