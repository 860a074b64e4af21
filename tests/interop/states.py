"""Random queues, written alike into two databases, and random operations on them."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import TYPE_CHECKING, Final

from headrace import TaskState
from headrace._broker.keys import QUEUES, QueueKeys
from tests.support.wire import encode, plant

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from tests.support.wire import RawClient

__all__ = [
    "GROUPS",
    "KEYS",
    "QUEUE",
    "Operation",
    "Planned",
    "draw_operation",
    "draw_tasks",
    "write",
]

QUEUE: Final = "q"
GROUPS: Final = ("g", "another group")
TYPES: Final = ("email:send", "t")
PAYLOADS: Final = (b"", b"\x00\xff" * 20, b"a longer payload")
KEYS: Final = QueueKeys(QUEUE)
S = TaskState


@dataclasses.dataclass(frozen=True)
class Planned:
    """A task of a random queue. Times are seconds after now."""

    id: str
    state: TaskState
    type: str
    payload: bytes
    score: int
    group: str
    is_unique: bool
    max_retry: int
    retried: int
    retention: int
    timeout: int
    result: bytes

    @property
    def lock(self) -> str:
        """The key of its lock; "" if it is not unique."""
        return KEYS.unique(self.type, self.payload) if self.is_unique else ""


def _draw_payload(rng: random.Random) -> bytes:
    """Return one of few payloads, so that there are duplicates."""
    return rng.choice(PAYLOADS) + f"{rng.randrange(2)}".encode()


def draw_tasks(
    rng: random.Random, count: int, states: Sequence[TaskState], types: Sequence[str] = TYPES
) -> list[Planned]:
    """Return so many tasks; of those with the same lock only one has it."""
    tasks: list[Planned] = []
    locks: set[str] = set()
    for n in range(count):
        state = rng.choice(states)
        score = rng.randrange(500, 9_000)
        if state is S.ARCHIVED or (state in {S.SCHEDULED, S.RETRY} and rng.random() < 0.5):
            score = -score
        max_retry = rng.randrange(2, 9)
        task = Planned(
            id=f"id-{n}",
            state=state,
            type=rng.choice(types),
            payload=_draw_payload(rng),
            score=score,
            group=rng.choice(GROUPS) if state is S.AGGREGATING else "",
            is_unique=rng.random() < 0.4,
            max_retry=max_retry,
            retried=rng.choice([0, 1, max_retry]),
            retention=rng.choice([0, 600, 86_400]),
            timeout=rng.choice([0, 30, 1_800]),
            result=b"done" if state is S.COMPLETED else b"",
        )
        if task.lock in locks:
            task = dataclasses.replace(task, is_unique=False)
        locks.add(task.lock)
        tasks.append(task)
    return tasks


async def write(client: RawClient, tasks: Sequence[Planned], now: int) -> None:
    """Write a queue as asynq would have."""
    await client.execute_command("SADD", QUEUES, QUEUE)
    await client.execute_command("SET", KEYS.processed, 17)
    await client.execute_command("SET", KEYS.failed, 3)
    for task in tasks:
        completed_at = now - 1_000 if task.state is S.COMPLETED else 0
        has_failed = task.state in {S.RETRY, S.ARCHIVED}
        data = encode(
            task.id,
            QUEUE,
            type=task.type,
            payload=task.payload,
            retry=task.max_retry,
            retried=task.retried,
            error_msg="why" if has_failed else "",
            last_failed_at=now - 2_000 if has_failed else 0,
            timeout=task.timeout,
            deadline=now + 10_000,
            unique_key=task.lock,
            retention=task.retention,
            completed_at=completed_at,
            group_key=task.group,
            headers={"h": hashlib.md5(task.payload, usedforsecurity=False).hexdigest()},
        )
        # Of a group's tasks asynq names the lock in the message alone.
        fields = {"unique_key": task.lock} if task.lock and not task.group else {}
        fields |= {"result": task.result.decode()} if task.result else {}
        await plant(
            client,
            QUEUE,
            task.id,
            str(task.state),
            data=data,
            score=now + task.score,
            fields=fields,
            group=task.group,
        )
        if task.lock and task.state not in {S.COMPLETED, S.ARCHIVED}:
            await client.execute_command("SET", task.lock, task.id, "EX", 5_000)


# --- Operations ----------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Operation:
    """An operation of ``go/inspector.go``, or ``enqueue``."""

    op: str
    task_id: str = ""
    state: TaskState | None = None
    group: str = ""
    payload: bytes = b""
    force: bool = False
    options: tuple[tuple[str, object], ...] = ()


_ONE: Final = ("run", "archive", "delete", "update_payload")
_ALL: Final = {
    "run_all": (S.SCHEDULED, S.RETRY, S.ARCHIVED, S.AGGREGATING),
    "archive_all": (S.PENDING, S.SCHEDULED, S.RETRY, S.AGGREGATING),
    "delete_all": tuple(state for state in S if state is not S.ACTIVE),
}


def draw_operation(rng: random.Random, count: int) -> Operation:
    """Return an operation on a queue of *count* tasks; some of its IDs do not exist."""
    kind = rng.choice(["one", "one", "one", "all", "enqueue", "enqueue", "queue"])
    task_id = f"id-{rng.randrange(count + 1)}"
    if kind == "one":
        return Operation(rng.choice(_ONE), task_id, payload=_draw_payload(rng))
    if kind == "all":
        op = rng.choice(sorted(_ALL))
        state = rng.choice(_ALL[op])
        return Operation(op, state=state, group=rng.choice(GROUPS))
    if kind == "queue":
        op = rng.choice(["pause", "unpause", "delete_queue"])
        return Operation(op, force=rng.random() < 0.5)
    return Operation("enqueue", payload=_draw_payload(rng), options=_draw_options(rng, task_id))


def _draw_options(rng: random.Random, task_id: str) -> tuple[tuple[str, object], ...]:
    """Return some options of a new task. Its ID is given, for both sides to have the same."""
    options: dict[str, object] = {
        "max_retry": rng.randrange(10),
        "timeout": rng.choice([1, 60, 5_000]),
        "deadline": 4_000_000_000,
        "unique": rng.choice([1_000, 5_000]),
        "process_in": rng.choice([100, 3_000]),
        "retention": rng.choice([60, 7_200]),
        "group": rng.choice(GROUPS),
        "headers": {"k": "v"},
    }
    chosen = {name: value for name, value in options.items() if rng.random() < 0.35}
    chosen["task_id"] = task_id if rng.random() < 0.3 else f"new-{rng.randrange(10**9)}"
    return tuple(chosen.items())
