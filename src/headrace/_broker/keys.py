"""Every Redis key name. The names are asynq's; only those with ``headrace:`` are ours."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import date

__all__ = [
    "CANCEL_CHANNEL",
    "QUEUES",
    "SCHEDULERS",
    "SERVERS",
    "STORED_SCHEDULES",
    "WORKERS",
    "QueueKeys",
    "scheduler_history_key",
    "scheduler_key",
    "semaphore_key",
    "server_key",
    "workers_key",
]

QUEUES: Final = "asynq:queues"
"""Set: the names of all queues."""
SERVERS: Final = "asynq:servers"
"""Sorted set: the key of a server's state -> its expiry."""
WORKERS: Final = "asynq:workers"
"""Sorted set: the key of a server's running tasks -> its expiry."""
SCHEDULERS: Final = "asynq:schedulers"
"""Sorted set: the key of a scheduler's entries -> its expiry."""
STORED_SCHEDULES: Final = "headrace:schedules"
"""Hash: the ID of a stored schedule -> the schedule."""
CANCEL_CHANNEL: Final = "asynq:cancel"
"""Channel: the IDs of tasks to be cancelled."""


@dataclasses.dataclass(frozen=True, slots=True)
class QueueKeys:
    """The keys of one queue. The braces make Redis Cluster keep them in one slot."""

    queue: str

    @property
    def prefix(self) -> str:
        """What all of asynq's keys of the queue begin with."""
        return f"asynq:{{{self.queue}}}:"

    @property
    def own_prefix(self) -> str:
        """What the keys begin with that only Headrace knows; all but the limits have a TTL."""
        return f"headrace:{{{self.queue}}}:"

    @property
    def task_prefix(self) -> str:
        """What the keys of the queue's tasks begin with."""
        return f"asynq:{{{self.queue}}}:t:"

    @property
    def group_prefix(self) -> str:
        """What the keys of the queue's groups begin with."""
        return f"asynq:{{{self.queue}}}:g:"

    @property
    def pending(self) -> str:
        """List: IDs, pushed on the left and taken from the right."""
        return f"asynq:{{{self.queue}}}:pending"

    @property
    def active(self) -> str:
        """List: IDs of running tasks, pushed on the left."""
        return f"asynq:{{{self.queue}}}:active"

    @property
    def lease(self) -> str:
        """Sorted set: ID of a running task -> end of its lease, which is its token."""
        return f"asynq:{{{self.queue}}}:lease"

    @property
    def scheduled(self) -> str:
        """Sorted set: ID -> when it is due, whole Unix seconds."""
        return f"asynq:{{{self.queue}}}:scheduled"

    @property
    def retry(self) -> str:
        """Sorted set: ID -> when it is tried again, whole Unix seconds."""
        return f"asynq:{{{self.queue}}}:retry"

    @property
    def archived(self) -> str:
        """Sorted set: ID -> when it failed for good, whole Unix seconds."""
        return f"asynq:{{{self.queue}}}:archived"

    @property
    def completed(self) -> str:
        """Sorted set: ID -> when it may be deleted, whole Unix seconds."""
        return f"asynq:{{{self.queue}}}:completed"

    @property
    def groups(self) -> str:
        """Set: the names of the groups that hold tasks."""
        return f"asynq:{{{self.queue}}}:groups"

    @property
    def aggregation_sets(self) -> str:
        """Sorted set: key of an aggregation set -> its deadline."""
        return f"asynq:{{{self.queue}}}:aggregation_sets"

    @property
    def paused(self) -> str:
        """String: exists while the queue is paused."""
        return f"asynq:{{{self.queue}}}:paused"

    @property
    def processed(self) -> str:
        """String: how many tasks were processed in all."""
        return f"asynq:{{{self.queue}}}:processed"

    @property
    def failed(self) -> str:
        """String: how many attempts failed in all."""
        return f"asynq:{{{self.queue}}}:failed"

    @property
    def limits(self) -> str:
        """Hash: how much of the queue may run; see set_limits.lua. It has no TTL."""
        return f"headrace:{{{self.queue}}}:limits"

    @property
    def starts(self) -> str:
        """List: when tasks were started, while the queue's rate is limited."""
        return f"headrace:{{{self.queue}}}:starts"

    def processed_on(self, day: date) -> str:
        """Return the string that counts the tasks processed on *day* (UTC)."""
        return f"asynq:{{{self.queue}}}:processed:{day:%Y-%m-%d}"

    def failed_on(self, day: date) -> str:
        """Return the string that counts the attempts failed on *day* (UTC)."""
        return f"asynq:{{{self.queue}}}:failed:{day:%Y-%m-%d}"

    def task(self, task_id: str) -> str:
        """Return the hash of one task."""
        return f"asynq:{{{self.queue}}}:t:{task_id}"

    def group(self, name: str) -> str:
        """Return the sorted set of a group: ID -> when it was added."""
        return f"asynq:{{{self.queue}}}:g:{name}"

    def aggregation_set(self, group: str, set_id: str) -> str:
        """Return the sorted set of the IDs taken out of *group*, to be aggregated."""
        return f"asynq:{{{self.queue}}}:g:{group}:{set_id}"

    def tick(self, entry_id: str) -> str:
        """Return the string that tells how far a scheduler's entry has come."""
        return f"{self.own_prefix}tick:{entry_id}"

    def unique(self, task_type: str, payload: bytes | None) -> str:
        """Return the uniqueness lock, a string: the holder's ID. None: no payload."""
        # MD5 is the wire's choice; it only has to tell payloads apart.
        digest = "" if payload is None else hashlib.md5(payload, usedforsecurity=False).hexdigest()
        return f"asynq:{{{self.queue}}}:unique:{task_type}:{digest}"


def server_key(host: str, pid: int, server_id: str) -> str:
    """Return the string that holds the state of one server."""
    return f"asynq:servers:{{{host}:{pid}:{server_id}}}"


def workers_key(host: str, pid: int, server_id: str) -> str:
    """Return the hash of the tasks that one server runs: ID -> the report on it."""
    return f"asynq:workers:{{{host}:{pid}:{server_id}}}"


def scheduler_key(host: str, pid: int, scheduler_id: str) -> str:
    """Return the list of one scheduler's entries."""
    return f"asynq:schedulers:{{{host}:{pid}:{scheduler_id}}}"


def scheduler_history_key(entry_id: str) -> str:
    """Return the sorted set of what one scheduler entry enqueued -> when."""
    return f"asynq:scheduler_history:{entry_id}"


def semaphore_key(scope: str) -> str:
    """Return the sorted set of a rate semaphore: ID of a holder -> its deadline."""
    return f"asynq:sema:{scope}"
