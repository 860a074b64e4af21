"""delete_all, run_all and archive_all: in bounded steps, with counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headrace import (
    Client,
    GroupInfo,
    Inspector,
    InvalidOptionError,
    Task,
    TaskState,
)
from tests.inspector.helpers import KEYS, WAITING, put, put_many
from tests.inspector.test_tasks import ARCHIVABLE, take_set
from tests.support.wire import dump, field, members

if TYPE_CHECKING:
    from tests.support.redis_server import RedisServer
    from tests.support.wire import RawClient

RUNNABLE = [TaskState.SCHEDULED, TaskState.RETRY, TaskState.ARCHIVED, TaskState.AGGREGATING]
IDS = [f"t{n:03}" for n in range(250)]


@pytest.mark.parametrize("state", WAITING, ids=str)
async def test_delete_all(inspector: Inspector, raw: RawClient, state: TaskState) -> None:
    """Nothing is left of the tasks, their locks and their groups; progress is told."""
    await put_many(raw, 250, state)
    progress: list[int] = []

    assert 250 == await inspector.delete_all("q", state, on_progress=progress.append)
    assert [100, 200, 250] == progress
    assert {} == await dump(raw)
    assert 0 == await inspector.delete_all("q", str(state))


@pytest.mark.parametrize("state", RUNNABLE, ids=str)
async def test_run_all(inspector: Inspector, raw: RawClient, state: TaskState) -> None:
    """They are pending, the first one next; a group that is empty now is not named any more."""
    await put_many(raw, 250, state)
    progress: list[int] = []

    assert 250 == await inspector.run_all("q", state, on_progress=progress.append)
    assert [100, 200, 250] == progress
    assert IDS[::-1] == await members(raw, KEYS.pending)
    assert [] == await inspector.groups("q")
    assert 250 == (await inspector.queue_stats("q")).size


@pytest.mark.parametrize("state", ARCHIVABLE, ids=str)
async def test_archive_all(inspector: Inspector, raw: RawClient, state: TaskState) -> None:
    """They are in the archive, and their locks are free."""
    await put_many(raw, 250, state)
    progress: list[int] = []

    assert 250 == await inspector.archive_all("q", state, on_progress=progress.append)
    assert [100, 200, 250] == progress
    assert IDS == sorted(await members(raw, KEYS.archived))
    assert [] == [key for key in await dump(raw) if ":unique:" in key]
    assert [] == await inspector.groups("q")


@pytest.mark.parametrize("state", WAITING, ids=str)
async def test_other_tasks_stay(inspector: Inspector, raw: RawClient, state: TaskState) -> None:
    """Only the tasks of that state are deleted."""
    for other in TaskState:
        await put(raw, f"a {other}", other, locked=True)
    assert 1 == await inspector.delete_all("q", state)

    states = [other for other in TaskState if other is not state]
    assert [other for other in states if await field(raw, "q", f"a {other}", "state")] == states
    assert await field(raw, "q", f"a {state}", "state") is None


async def test_one_group(inspector: Inspector, raw: RawClient) -> None:
    """With a group's name, other groups are left alone."""
    for n, group in enumerate("ghhk"):
        await put(raw, f"t{n}", "aggregating", group=group, locked=True)

    assert 2 == await inspector.delete_all("q", "aggregating", group="h")
    assert [GroupInfo("g", 1), GroupInfo("k", 1)] == await inspector.groups("q")
    assert 1 == await inspector.archive_all("q", "aggregating", group="g")
    assert 0 == await inspector.run_all("q", "aggregating", group="none")
    assert [GroupInfo("k", 1)] == await inspector.groups("q")


@pytest.mark.parametrize("action", ["delete_all", "run_all", "archive_all"])
async def test_all_groups(inspector: Inspector, raw: RawClient, action: str) -> None:
    """Without one, the tasks of all groups are meant."""
    for n in range(120):
        await put(raw, f"t{n}", "aggregating", group=f"g{n % 3}", locked=True)

    assert 120 == await getattr(inspector, action)("q", "aggregating")
    assert [] == await inspector.groups("q")


