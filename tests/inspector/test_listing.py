"""list_tasks and iter_tasks: order, pages, and what is left out."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from headrace import InvalidOptionError, TaskState
from tests.inspector.helpers import KEYS, WAITING, put, put_many
from tests.support.wire import members, plant, redis_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace import Inspector, TaskInfo
    from tests.support.wire import RawClient


def ids(tasks: Sequence[TaskInfo]) -> list[str]:
    """Return their IDs."""
    return [info.id for info in tasks]


def group_of(state: TaskState) -> str | None:
    """Return what has to be given for that state."""
    return "g" if state is TaskState.AGGREGATING else None


@pytest.mark.parametrize("state", TaskState, ids=str)
async def test_pages(inspector: Inspector, raw: RawClient, state: TaskState) -> None:
    """Pages follow each other, from 1: the next to run, to be due or to go comes first."""
    for n in range(7):
        await put(raw, f"t{n}", state, score=2_000_000_000 + n)
    group = group_of(state)
    pages = [
        ids(await inspector.list_tasks("q", state, group=group, page=page, size=3))
        for page in (1, 2, 3, 4)
    ]

    assert [["t0", "t1", "t2"], ["t3", "t4", "t5"], ["t6"], []] == pages
    assert {state} == {
        info.state for info in await inspector.list_tasks("q", str(state), group=group)
    }


async def test_page_has_thirty_tasks(inspector: Inspector, raw: RawClient) -> None:
    """As in asynq; more than a script handles are fetched in steps."""
    await put_many(raw, 250, "pending")

    assert 30 == len(await inspector.list_tasks("q", "pending"))
    assert [f"t{n:03}" for n in range(250)] == ids(
        await inspector.list_tasks("q", "pending", size=1_000)
    )


async def test_times(inspector: Inspector, raw: RawClient) -> None:
    """Scheduled tasks and retries tell when they are due, completed ones when they ended."""
    for state in ("scheduled", "retry", "completed"):
        await put(raw, state, state, score=3_000_000_000)
    [scheduled], [retry], [completed] = [
        await inspector.list_tasks("q", state) for state in ("scheduled", "retry", "completed")
    ]

    assert (3e9, 3e9, None) == (
        *(scheduled.next_process_at, retry.next_process_at),
        completed.next_process_at,
    )
    assert completed.completed_at == 1_700_000_000


async def test_result(inspector: Inspector, raw: RawClient) -> None:
    """A completed task is listed with its result."""
    await put(raw, "a", "completed")
    await raw.execute_command("HSET", KEYS.task("a"), "result", b"\x00r")

    [info] = await inspector.list_tasks("q", "completed")
    assert info.result == b"\x00r"


async def test_orphans(bare: Inspector, raw: RawClient) -> None:
    """An active task whose lease has ended, or is gone, has no living worker."""
    now = await redis_time(raw)
    await put(raw, "live", "active", score=now + 60)
    await put(raw, "dead", "active", score=now - 60)
    await put(raw, "lost", "active")
    await raw.execute_command("ZREM", KEYS.lease, "lost")

    listed = await bare.list_tasks("q", TaskState.ACTIVE)
    assert [("live", False), ("dead", True), ("lost", True)] == [
        (info.id, info.is_orphaned) for info in listed
    ]


async def test_tasks_of_a_group(inspector: Inspector, raw: RawClient) -> None:
    """Each group is a list of its own; an unknown one is empty."""
    await put(raw, "a", "aggregating", group="g")
    await put(raw, "b", "aggregating", group="h")

    [info] = await inspector.list_tasks("q", "aggregating", group="g")
    assert ("a", "g") == (info.id, info.group)
    assert [] == await inspector.list_tasks("q", "aggregating", group="none")


async def test_damage(bare: Inspector, raw: RawClient, caplog: pytest.LogCaptureFixture) -> None:
    """What cannot be read is left out, and logged once; so is an entry without its task."""
    await plant(raw, "q", "bad", "archived", data=b"\xff", score=2e9)
    await plant(raw, "q", "worse", "archived", data=b"\xff", score=2e9)
    await put(raw, "good", "archived")
    await raw.execute_command("ZADD", KEYS.archived, 2e9, "ghost")
    with caplog.at_level(logging.ERROR):
        assert ["good"] == ids(await bare.list_tasks("q", "archived"))
        assert ["good"] == ids([info async for info in bare.iter_tasks("q", "archived")])

    [record] = caplog.records
    assert "'bad' in queue 'q' is left out" in record.message


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"state": "odd"}, "state"),
        ({"state": 7.5}, "state"),
        ({"state": "aggregating"}, "group"),
        ({"state": "pending", "group": "g"}, "group"),
        ({"state": "aggregating", "group": 7}, "group"),
        ({"state": "pending", "page": 0}, "page"),
        ({"state": "pending", "page": 2**60}, "page"),
        ({"state": "pending", "size": 0}, "size"),
        ({"state": "pending", "size": 2**60}, "size"),
    ],
)
async def test_what_cannot_be_listed(
    inspector: Inspector, raw: RawClient, options: dict[str, object], wrong: str
) -> None:
    """The error says which of the arguments it is."""
    await put(raw, "a", "pending")

    with pytest.raises(InvalidOptionError, match=f"^{wrong}="):
        await inspector.list_tasks("q", **options)  # type: ignore[arg-type]  # That is it.


@pytest.mark.parametrize("state", TaskState, ids=str)
async def test_iterate(inspector: Inspector, raw: RawClient, state: TaskState) -> None:
    """All tasks come, in order, though each step fetches no more than a hundred."""
    await put_many(raw, 230, state)

    found = [info async for info in inspector.iter_tasks("q", state)]
    assert [f"t{n:03}" for n in range(230)] == ids(found)


async def test_iterate_over_all_groups(inspector: Inspector, raw: RawClient) -> None:
    """Without a group's name, the tasks of all groups come."""
    for name, group in (("a", "h"), ("b", "g"), ("c", "h")):
        await put(raw, name, "aggregating", group=group, score=1)

    found = [info async for info in inspector.iter_tasks("q", "aggregating")]
    assert [("b", "g"), ("a", "h"), ("c", "h")] == [(info.id, info.group) for info in found]
    found = [info async for info in inspector.iter_tasks("q", "aggregating", group="h")]
    assert ["a", "c"] == ids(found)


@pytest.mark.parametrize("state", WAITING, ids=str)
async def test_delete_while_iterating(
    inspector: Inspector, raw: RawClient, state: TaskState
) -> None:
    """A loop that deletes some of what it gets still gets all."""
    await put_many(raw, 230, state)
    seen = []
    async for info in inspector.iter_tasks("q", state):
        seen.append(info.id)
        if int(info.id[1:]) % 3:
            await inspector.delete_task("q", info.id)

    assert [f"t{n:03}" for n in range(230)] == seen
    key = KEYS.group("g") if state is TaskState.AGGREGATING else f"{KEYS.prefix}{state}"
    assert 77 == len(await members(raw, key))
