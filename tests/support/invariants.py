"""The invariants of a queue, by number: what must hold at any instant, and over any step.

A violation's number is that in `STATEMENTS`. Here is what can be seen at one instant; what takes
two, with a step between them, is in ``transitions``. Both read Redis itself, not through Headrace.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections import Counter
from typing import TYPE_CHECKING, Final, cast

from google.protobuf.message import DecodeError

from headrace._broker.keys import QUEUES, QueueKeys
from headrace._proto import asynq_pb2 as pb
from tests.support.wire import read_keys, redis_time

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from tests.support.wire import Key, RawClient

__all__ = ["STATEMENTS", "Snapshot", "Violation", "check", "check_queue", "look", "snapshot_of"]

STATEMENTS: Final = {
    1: "every ID with a hash is in exactly one container, and every ID there has a hash",
    2: "no ID is twice in pending or active",
    3: "a hash's state names its container",
    4: "active and lease hold the same IDs",
    5: "a message decodes, is of its task and queue, 0 <= retried <= retry; retried never falls",
    6: "every key has its documented type, every score that Go reads is whole",
    7: "pending_since stands only while a task is pending",
    8: "a lock's value names a living task that has this lock",
    9: "a refused enqueue writes nothing",
    10: "a script's error leaves the key space as it was",
    11: "a lease never moves back",
    12: "only the attempt that holds a task ends it",
    13: "recovery takes a task only after its lease has ended",
    14: "nothing leaves scheduled or retry early",
    15: "retried rises by one a failure; the loss of a worker raises the crash count instead",
    16: "the archive keeps its bounds",
    17: "completed tasks go when their retention ends",
    18: "a group that holds tasks is in groups",
    19: "an aggregation set exists if and only if it is registered",
    20: "an aggregated task exists if and only if its set and members are gone",
    21: "the counters equal the transitions",
    22: "a queue that has a key is in asynq:queues",
    23: "nothing starts while a queue is paused",
    24: "keys without an expiry are those that may stay",
    25: "no task vanishes but by its end",
}
ARCHIVE_SIZE: Final = 10_000
ARCHIVE_SECONDS: Final = 90 * 86_400
FOREIGN_SLACK: Final = 30

_TYPES: Final = {
    "pending": "list",
    "active": "list",
    **dict.fromkeys(("lease", "scheduled", "retry", "archived", "completed"), "zset"),
    "groups": "set",
    "aggregation_sets": "zset",
    **dict.fromkeys(("paused", "processed", "failed"), "string"),
}
_DAILY: Final = re.compile(r"(processed|failed):\d{4}-\d\d-\d\d")
_TIMED: Final = ("scheduled", "retry", "archived", "completed")
_TERMINAL: Final = frozenset({"archived", "completed"})


@dataclasses.dataclass(frozen=True, slots=True)
class Violation:
    """One invariant that does not hold, and where."""

    number: int
    detail: str

    def __str__(self) -> str:
        return f"invariant {self.number} ({STATEMENTS[self.number]}): {self.detail}"


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """All keys of one queue at one instant, by their names without the prefix."""

    queue: str
    now: float
    keys: Mapping[str, Key]
    is_known: bool
    """Whether asynq:queues names it."""

    def ids(self, name: str) -> list[str]:
        """Return the IDs in a list or a sorted set; [] if it is missing or something else."""
        key = self.keys.get(name)
        if key is None or key.type not in {"list", "zset", "set"}:
            return []
        return [_text(item) for item in cast("Collection[bytes]", key.content)]

    def scores(self, name: str) -> dict[str, float]:
        """Return what a sorted set holds."""
        key = self.keys.get(name)
        if key is None or key.type != "zset":
            return {}
        scores = cast("Mapping[bytes, float]", key.content)
        return {_text(item): score for item, score in scores.items()}

    @functools.cached_property
    def tasks(self) -> dict[str, dict[str, bytes]]:
        """The hash of each task."""
        return {
            name.removeprefix("t:"): {
                _text(part): value
                for part, value in cast("Mapping[bytes, bytes]", key.content).items()
            }
            for name, key in self.keys.items()
            if name.startswith("t:") and key.type == "hash"
        }

    @functools.cached_property
    def sets(self) -> list[str]:
        """The aggregation sets that are registered."""
        prefix = QueueKeys(self.queue).prefix
        return [key.removeprefix(prefix) for key in self.ids("aggregation_sets")]

    @functools.cached_property
    def containers(self) -> dict[str, str]:
        """Container -> the state of the tasks in it."""
        fixed = {state: state for state in ("pending", "active", *_TIMED)}
        return {**fixed, **{name: "aggregating" for name in self.keys if name.startswith("g:")}}

    @functools.cached_property
    def places(self) -> dict[str, list[str]]:
        """ID -> the containers that hold it."""
        found: dict[str, list[str]] = {}
        for container in self.containers:
            for task_id in dict.fromkeys(self.ids(container)):
                found.setdefault(task_id, []).append(container)
        return found

    def state(self, task_id: str) -> str:
        """Return a task's state; "" if it has none, or does not exist."""
        return _text(self.tasks.get(task_id, {}).get("state", b""))

    def text(self, task_id: str, name: str) -> str:
        """Return a field of a task's hash; "" if it is missing."""
        return _text(self.tasks.get(task_id, {}).get(name, b""))

    def message(self, task_id: str) -> pb.TaskMessage | None:
        """Return a task's message; None if there is none that can be read."""
        try:
            return pb.TaskMessage.FromString(self.tasks[task_id]["msg"])
        except (KeyError, DecodeError, UnicodeDecodeError):
            return None

    def holds_own_lease(self, task_id: str) -> bool:
        """Whether the attempt that the hash names holds the lease, not a Go server's."""
        ours, score = self.text(task_id, "hr:lease"), self.scores("lease").get(task_id)
        return bool(self.text(task_id, "hr:attempt")) and score == float(ours or "nan")

    def total(self, counter: str) -> int:
        """Return what all days count of *counter*; -1 if one of the counts is no number."""
        days = [key for name, key in self.keys.items() if name.startswith(f"{counter}:")]
        try:
            return sum(int(cast("bytes", key.content)) for key in days)
        except (TypeError, ValueError):
            return -1


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