@pytest.mark.parametrize("group", [None, "g", "g:set"])
@pytest.mark.parametrize("action", ["delete_all", "run_all", "archive_all"])
async def test_aggregation_sets_are_left_alone(
    inspector: Inspector, raw: RawClient, action: str, group: str | None
) -> None:
    """What an aggregator has taken out of its group is left to it, however it is named."""
    await put(raw, "a", "aggregating", locked=True)
    await take_set(raw)
    before = await dump(raw)

    assert 0 == await getattr(inspector, action)("q", "aggregating", group=group)
    assert before == await dump(raw)


async def test_ends_while_tasks_keep_coming(inspector: Inspector, raw: RawClient) -> None:
    """It is done after as many tasks as there were at first."""
    await put_many(raw, 150, "scheduled")
    arrived = 0

    step = inspector._broker.change_some

    async def with_arrivals(*args: object) -> object:
        nonlocal arrived
        for _ in range(120):
            await put(raw, f"new {arrived}", "scheduled", score=3e9 + 500)
            arrived += 1
        return await step(*args)  # type: ignore[arg-type]  # They are passed on.

    inspector._broker.change_some = with_arrivals  # type: ignore[assignment,method-assign]  # A test's.
    assert 150 == await inspector.delete_all("q", "scheduled")
    assert arrived == 240
    assert 240 == len(await members(raw, KEYS.scheduled))


async def test_archive_all_keeps_the_archives_bounds(inspector: Inspector, raw: RawClient) -> None:
    """What is too old goes while others come."""
    for n in range(250):
        await put(raw, f"old {n}", "archived", score=1 + n, locked=True)
    await put_many(raw, 250, "retry")

    assert 250 == await inspector.archive_all("q", "retry")
    assert IDS == sorted(await members(raw, KEYS.archived))


async def test_leftovers(bare: Inspector, raw: RawClient) -> None:
    """An entry whose task is gone or elsewhere is dropped, and not counted."""
    await put(raw, "a", "scheduled", score=3)
    await put(raw, "running", "active")
    for score, ghost in enumerate(("ghost", "running")):
        await raw.execute_command("ZADD", KEYS.scheduled, score, ghost)

    assert 1 == await bare.delete_all("q", "scheduled")
    assert [] == await members(raw, KEYS.scheduled)
    assert await field(raw, "q", "running", "state") == "active"


async def test_ids_twice_in_pending(bare: Inspector, raw: RawClient) -> None:
    """A task that is listed twice is one task."""
    await put(raw, "a", "pending")
    await raw.execute_command("LPUSH", KEYS.pending, "a")

    assert 1 == await bare.archive_all("q", "pending")
    assert ["a"] == await members(raw, KEYS.archived)


@pytest.mark.parametrize(
    ("action", "state"),
    [
        ("delete_all", "active"),
        ("run_all", "active"),
        ("run_all", "pending"),
        ("run_all", "completed"),
        ("archive_all", "active"),
        ("archive_all", "archived"),
        ("archive_all", "completed"),
        ("archive_all", "odd"),
    ],
)
async def test_states_that_cannot_be_changed(
    inspector: Inspector, raw: RawClient, action: str, state: str
) -> None:
    """The error names those that can; nothing is written."""
    await put(raw, "a", "pending")
    before = await dump(raw)

    with pytest.raises(InvalidOptionError, match=r"state=.*scheduled, retry"):
        await getattr(inspector, action)("q", state)
    assert before == await dump(raw)


async def test_group_of_tasks_that_have_none(inspector: Inspector) -> None:
    """A group goes together with aggregating tasks only."""
    with pytest.raises(InvalidOptionError, match="group"):
        await inspector.delete_all("q", "pending", group="g")


async def test_full_redis(redis_server: RedisServer, redis_url: str) -> None:
    """When Redis is out of memory, tasks can still be deleted, archived and run."""
    async with Client(redis_url) as client, Inspector(redis_url) as inspector:
        for n in range(6):
            await client.enqueue(Task("t", n), queue="q", task_id=f"t{n}", process_in=600, unique=9)
        with redis_server.client() as blocking:
            blocking.config_set("maxmemory", 1)
            try:
                await inspector.delete_task("q", "t0")
                await inspector.run_task("q", "t1")
                await inspector.archive_task("q", "t2")
                await inspector.update_payload("q", "t3", b"new")
                assert 3 == await inspector.run_all("q", "scheduled")
                assert 4 == await inspector.archive_all("q", "pending")
                assert 5 == await inspector.delete_all("q", "archived")
            finally:
                blocking.config_set("maxmemory", 0)
        assert 0 == (await inspector.queue_stats("q")).size
