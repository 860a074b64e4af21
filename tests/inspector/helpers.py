"""What the inspector's tests are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace import TaskState
from headrace._broker.keys import QueueKeys
from tests.support.wire import encode, plant

if TYPE_CHECKING:
    from tests.support.wire import RawClient

__all__ = ["KEYS", "LATER", "WAITING", "lock_key", "put", "put_many"]

KEYS = QueueKeys("q")
LATER = 4_000_000_000
"""A Unix time that no test sees."""
WAITING = [state for state in TaskState if state is not TaskState.ACTIVE]


def lock_key(task_id: str) -> str:
    """Return the lock of a task that `put` wrote with one."""
    return KEYS.unique("t", task_id.encode())


async def put(
    raw: RawClient,
    task_id: str,
    state: TaskState | str,
    *,
    score: float = LATER,
    group: str = "g",
    locked: bool = False,
) -> None:
    """Write a task in any state, as a Go program would; perhaps with a lock of its own."""
    state, key = str(state), lock_key(task_id)
    group = group if state == "aggregating" else ""
    data = encode(
        task_id,
        payload=task_id.encode(),
        group_key=group,
        unique_key=key if locked else "",
        completed_at=1_700_000_000 if state == "completed" else 0,
    )
    fields = {"unique_key": key} if locked else {}
    if state == "archived" and score == LATER:
        score = 2_000_000_000
    await plant(raw, "q", task_id, state, data=data, score=score, group=group, fields=fields)
    if locked and state not in {"archived", "completed"}:
        await raw.execute_command("SET", key, task_id, "EX", 600)


async def put_many(raw: RawClient, count: int, state: TaskState | str, *, group: str = "g") -> None:
    """Write tasks ``t000``, ``t001``, …, each of them one second later than the one before."""
    for n in range(count):
        await put(raw, f"t{n:03}", state, score=3_000_000_000 + n, group=group, locked=True)
