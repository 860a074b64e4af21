"""Every kind of damage, as commands that do it to the queue of the fixtures."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

from headrace._broker.keys import QUEUES, QueueKeys
from tests.support.wire import encode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.wire import RawClient

__all__ = ["DAMAGES", "KEYS", "Damage"]

KEYS: Final = QueueKeys("q")
LOCK: Final = KEYS.unique("t", b"")
SET: Final = KEYS.aggregation_set("g", "set")
DAY: Final = KEYS.prefix + "processed:2026-01-01"
ARCHIVE_SIZE: Final = 20
"""How many tasks an archive may hold in these tests."""
MANY: Final = [part for n in range(ARCHIVE_SIZE + 1) for part in (1_900_000_000, f"dead-{n}")]
Command = tuple[str | bytes | int | float, ...]


@dataclasses.dataclass(frozen=True)
class Damage:
    """One kind of damage, and what an audit should say of it."""

    name: str
    commands: Sequence[Command]
    rules: frozenset[int]
    subject: str
    leads_to: str = ""
    """The state that the task has after the repair; "" where it is gone, or there is none."""

    async def do(self, client: RawClient) -> None:
        """Do it."""
        for command in self.commands:
            await client.execute_command(*command)


def _damage(
    name: str, rule: int | set[int], subject: str, *commands: Command, leads_to: str = ""
) -> Damage:
    rules = frozenset({rule} if isinstance(rule, int) else rule)
    return Damage(name, commands, rules, subject, leads_to)


def _task(state: str) -> str:
    return KEYS.task(state)


DAMAGES: Final = (
    _damage(
        "pending in no list",
        1,
        "pending",
        ("LREM", KEYS.pending, 0, "pending"),
        leads_to="pending",
    ),
    _damage(
        "active in nothing",
        1,
        "active",
        ("LREM", KEYS.active, 0, "active"),
        ("ZREM", KEYS.lease, "active"),
        leads_to="pending",
    ),
    *(
        _damage(
            f"{state} in nothing", 1, state, ("ZREM", KEYS.prefix + state, state), leads_to=state
        )
        for state in ("scheduled", "retry", "archived", "completed")
    ),
    _damage(
        "aggregating in nothing",
        1,
        "grouped",
        ("ZREM", KEYS.group("g"), "grouped"),
        ("SREM", KEYS.groups, "g"),
        leads_to="aggregating",
    ),
    _damage(
        "unknown state in nothing",
        1,
        "pending",
        ("LREM", KEYS.pending, 0, "pending"),
        ("HSET", _task("pending"), "state", "lost"),
        leads_to="archived",
    ),
    _damage(
        "in two containers",
        1,
        "retry",
        ("LPUSH", KEYS.pending, "retry"),
        leads_to="retry",
    ),
    _damage(
        "in two sorted sets",
        1,
        "retry",
        ("ZADD", KEYS.archived, 1_900_000_000, "retry"),
        leads_to="retry",
    ),
    _damage(
        "in a foreign group",
        1,
        "retry",
        ("ZADD", KEYS.group("g"), 5, "retry"),
        leads_to="retry",
    ),
    *(
        _damage(f"{state} without a hash", 1, state, ("DEL", _task(state)))
        for state in ("pending", "active", "scheduled", "retry", "archived", "completed", "grouped")
    ),
    _damage(
        "twice in pending", 2, "pending", ("LPUSH", KEYS.pending, "pending"), leads_to="pending"
    ),
    _damage(
        "thrice in active",
        2,
        "active",
        ("LPUSH", KEYS.active, "active", "active"),
        leads_to="active",
    ),
    _damage(
        "wrong state",
        3,
        "pending",
        ("HSET", _task("pending"), "state", "retry"),
        leads_to="pending",
    ),
    _damage(
        "no state", 3, "completed", ("HDEL", _task("completed"), "state"), leads_to="completed"
    ),
    _damage("active without lease", 4, "active", ("ZREM", KEYS.lease, "active"), leads_to="active"),
    _damage(
        "lease without active", 4, "active", ("LREM", KEYS.active, 0, "active"), leads_to="active"
    ),
    _damage(
        "lease of a pending task",
        4,
        "pending",
        ("ZADD", KEYS.lease, 9e9, "pending"),
        leads_to="pending",
    ),
    _damage("lease without a hash", 4, "nobody", ("ZADD", KEYS.lease, 9e9, "nobody")),
    _damage(
        "message that does not decode",
        5,
        "retry",
        ("HSET", _task("retry"), "msg", b"\xff\xff"),
        leads_to="archived",
    ),
    _damage("no message", 5, "pending", ("HDEL", _task("pending"), "msg"), leads_to="archived"),
    _damage(
        "message of another task",
        5,
        "retry",
        ("HSET", _task("retry"), "msg", encode("other")),
        leads_to="archived",
    ),
    _damage(
        "message of another queue",
        5,
        "scheduled",
        ("HSET", _task("scheduled"), "msg", encode("scheduled", "low")),
        leads_to="archived",
    ),
    _damage(
        "retried too often",
        5,
        "retry",
        ("HSET", _task("retry"), "msg", encode("retry", retried=9, retry=3)),
        leads_to="retry",
    ),
    _damage(
        "score with a fraction",
        6,
        "retry",
        ("ZADD", KEYS.retry, 1_900_000_000.5, "retry"),
        leads_to="retry",
    ),
    _damage(
        "pending since never",
        7,
        "pending",
        ("HDEL", _task("pending"), "pending_since"),
        leads_to="pending",
    ),
    _damage(
        "retry, pending since",
        7,
        "retry",
        ("HSET", _task("retry"), "pending_since", 1),
        leads_to="retry",
    ),
    _damage("lock of nobody", 8, LOCK, ("SET", LOCK, "nobody", "EX", 60)),
    _damage(
        "lock of an archived task",
        8,
        LOCK,
        ("HSET", _task("archived"), "unique_key", LOCK),
        ("SET", LOCK, "archived", "EX", 60),
    ),
    _damage("lock of a task with another", 8, LOCK, ("SET", LOCK, "pending", "EX", 60)),
    _damage(
        "too large an archive",
        16,
        KEYS.archived,
        ("ZADD", KEYS.archived, *MANY),
        *(
            ("HSET", KEYS.task(f"dead-{n}"), "state", "archived", "msg", encode(f"dead-{n}"))
            for n in range(ARCHIVE_SIZE + 1)
        ),
    ),
    _damage("too old an archive", 16, KEYS.archived, ("ZADD", KEYS.archived, 5, "archived")),
    _damage("completed too long", 17, KEYS.completed, ("ZADD", KEYS.completed, 5, "completed")),
    _damage("unknown group", 18, KEYS.group("g"), ("SREM", KEYS.groups, "g")),
    _damage(
        "set that is not registered",
        19,
        SET,
        ("RENAME", KEYS.group("g"), SET),
        ("SREM", KEYS.groups, "g"),
    ),
    _damage("registered set that is missing", 19, SET, ("ZADD", KEYS.aggregation_sets, 9e9, SET)),
    _damage("unknown queue", 22, "q", ("SREM", QUEUES, "q")),
    _damage(
        "lock that stays",
        24,
        LOCK,
        ("HSET", _task("pending"), "unique_key", LOCK),
        ("SET", LOCK, "pending"),
    ),
    _damage("count of a day that stays", 24, DAY, ("SET", DAY, 5)),
)