async def look(client: RawClient, queue: str, *, now: float | None = None) -> Snapshot:
    """Return what a queue holds. *now* is Unix time; None: Redis's own."""
    moment = await redis_time(client) if now is None else now
    return snapshot_of(await read_keys(client), queue, now=moment)


def snapshot_of(every: Mapping[str, Key], queue: str, *, now: float) -> Snapshot:
    """Return what *every*, the keys of a Redis, holds of a queue."""
    prefixes = (QueueKeys(queue).prefix, QueueKeys(queue).own_prefix)
    keys: dict[str, Key] = {}
    for name, key in every.items():
        if name.startswith(prefixes[0]):
            keys[name.removeprefix(prefixes[0])] = key
        elif name.startswith(prefixes[1]):
            keys[name] = key
    known = every.get(QUEUES)
    names = cast("Collection[bytes]", known.content) if known and known.type == "set" else ()
    return Snapshot(queue, now, keys, queue.encode() in names)


async def check_queue(
    client: RawClient, queue: str, *, now: float | None = None, cleaned: bool = False
) -> list[Violation]:
    """Return which invariants do not hold in *queue*.

    Args:
        client: Any client of its Redis, with decode_responses off.
        queue: Its name.
        now: Unix time; None: Redis's own.
        cleaned: Whether the janitor has just been there: then 16 and 17 are looked at, too.
    """
    return check(await look(client, queue, now=now), cleaned=cleaned)


def check(snapshot: Snapshot, *, cleaned: bool = False) -> list[Violation]:
    """Return which invariants do not hold in *snapshot*. See `check_queue`."""
    checks = {**_CHECKS, **(_CLEAN_CHECKS if cleaned else {})}
    return [
        Violation(number, detail)
        for number, function in checks.items()
        for detail in function(snapshot)
    ]


# --- At one instant ------------------------------------------------------------------------


def _one_place(snapshot: Snapshot) -> Iterator[str]:
    for task_id in snapshot.tasks.keys() | snapshot.places.keys():
        where = snapshot.places.get(task_id, [])
        if task_id not in snapshot.tasks:
            yield f"{task_id!r} is in {where}, but has no hash"
        elif len(where) != 1:
            yield f"{task_id!r} has a hash and is in {where or 'no container'}"


def _no_twins(snapshot: Snapshot) -> Iterator[str]:
    for name in ("pending", "active"):
        for task_id, count in Counter(snapshot.ids(name)).items():
            if count > 1:
                yield f"{task_id!r} is {count} times in {name}"


def _states(snapshot: Snapshot) -> Iterator[str]:
    for task_id, where in snapshot.places.items():
        expected = {snapshot.containers[name] for name in where}
        if task_id in snapshot.tasks and snapshot.state(task_id) not in expected:
            yield f"{task_id!r} is in {where}, but its state is {snapshot.state(task_id)!r}"


def _leases(snapshot: Snapshot) -> Iterator[str]:
    active, leased = set(snapshot.ids("active")), set(snapshot.ids("lease"))
    for task_id in active ^ leased:
        yield f"{task_id!r} is only in {'active' if task_id in active else 'lease'}"


