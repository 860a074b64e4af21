"""run, archive, delete and cancel, one task at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headrace import (
    InvalidOptionError,
    Server,
    Task,
    TaskNotFoundError,
    TaskState,
    TaskStateError,
)
from tests.inspector.helpers import KEYS, WAITING, lock_key, put
from tests.support.wire import dump, field, members, plant, redis_time

if TYPE_CHECKING:
    from headrace import Client, Inspector
    from tests.support.wire import RawClient

RUNNABLE = [state for state in WAITING if state is not TaskState.PENDING]
ARCHIVABLE = [TaskState.PENDING, TaskState.SCHEDULED, TaskState.RETRY, TaskState.AGGREGATING]


# --- Delete --------------------------------------------------------------------------------


@pytest.mark.parametrize("state", WAITING, ids=str)
async def test_delete(inspector: Inspector, raw: RawClient, state: TaskState) -> None:
    """Nothing of the task is left: no entry, no lock, no name of an empty group."""
    await put(raw, "a", state, locked=True)
    await inspector.delete_task("q", "a")

    assert {} == await dump(raw)
    assert ["q"] == await inspector.queues()


@pytest.mark.parametrize("state", WAITING, ids=str)
async def test_delete_leaves_others_alone(
    inspector: Inspector, raw: RawClient, state: TaskState
) -> None:
    """Other tasks stay where they are, and so does the name of their group."""
    await put(raw, "a", state, locked=True)
    before = await dump(raw)
    await put(raw, "b", state, locked=True)
    await inspector.delete_task("q", "b")

    assert before == await dump(raw)


async def test_delete_spares_the_lock_of_another(inspector: Inspector, raw: RawClient) -> None:
    """A lock that went over to another task stays."""
    await put(raw, "a", "archived", locked=True)
    await plant(raw, "q", "b", fields={"unique_key": lock_key("a")})
    await raw.execute_command("SET", lock_key("a"), "b", "EX", 60)
    await inspector.delete_task("q", "a")

    assert b"b" == await raw.execute_command("GET", lock_key("a"))


# --- Run -----------------------------------------------------------------------------------


@pytest.mark.parametrize("state", RUNNABLE, ids=str)
async def test_run(inspector: Inspector, raw: RawClient, state: TaskState) -> None:
    """The task is pending, behind those that are; its group, now empty, is not named any more."""
    await put(raw, "first", "pending")
    await put(raw, "a", state)
    before = await redis_time(raw)
    await inspector.run_task("q", "a")

    listed = await inspector.list_tasks("q", TaskState.PENDING)
    assert [("first", TaskState.PENDING), ("a", TaskState.PENDING)] == [
        (info.id, info.state) for info in listed
    ]
    assert [] == await inspector.groups("q")
    since = await field(raw, "q", "a", "pending_since")
    assert before <= int(since or "0") / 1e9 < before + 60


async def test_completed_task_runs_again(
    inspector: Inspector, client: Client, broker_url: str
) -> None:
    """Nothing tells of the earlier success until the next."""
    runs: list[str] = []

    async def handler(task: Task) -> None:
        runs.append(task.type)

    await client.enqueue(Task("t"), queue="q", task_id="a", retention=60)
    async with Server(broker_url, handler, queues={"q": 1}):
        await client.result("a", queue="q", timeout=60)
    assert (await inspector.get_task("q", "a")).completed_at
    await inspector.run_task("q", "a")

    info = await inspector.get_task("q", "a")
    assert (TaskState.PENDING, None, None, 60) == (
        *(info.state, info.completed_at, info.result),
        info.retention,
    )
    async with Server(broker_url, handler, queues={"q": 1}):
        await client.result("a", queue="q", timeout=60)
    assert ["t", "t"] == runs


async def test_archived_task_that_is_run_may_crash_again(
    inspector: Inspector, raw: RawClient
) -> None:
    """A task that took its workers down starts with a clean slate."""
    await put(raw, "a", "archived")
    await raw.execute_command("HSET", KEYS.task("a"), "hr:crashes", 3)
    await inspector.run_task("q", "a")

    assert await field(raw, "q", "a", "hr:crashes") is None


async def test_run_wakes_a_worker(client: Client, inspector: Inspector, broker_url: str) -> None:
    """A waiting worker takes the task at once, not after its next look."""
    await client.enqueue(Task("t"), queue="q", task_id="a", retention=60, process_in=3_000)

    async def handler(task: Task) -> None:
        """Do nothing."""

    async with Server(broker_url, handler, queues={"q": 1}, task_check_interval=50):
        await inspector.run_task("q", "a")
        await client.result("a", queue="q", timeout=60)


# --- Archive -------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ARCHIVABLE, ids=str)
async def test_archive(inspector: Inspector, raw: RawClient, state: TaskState) -> None:
    """The task is in the archive, since now; its lock is free, its group forgotten."""
    await put(raw, "a", state, locked=True)
    before = await redis_time(raw)
    await inspector.archive_task("q", "a")

    assert ["a"] == [info.id for info in await inspector.list_tasks("q", TaskState.ARCHIVED)]
    assert TaskState.ARCHIVED is (await inspector.get_task("q", "a")).state
    died_at = await raw.execute_command("ZSCORE", KEYS.archived, "a")
    assert int(before) <= float(died_at) < before + 60  # type: ignore[arg-type]  # redis-py's.
    assert 0 == await raw.execute_command("EXISTS", lock_key("a"))
    assert [] == await inspector.groups("q")


async def test_archive_keeps_its_bounds(inspector: Inspector, raw: RawClient) -> None:
    """What is too old goes as another comes."""
    await put(raw, "old", "archived", score=1)
    await put(raw, "a", "pending")
    await inspector.archive_task("q", "a")

    assert ["a"] == await members(raw, KEYS.archived)
    assert 0 == await raw.execute_command("EXISTS", KEYS.task("old"))


# --- Not possible --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "state"),
    [
        ("delete", "active"),
        ("run", "active"),
        ("run", "pending"),
        ("archive", "active"),
        ("archive", "archived"),
        ("archive", "completed"),
    ],
)
async def test_wrong_state(inspector: Inspector, raw: RawClient, action: str, state: str) -> None:
    """The error says which task is in which state; nothing changes."""
    await put(raw, "a", state)
    before = await dump(raw)

    with pytest.raises(TaskStateError, match=f"Cannot {action} task 'a'") as caught:
        await getattr(inspector, f"{action}_task")("q", "a")
    assert ("q", "a", state, action) == (
        *(caught.value.queue, caught.value.task_id),
        *(caught.value.state, caught.value.action),
    )
    assert before == await dump(raw)


@pytest.mark.parametrize("action", ["delete", "run", "archive"])
async def test_tasks_that_are_being_aggregated(
    inspector: Inspector, raw: RawClient, action: str
) -> None:
    """What an aggregator has taken out of its group is left to it."""
    await put(raw, "a", "aggregating")
    await take_set(raw)
    before = await dump(raw)

    with pytest.raises(TaskStateError, match="being aggregated"):
        await getattr(inspector, f"{action}_task")("q", "a")
    assert before == await dump(raw)


async def take_set(raw: RawClient) -> None:
    """Have an aggregator take the group "g"."""
    await raw.execute_command("RENAME", KEYS.group("g"), KEYS.aggregation_set("g", "set"))
    await raw.execute_command("SREM", KEYS.groups, "g")
    await raw.execute_command("ZADD", KEYS.aggregation_sets, 4e9, KEYS.aggregation_set("g", "set"))


@pytest.mark.parametrize("action", ["delete_task", "run_task", "archive_task", "get_task"])
async def test_unknown_task(inspector: Inspector, raw: RawClient, action: str) -> None:
    """The error names the queue and the task."""
    await put(raw, "a", "pending")

    with pytest.raises(TaskNotFoundError, match="no task with ID 'b'") as caught:
        await getattr(inspector, action)("q", "b")
    assert ("q", "b") == (caught.value.queue, caught.value.task_id)


@pytest.mark.parametrize("value", [None, 7, b"a"])
async def test_names_that_are_none(inspector: Inspector, value: str) -> None:
    """A queue and a task are named by text."""
    with pytest.raises(InvalidOptionError, match="task_id"):
        await inspector.delete_task("q", value)
    with pytest.raises(InvalidOptionError, match="queue"):
        await inspector.get_task(value, "a")


# --- Cancel --------------------------------------------------------------------------------


async def test_cancel(inspector: Inspector, raw: RawClient) -> None:
    """Only what runs can be cancelled; the request is kept for the worker."""
    await put(raw, "a", "active")
    await put(raw, "b", "pending")

    assert (True, False) == (await inspector.cancel("q", "a"), await inspector.cancel("q", "b"))
    assert await field(raw, "q", "a", "hr:cancel") is not None
    assert await field(raw, "q", "b", "hr:cancel") is None


# --- Look ----------------------------------------------------------------------------------


async def test_get(inspector: Inspector, client: Client) -> None:
    """A task is reported on with all that is known of it."""
    await client.enqueue(
        Task("t", {"n": 1}), queue="q", task_id="a", process_at=3e9, headers={"k": "v"}, timeout=9
    )
    info = await inspector.get_task("q", "a")

    assert ("a", "q", "t", b'{"n":1}', {"k": "v"}) == (
        *(info.id, info.queue, info.type, info.payload),
        dict(info.headers),
    )
    assert (TaskState.SCHEDULED, 3e9, 9, 25) == (
        *(info.state, info.next_process_at),
        *(info.timeout, info.max_retry),
    )
