"""One side's scheduler enqueues, the other sees its entries and events, and runs the tasks."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, cast

from headrace import Client, Inspector, Scheduler, SchedulerEntry, Task
from tests.interop.handlers import router_for
from tests.interop.programs import GoScheduler
from tests.interop.waiting import PATIENCE, eventually
from tests.server.helpers import serving

if TYPE_CHECKING:
    from tests.interop.build import GoPrograms
    from tests.interop.conftest import StartGoWorker, Wire
    from tests.interop.programs import GoInspector, View

# Our options -> what asynq's inspector makes of them.
OPTIONS = {
    "max_retry": (3, "MaxRetry(3)"),
    "timeout": (90, "Timeout(1m30s)"),
    "deadline": (4_000_000_000, "Deadline(Tue Oct  2 07:06:40 UTC 2096)"),
    "unique": (3_600, "Unique(1h0m0s)"),
    "retention": (86_400, "Retention(24h0m0s)"),
    "queue": ("low", 'Queue("low")'),
}


def entry_view(entry: SchedulerEntry) -> View:
    """Return our report on an entry as ``go/views.go`` has it."""
    return {
        "id": entry.id,
        "spec": entry.spec,
        "type": entry.task_type,
        "payload": base64.b64encode(entry.task_payload).decode() or None,
        "options": sorted(entry.enqueue_options),
        "next": int(entry.next_enqueue_time),
        "prev": int(entry.prev_enqueue_time or 0),
    }


def their_entries(go_inspector: GoInspector) -> list[View]:
    """Return what asynq's inspector tells of entries."""
    return [
        {**one, "options": sorted(cast("list[str]", one["options"]))}
        for one in go_inspector.many("entries")
    ]


async def check_events(inspector: Inspector, go_inspector: GoInspector, entry_id: str) -> str:
    """Both inspectors tell the same events of an entry, at least one; return the first ID."""

    async def has_events() -> bool:
        return bool(await inspector.enqueue_events(entry_id))

    await eventually(has_events)
    ours = await inspector.enqueue_events(entry_id)
    told = [{"task_id": one.task_id, "enqueued_at": int(one.enqueue_time)} for one in ours]
    # The scheduler goes on meanwhile.
    theirs = go_inspector.many("events", id=entry_id, page=1, size=30)
    assert theirs[-len(told) :] == told
    return ours[-1].task_id


async def test_they_read_our_schedules(
    wire: Wire,
    client: Client,
    inspector: Inspector,
    go_inspector: GoInspector,
    start_go_worker: StartGoWorker,
) -> None:
    """The inspector of asynq reads our entries and options, and its worker runs the tasks."""
    scheduler = Scheduler(wire.url, heartbeat_interval=0.2)
    options = {name: value for name, (value, _) in OPTIONS.items()}
    daily = scheduler.register("30 4 * * 1", Task("reply", b"p"), **options)  # type: ignore[arg-type]  # Options by their names.
    tick = scheduler.register("@every 1s", Task("reply"), retention=60)
    async with scheduler:
        first = await check_events(inspector, go_inspector, tick)
        ours = [entry_view(entry) for entry in await inspector.scheduler_entries()]
        assert {daily, tick} == {entry["id"] for entry in ours}
        theirs = {str(one["id"]): one for one in their_entries(go_inspector)}
        assert theirs[daily] == next(one for one in ours if one["id"] == daily)
        assert theirs[daily]["options"] == sorted(text for _, text in OPTIONS.values())
        assert ("30 4 * * 1", "reply", 0) == tuple(
            theirs[daily][name] for name in ("spec", "type", "prev")
        )
        worker = start_go_worker()
        await client.result(first, timeout=PATIENCE)
        worker.stop()

    assert [] == go_inspector.do("entries")


async def test_we_read_their_schedules(
    wire: Wire,
    client: Client,
    inspector: Inspector,
    go_inspector: GoInspector,
    go_programs: GoPrograms,
) -> None:
    """Our inspector understands asynq's entries and options, and our worker runs the tasks."""
    options = {name: value for name, (value, _) in OPTIONS.items()}
    wanted: list[dict[str, object]] = [
        {"spec": "30 4 * * 1", "type": "reply", "payload": b"p", **options},
        {"spec": "@every 1s", "type": "reply", "retention": 60},
    ]
    with GoScheduler(go_programs.interop, wire.url, wanted) as scheduler:
        weekly, tick = scheduler.ids
        await eventually(inspector.scheduler_entries)
        first = await check_events(inspector, go_inspector, tick)
        ours = {entry.id: entry_view(entry) for entry in await inspector.scheduler_entries()}
        assert {weekly, tick} == set(ours)
        theirs = {str(one["id"]): one for one in their_entries(go_inspector)}
        assert ours[weekly] == theirs[weekly]
        assert ours[weekly]["options"] == sorted(text for _, text in OPTIONS.values())
        async with serving(wire.url, router_for(wire.url)):
            await client.result(first, timeout=PATIENCE)
        scheduler.shut_down()

    assert [] == await inspector.scheduler_entries()
