"""The invariants of a queue that hold over a step: what may come between two instants."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final

from headrace._broker.values import Lease
from headrace._errors import BrokerError, HeadraceError
from tests.support.invariants import FOREIGN_SLACK, Snapshot, Violation, check, snapshot_of
from tests.support.wire import read_keys, redis_time

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence

    from headrace._broker.redis import RedisBroker
    from tests.support.wire import Key, RawClient

__all__ = ["Watch", "compare"]

Holders = frozenset[tuple[str, str]]
"""IDs and tokens of the attempts that a step speaks for."""


def compare(before: Snapshot, after: Snapshot, *, by: Holders = frozenset()) -> list[Violation]:
    """Return which invariants a step broke.

    Args:
        before: The queue before it.
        after: The queue after it.
        by: IDs and tokens of the attempts that it was taken for.
    """
    found = [
        Violation(number, detail)
        for number, function in _CHECKS.items()
        for detail in function(before, after)
    ]
    return found + [Violation(12, detail) for detail in _fencing(before, after, by)]


def _ended(before: Snapshot, after: Snapshot) -> list[str]:
    """Return the IDs of the tasks that were active and no longer are."""
    return [i for i in dict.fromkeys(before.ids("active")) if after.state(i) != "active"]


def _retries(before: Snapshot, after: Snapshot) -> Iterator[tuple[str, int, int]]:
    for task_id in before.tasks.keys() & after.tasks.keys():
        old, new = before.message(task_id), after.message(task_id)
        if old is not None and new is not None:
            yield task_id, old.retried, new.retried


def _retried_stays(before: Snapshot, after: Snapshot) -> Iterator[str]:
    for task_id, old, new in _retries(before, after):
        if new < old:
            yield f"{task_id!r} was retried {old} times, now {new}"


def _lease_stays(before: Snapshot, after: Snapshot) -> Iterator[str]:
    now = after.scores("lease")
    for task_id, old in before.scores("lease").items():
        same = before.text(task_id, "hr:attempt") == after.text(task_id, "hr:attempt")
        if same and now.get(task_id, old) < old:
            yield f"that of {task_id!r} ended at {old}, now at {now[task_id]}"


def _fencing(before: Snapshot, after: Snapshot, by: Holders) -> Iterator[str]:
    for task_id in before.ids("active"):
        token = before.text(task_id, "hr:attempt")
        taken_over = after.text(task_id, "hr:attempt") != token
        if task_id in _ended(before, after) or taken_over:
            spoken_for = (task_id, token) in by and (
                before.holds_own_lease(task_id) or task_id not in before.scores("lease")
            )
            if not spoken_for and not _lease_has_ended(before, after, task_id):
                yield f"{task_id!r} was taken from attempt {token!r}, in the name of {set(by)}"


def _lease_has_ended(before: Snapshot, after: Snapshot, task_id: str) -> bool:
    until = before.scores("lease").get(task_id)
    slack = 0 if before.holds_own_lease(task_id) else FOREIGN_SLACK
    return until is not None and until + slack <= after.now


def _recovery(before: Snapshot, after: Snapshot) -> Iterator[str]:
    for task_id in _ended(before, after):
        crashed = after.text(task_id, "hr:crashes") != before.text(task_id, "hr:crashes")
        if crashed and not _lease_has_ended(before, after, task_id):
            yield f"the lease of {task_id!r}: {before.scores('lease').get(task_id)}"


def _punctuality(before: Snapshot, after: Snapshot) -> Iterator[str]:
    for name in ("scheduled", "retry"):
        for task_id, due in before.scores(name).items():
            if task_id not in after.scores(name) and due > after.now:
                yield f"{task_id!r} was due at {due}; it is {after.now}"


def _failures(before: Snapshot, after: Snapshot) -> Iterator[str]:
    for task_id, old, new in _retries(before, after):
        texts = [snapshot.text(task_id, "hr:crashes") for snapshot in (before, after)]
        crashes = [int(text) if text.isdecimal() else 0 for text in texts]
        if new > old + 1 or crashes[1] > crashes[0] + 1:
            yield f"{task_id!r}: retried {old} -> {new}, crashes {crashes}"
        elif new > old and crashes[1] > crashes[0]:
            yield f"{task_id!r}: one loss counted as both"
        elif new > old and after.state(task_id) != "retry":
            yield f"{task_id!r}: retried {old} -> {new}, but it is {after.state(task_id)}"


def _aggregation(before: Snapshot, after: Snapshot) -> Iterator[str]:
    for name in before.sets:
        members = before.ids(name)
        if name in after.sets:
            continue
        gone = [task_id for task_id in members if task_id not in after.tasks]
        new = after.tasks.keys() - before.tasks.keys()
        if gone and (len(gone) != len(members) or not new):
            yield f"{name} went, with {len(gone)} of {len(members)} members; new tasks: {new}"


def _counters(before: Snapshot, after: Snapshot) -> Iterator[str]:
    failures = {task_id for task_id, old, new in _retries(before, after) if new > old}
    archived = set(after.ids("archived")) - set(before.ids("archived"))
    completed = set(after.ids("completed")) - set(before.ids("completed"))
    gone = before.tasks.keys() - after.tasks.keys()
    done = gone.intersection(_ended(before, after))
    expected = {
        "processed": len(failures | archived | completed | done),
        "failed": len(failures | archived),
    }
    for counter, count in expected.items():
        rise = after.total(counter) - before.total(counter)
        if min(before.total(counter), after.total(counter)) >= 0 and rise != count:
            yield f"{counter} rose by {rise}, for {count} transitions"


def _pause(before: Snapshot, after: Snapshot) -> Iterator[str]:
    started = set(after.ids("active")) - set(before.ids("active"))
    if "paused" in before.keys and "paused" in after.keys and started:
        yield f"these did: {sorted(started)}"


def _conservation(before: Snapshot, after: Snapshot) -> Iterator[str]:
    sets_that_went = [name for name in before.sets if name not in after.sets]
    aggregated = {task_id for name in sets_that_went for task_id in before.ids(name)}
    for task_id in before.tasks.keys() - after.tasks.keys() - aggregated:
        state = before.state(task_id)
        if state not in {"active", "archived", "completed"}:
            yield f"{task_id!r}, which was {state}"


_CHECKS: Final = {
    5: _retried_stays,
    11: _lease_stays,
    13: _recovery,
    14: _punctuality,
    15: _failures,
    20: _aggregation,
    21: _counters,
    23: _pause,
    25: _conservation,
}


class Watch:
    """Looks at some queues before and after each call of a broker.

    Args:
        client: Reads Redis.
        queues: What to look at.
        now: Returns the Unix time; None: Redis's own.

    Attributes:
        violations: What was found so far.
    """

    def __init__(
        self, client: RawClient, queues: Sequence[str], *, now: Callable[[], float] | None = None
    ) -> None:
        self._client = client
        self._queues = queues
        self._now = now
        self.violations: list[Violation] = []

    async def look(self) -> dict[str, Snapshot]:
        """Return what the queues hold."""
        now = await redis_time(self._client) if self._now is None else self._now()
        keys = await read_keys(self._client)
        return {queue: snapshot_of(keys, queue, now=now) for queue in self._queues}

    def guard(self, broker: RedisBroker, methods: Iterable[str]) -> None:
        """Watch every call of these methods of *broker* from now on."""
        for name in methods:
            setattr(broker, name, self._watched(getattr(broker, name)))

    def _watched(
        self, method: Callable[..., Awaitable[object]]
    ) -> Callable[..., Awaitable[object]]:
        @functools.wraps(method)
        async def call(*args: object, **kwargs: object) -> object:
            before = await self.look()
            refused: int | None = None
            try:
                answer = await method(*args, **kwargs)
                refused = 9 if _all_refused(answer) else None
            except BrokerError as error:
                refused = 10 if error.code else None
                raise
            finally:
                after = await self.look()
                if refused is not None and _keys(before) != _keys(after):
                    self.violations.append(Violation(refused, f"by {method.__name__}"))
                self._judge(before, after, _holders(args))
            return answer

        return call

    def _judge(self, before: dict[str, Snapshot], after: dict[str, Snapshot], by: Holders) -> None:
        for queue in self._queues:
            known = check(before[queue])  # A test may plant something broken.
            new = [violation for violation in check(after[queue]) if violation not in known]
            self.violations += new + compare(before[queue], after[queue], by=by)


def _keys(snapshots: dict[str, Snapshot]) -> list[Mapping[str, Key]]:
    return [snapshot.keys for snapshot in snapshots.values()]


def _all_refused(answer: object) -> bool:
    return (
        isinstance(answer, list)
        and bool(answer)
        and all(isinstance(item, HeadraceError) for item in answer)
    )


def _holders(args: Sequence[object]) -> Holders:
    """Return the attempts in the arguments of a call: leases, or ends of attempts."""
    found = set()
    for arg in args:
        for item in arg if isinstance(arg, (list, tuple)) else [arg]:
            lease = getattr(item, "lease", item)
            if isinstance(lease, Lease):
                found.add((lease.task_id, lease.token))
    return frozenset(found)