def _messages(snapshot: Snapshot) -> Iterator[str]:
    for task_id in snapshot.tasks:
        message, given_up = snapshot.message(task_id), snapshot.state(task_id) == "archived"
        if given_up:  # What could not be read is kept there as it was.
            continue
        if message is None:
            yield f"the message of {task_id!r} does not decode"
        elif (message.id, message.queue) != (task_id, snapshot.queue):
            yield f"the message of {task_id!r} is of {message.id!r} in {message.queue!r}"
        elif not 0 <= message.retried <= message.retry:
            yield f"{task_id!r} was retried {message.retried} times of {message.retry}"


def _types(snapshot: Snapshot) -> Iterator[str]:
    for name, key in snapshot.keys.items():
        expected = _expected_type(name)
        if expected is not None and key.type != expected:
            yield f"{name} is a {key.type}, not a {expected}"
    for name in (*_TIMED, *(name for name in snapshot.containers if name.startswith("g:"))):
        for task_id, score in snapshot.scores(name).items():
            if score != int(score):
                yield f"the score {score!r} of {task_id!r} in {name} has a fraction"


def _expected_type(name: str) -> str | None:
    if name.startswith("t:"):
        return "hash"
    if name.startswith("g:"):
        return "zset"
    if name.startswith("unique:") or _DAILY.fullmatch(name):
        return "string"
    return _TYPES.get(name)


def _waiting_since(snapshot: Snapshot) -> Iterator[str]:
    for task_id, fields in snapshot.tasks.items():
        state = snapshot.state(task_id)
        if ("pending_since" in fields) != (state == "pending"):
            yield f"{task_id!r} is {state}; its pending_since: {fields.get('pending_since')!r}"


def _locks(snapshot: Snapshot) -> Iterator[str]:
    prefix = QueueKeys(snapshot.queue).prefix
    for name, key in snapshot.keys.items():
        if not name.startswith("unique:") or not isinstance(key.content, bytes):
            continue
        holder = _text(key.content)
        state = snapshot.state(holder)
        if not state or state in _TERMINAL:
            yield f"{name} is held by {holder!r}, which is {state or 'gone'}"
        elif _lock_of(snapshot, holder) != prefix + name:
            yield f"{name} is held by {holder!r}, whose lock is another"


def _lock_of(snapshot: Snapshot, task_id: str) -> str:
    """Return a task's lock. Of a group's tasks, asynq's client tells it in the message alone."""
    message = snapshot.message(task_id)
    return snapshot.text(task_id, "unique_key") or (message.unique_key if message else "")


def _archive_bounds(snapshot: Snapshot) -> Iterator[str]:
    archived = snapshot.scores("archived")
    if len(archived) > ARCHIVE_SIZE:
        yield f"it holds {len(archived)}"
    for task_id, died_at in archived.items():
        if died_at <= snapshot.now - ARCHIVE_SECONDS:
            yield f"{task_id!r} died at {died_at}"


def _retention(snapshot: Snapshot) -> Iterator[str]:
    for task_id, until in snapshot.scores("completed").items():
        if until <= snapshot.now:
            yield f"{task_id!r} was to be kept until {until}; it is {snapshot.now}"


def _group_names(snapshot: Snapshot) -> Iterator[str]:
    for name in snapshot.containers:
        group = name.removeprefix("g:")
        if (
            name.startswith("g:")
            and name not in snapshot.sets
            and group not in snapshot.ids("groups")
        ):
            yield f"{group!r} is missing there"


def _registered_sets(snapshot: Snapshot) -> Iterator[str]:
    for name in snapshot.sets:
        if name not in snapshot.keys:
            yield f"{name} is registered, but does not exist"


def _known_queue(snapshot: Snapshot) -> Iterator[str]:
    if snapshot.keys and not snapshot.is_known:
        yield f"{snapshot.queue!r} is missing there"


def _expiries(snapshot: Snapshot) -> Iterator[str]:
    limits = QueueKeys(snapshot.queue).limits  # The only one of ours that is configuration.
    for name, key in snapshot.keys.items():
        must_expire = name.startswith(("unique:", "headrace:")) or _DAILY.fullmatch(name)
        stays = name == limits or (_expected_type(name) is not None and not must_expire)
        if key.expires == stays:
            yield f"{name} {'expires' if key.expires else 'does not expire'}"


_CHECKS: Final[dict[int, Callable[[Snapshot], Iterator[str]]]] = {
    1: _one_place,
    2: _no_twins,
    3: _states,
    4: _leases,
    5: _messages,
    6: _types,
    7: _waiting_since,
    8: _locks,
    18: _group_names,
    19: _registered_sets,
    22: _known_queue,
    24: _expiries,
}
_CLEAN_CHECKS: Final = {16: _archive_bounds, 17: _retention}
