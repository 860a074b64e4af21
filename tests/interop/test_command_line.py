"""asynq's own command line shows our queues, tasks, servers and schedules, and acts on them."""

from __future__ import annotations

import asyncio
import json
from asyncio.subprocess import PIPE
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

import pytest

from headrace import Inspector, Scheduler, Task, TaskNotFoundError, TaskState
from tests.interop.sides import EACH, GROUP, IDLE, WORK, OurAgent, populated
from tests.interop.waiting import eventually

if TYPE_CHECKING:
    from headrace import Client
    from tests.interop.build import GoPrograms
    from tests.interop.conftest import Wire

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


class Asynq(Protocol):
    """Runs asynq's command line."""

    async def __call__(self, *arguments: str) -> str:
        """Run a command; return what it printed. It must succeed."""
        ...


@pytest.fixture
def asynq(wire: Wire, go_programs: GoPrograms) -> Asynq:
    """The command line of asynq, on the Redis of the test."""
    where = urlsplit(wire.url)

    async def run(*arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            go_programs.asynq, *arguments, "--uri", where.netloc, stdout=PIPE, stderr=PIPE
        )
        out, err = await process.communicate()
        assert (0, b"") == (process.returncode, err), out
        return out.decode()

    return run


async def ids(inspector: Inspector, queue: str, state: TaskState) -> list[str]:
    """Return the IDs of the tasks of a state."""
    return [info.id async for info in inspector.iter_tasks(queue, state)]


async def test_shows_ours(wire: Wire, client: Client, inspector: Inspector, asynq: Asynq) -> None:
    """Each listing names what there is."""

    async def shows_its_task() -> bool:
        return any(server.workers for server in await inspector.servers())

    async with populated(OurAgent(wire, client), inspector):
        await eventually(shows_its_task)
        [server] = await inspector.servers()
        for state, queue in PLACES.items():
            group = ["--group", GROUP] if state is S.AGGREGATING else []
            shown = await asynq("task", "ls", "--queue", queue, "--state", str(state), *group)
            for task_id in await ids(inspector, queue, state):
                assert task_id in shown, state
        assert {IDLE, WORK} <= set((await asynq("queue", "ls")).split())
        assert "Size" in await asynq("queue", "inspect", WORK)
        assert str(3 * EACH) in await asynq("queue", "history", WORK, "--days", "2")
        assert GROUP in await asynq("group", "ls", "--queue", IDLE)
        shown = await asynq("server", "ls")
        assert {server.host, str(server.pid), "active"} <= set(shown.split())
        assert f"{WORK}:3" in shown
        await check_stats(asynq, inspector)
        [running] = server.workers
        shown = await asynq("task", "inspect", "--queue", WORK, "--id", running.task_id)
        assert {"sleep", "active"} <= set(shown.split())


async def check_stats(asynq: Asynq, inspector: Inspector) -> None:
    """The command's statistics are ours, of all queues together."""
    told = json.loads(await asynq("stats", "--json"))
    every = await inspector.stats()
    assert {one["Queue"] for one in told["queues"]} == {IDLE, WORK}
    assert told["aggregate"]["active"] == sum(one.active for one in every) == 1
    assert told["aggregate"]["processed"] == sum(one.processed for one in every) == 3 * EACH


async def test_acts_on_ours(wire: Wire, client: Client, inspector: Inspector, asynq: Asynq) -> None:
    """It runs, archives, deletes and cancels our tasks, and pauses and deletes our queues."""
    wire.tolerate(7, "it leaves pending_since, or none, where it moves tasks")
    wire.tolerate(8, "it keeps the locks of tasks that it archives")
    async with populated(OurAgent(wire, client), inspector):
        [running] = await ids(inspector, WORK, S.ACTIVE)

        async def cancel() -> bool:
            await asynq("task", "cancel", running)  # Lost, if the worker does not listen yet.
            return await _is_in(inspector, WORK, running, S.RETRY)

        await eventually(cancel)
    scheduled, other, *_ = await ids(inspector, IDLE, S.SCHEDULED)
    for verb, becomes in (("archive", S.ARCHIVED), ("run", S.PENDING)):
        await asynq("task", verb, "--queue", IDLE, "--id", scheduled)
        assert await _is_in(inspector, IDLE, scheduled, becomes)
    await asynq("task", "delete", "--queue", IDLE, "--id", other)
    with pytest.raises(TaskNotFoundError):
        await inspector.get_task(IDLE, other)
    for verb, state in (("runall", "scheduled"), ("archiveall", "pending")):
        await asynq("task", verb, "--queue", IDLE, "--state", state)
    assert 2 * EACH - 1 == (await inspector.queue_stats(IDLE)).archived
    await asynq("task", "deleteall", "--queue", IDLE, "--state", "archived")
    assert EACH == (await inspector.queue_stats(IDLE)).size
    for verb, paused in (("pause", True), ("resume", False)):
        await asynq("queue", verb, WORK)
        assert paused is (await inspector.queue_stats(WORK)).paused
    await asynq("queue", "rm", WORK, "--force")
    assert [IDLE] == await inspector.queues()


async def _is_in(inspector: Inspector, queue: str, task_id: str, state: TaskState) -> bool:
    return (await inspector.get_task(queue, task_id)).state is state


async def test_enqueues_for_us(inspector: Inspector, asynq: Asynq) -> None:
    """What it enqueues is ours to read."""
    options = {"retry": "3", "queue": "low", "id": "x", "timeout": "90s", "process_in": "1h"}
    options |= {"deadline": "2096-10-02T07:06:40Z", "retention": "10m", "unique": "5m"}
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    await asynq("task", "enqueue", "--type_name", "t", "--payload", "p", *arguments)
    info = await inspector.get_task("low", "x")

    assert (S.SCHEDULED, "t", b"p") == (info.state, info.type, info.payload)
    assert (3, 90, 4_000_000_000, 600) == (
        info.max_retry,
        info.timeout,
        info.deadline,
        info.retention,
    )


async def test_shows_our_schedules(wire: Wire, asynq: Asynq) -> None:
    """It lists our scheduler's entries, and what they enqueued."""
    enqueued = asyncio.Event()
    scheduler = Scheduler(wire.url, post_enqueue=lambda *_: enqueued.set())
    entry = scheduler.register("@every 1s", Task("tick", b"p", queue="low", timeout=30))
    async with scheduler:
        await enqueued.wait()
        shown = await asynq("cron", "ls")
        history = await asynq("cron", "history", entry)

    assert entry in shown
    assert "@every 1s" in shown
    assert "tick" in shown
    assert "Timeout(30s)" in shown
    assert "No scheduler enqueue events found" not in history
    assert entry in history
