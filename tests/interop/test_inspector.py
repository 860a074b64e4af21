"""Both inspectors tell the same of a queue, and each changes what the other side wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest
import pytest_asyncio

from headrace import Inspector, QueueNotEmptyError, TaskState
from tests.interop.programs import GoError
from tests.interop.sides import (
    EACH,
    GROUP,
    IDLE,
    WORK,
    GoAgent,
    GoEye,
    OurAgent,
    OurEye,
    populated,
)
from tests.interop.waiting import eventually

if TYPE_CHECKING:
    from headrace import Client
    from tests.interop.conftest import StartGoWorker, Wire
    from tests.interop.programs import GoClient, GoInspector
    from tests.interop.sides import Agent, Eye

S = TaskState
PLACES = {
    S.PENDING: IDLE,
    S.SCHEDULED: IDLE,
    S.AGGREGATING: IDLE,
    S.ACTIVE: WORK,
    S.RETRY: WORK,
    S.ARCHIVED: WORK,
    S.COMPLETED: WORK,
}
SIDES = ["Headrace", "Go"]


@pytest.fixture
def agent(
    request: pytest.FixtureRequest,
    wire: Wire,
    client: Client,
    go_client: GoClient,
    start_go_worker: StartGoWorker,
) -> Agent:
    """The side whose name the test is given enqueues and works."""
    if request.param == "Go":
        return GoAgent(wire, go_client, start_go_worker)
    return OurAgent(wire, client)


@pytest_asyncio.fixture
async def eye(
    request: pytest.FixtureRequest, wire: Wire, inspector: Inspector, go_inspector: GoInspector
) -> Eye:
    """The side whose name the test is given looks and acts."""
    if request.param == "Go":
        wire.tolerate(7, "it leaves pending_since, or none, where it moves tasks")
        wire.tolerate(8, "it keeps the locks of tasks that it archives")
        return GoEye(go_inspector)
    return OurEye(inspector)


# --- Looks ---------------------------------------------------------------------------------


@pytest.mark.parametrize("agent", SIDES, indirect=True)
async def test_both_list_alike(
    agent: Agent, inspector: Inspector, go_inspector: GoInspector
) -> None:
    """Every list has the same tasks in the same order, on the same pages; so has every count."""
    ours, theirs = OurEye(inspector), GoEye(go_inspector)
    async with populated(agent, inspector):
        for state, queue in PLACES.items():
            found = await ours.list(queue, state)
            assert len(found) == (1 if state is S.ACTIVE else EACH)
            assert found == await theirs.list(queue, state), state
            for page in (1, 2, 3, 4):
                assert await ours.list(queue, state, page, 2) == await theirs.list(
                    queue, state, page, 2
                )
        assert ["idle", "work"] == go_inspector.do("queues") == await inspector.queues()
        for queue in (IDLE, WORK):
            await check_counts(inspector, go_inspector, queue)


async def check_counts(inspector: Inspector, go_inspector: GoInspector, queue: str) -> None:
    """Both inspectors count the same."""
    ours, theirs = await inspector.queue_stats(queue), go_inspector.one("queue", queue)
    names = ["pending", "active", "scheduled", "retry", "archived", "completed", "aggregating"]
    names += ["groups", "processed", "failed", "processed_total", "failed_total", "paused"]
    go_names = [name.title().replace("_", "") for name in names]
    assert [getattr(ours, name) for name in names] == [theirs[name] for name in go_names]
    # asynq counts completed tasks, too, against its own documentation.
    assert ours.size + ours.completed == theirs["Size"]
    # Both go by samples, of which neither says how they are drawn.
    assert theirs["MemoryUsage"] == pytest.approx(ours.memory_usage, rel=0.2)
    groups = {group.name: group.size for group in await inspector.groups(queue)}
    assert groups == go_inspector.do("groups", queue) == ({GROUP: EACH} if queue == IDLE else {})
    days = [
        {"date": day.date.isoformat(), "processed": day.processed, "failed": day.failed}
        for day in await inspector.history(queue, 3)
    ]
    assert days == go_inspector.do("history", queue, days=3)


@pytest.mark.parametrize("agent", SIDES, indirect=True)
async def test_both_see_servers_alike(
    agent: Agent, inspector: Inspector, go_inspector: GoInspector
) -> None:
    """A server and what it runs are told alike, whichever language it has."""

    async def shows_its_task() -> bool:
        return any(server.workers for server in await inspector.servers())

    async with populated(agent, inspector):
        await eventually(shows_its_task)
        [ours] = await inspector.servers()
        [theirs] = go_inspector.many("servers")
        [running] = ours.workers
        assert theirs.pop("workers") == [
            {
                "task_id": running.task_id,
                "task_type": "sleep",
                "payload": "NjA=",  # 60
                "queue": WORK,
                "started_at": int(running.started_at),
                "deadline": int(running.deadline or 0),
            }
        ]
        assert theirs == {
            "id": ours.id,
            "host": ours.host,
            "pid": ours.pid,
            "concurrency": 7,
            "queues": {WORK: 3},
            "strict_priority": True,
            "status": "active",
            "started_at": int(ours.started_at),
        }
        assert ours.active_worker_count == 1

    assert ([], []) == (go_inspector.do("servers"), await inspector.servers())


# --- Changes -------------------------------------------------------------------------------


def other_side(eye_name: str) -> tuple[str, str]:
    """Return the side that writes and the side that acts."""
    return ("Headrace" if eye_name == "Go" else "Go", eye_name)


ACROSS = pytest.mark.parametrize(
    ("agent", "eye"), [other_side(name) for name in SIDES], indirect=True
)


@ACROSS
async def test_one_side_changes_the_others_tasks(
    agent: Agent, eye: Eye, inspector: Inspector
) -> None:
    """Run, archive and delete, of each state in which it can be done; and a new payload."""
    async with populated(agent, inspector):
        pass  # The worker has ended: what is run stays pending.
    changes = {"run": S.PENDING, "archive": S.ARCHIVED, "delete": None}
    refused = {"run": {S.PENDING}, "archive": {S.ARCHIVED, S.COMPLETED}, "delete": set[S]()}
    for state, queue in PLACES.items():
        for op, becomes in changes.items():
            if state is S.ACTIVE or state in refused[op]:
                continue
            first = (await eye.list(queue, state))[0]
            await eye.act(op, queue, str(first["id"]))
            found = [
                info.state
                for one in S
                async for info in inspector.iter_tasks(queue, one)
                if info.id == first["id"]
            ]
            assert found == [becomes] * (becomes is not None), (op, state)

    first = (await eye.list(IDLE, S.SCHEDULED))[0]
    await eye.act("update_payload", IDLE, str(first["id"]), b"new")
    assert (await inspector.get_task(IDLE, str(first["id"]))).payload == b"new"


@ACROSS
async def test_one_side_changes_all_of_the_others_tasks(
    agent: Agent, eye: Eye, inspector: Inspector
) -> None:
    """Run, archive and delete all of a state: the others stay as they are."""
    async with populated(agent, inspector):
        pass
    assert EACH == await eye.act_on_all("run_all", IDLE, S.SCHEDULED)
    assert 2 * EACH == (await inspector.queue_stats(IDLE)).pending
    assert 2 * EACH == await eye.act_on_all("archive_all", IDLE, S.PENDING)
    assert EACH == await eye.act_on_all("archive_all", IDLE, S.AGGREGATING)
    assert [] == await inspector.groups(IDLE)
    assert 3 * EACH == await eye.act_on_all("run_all", IDLE, S.ARCHIVED)
    assert 3 * EACH == await eye.act_on_all("delete_all", IDLE, S.PENDING)
    assert 0 == (await inspector.queue_stats(IDLE)).size

    assert EACH == await eye.act_on_all("archive_all", WORK, S.RETRY)
    assert 2 * EACH == await eye.act_on_all("delete_all", WORK, S.ARCHIVED)
    assert EACH == await eye.act_on_all("delete_all", WORK, S.COMPLETED)
    stats = await inspector.queue_stats(WORK)
    assert (1, 1, 0) == (stats.pending, stats.size, stats.completed)


@ACROSS
async def test_one_side_pauses_and_deletes_the_others_queues(
    agent: Agent, eye: Eye, inspector: Inspector, wire: Wire, go_inspector: GoInspector
) -> None:
    """Both see the pause; a queue that holds tasks is deleted by force only."""
    await agent.enqueue("t", b"", queue=IDLE)
    for paused in (True, False):
        await eye.pause(IDLE, paused=paused)
        theirs = cast("dict[str, object]", go_inspector.do("queue", IDLE))
        assert paused == (await inspector.queue_stats(IDLE)).paused == theirs["Paused"]
    with pytest.raises((GoError, QueueNotEmptyError), match=r"not empty|holds"):
        await eye.delete_queue(IDLE, force=False)
    await eye.delete_queue(IDLE, force=True)

    assert [] == await inspector.queues() == go_inspector.do("queues")
    assert [] == await wire.raw.execute_command("KEYS", "*")
