"""servers, scheduler_entries, enqueue_events, and the nodes of a cluster."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from headrace import (
    Client,
    ClusterRequiredError,
    Inspector,
    InvalidOptionError,
    SchedulerEnqueueEvent,
    SchedulerEntry,
    Server,
    Task,
)
from headrace._broker.keys import (
    SCHEDULERS,
    SERVERS,
    WORKERS,
    scheduler_history_key,
    scheduler_key,
    server_key,
    workers_key,
)
from headrace._fleet_message import (
    ServerInfo,
    WorkerInfo,
    encode_scheduler_entry,
    encode_scheduler_event,
)
from headrace._proto import asynq_pb2 as pb
from tests.support.wire import redis_time

if TYPE_CHECKING:
    from tests.support.wire import RawClient


async def plant_server(
    raw: RawClient, host: str, *tasks: str, lives: bool = True, data: bytes | None = None
) -> None:
    """Write what a Go server reports of itself and of the tasks that it runs."""
    info = ServerInfo(
        host=host,
        pid=7,
        server_id="id",
        concurrency=10,
        queues={"q": 3, "low": 1},
        strict_priority=True,
        status="active",
        start_time=1_700_000_000.5,
        active_worker_count=len(tasks),
    )
    key, workers = server_key(host, 7, "id"), workers_key(host, 7, "id")
    expiry = await redis_time(raw) + (30 if lives else -30)
    await raw.execute_command("SET", key, info.encode() if data is None else data)
    await raw.execute_command("ZADD", SERVERS, expiry, key)
    await raw.execute_command("ZADD", WORKERS, expiry, workers)
    for n, task_id in enumerate(tasks):
        worker = WorkerInfo(
            host=host,
            pid=7,
            server_id="id",
            task_id=task_id,
            task_type="t",
            task_payload=b"\x00",
            queue="q",
            start_time=1_700_000_100 - n,
            deadline=0 if n else 1_700_001_900,
        )
        await raw.execute_command("HSET", workers, task_id, worker.encode())


async def test_servers(inspector: Inspector, raw: RawClient) -> None:
    """Each server is told of with the tasks that it runs, the oldest first."""
    assert [] == await inspector.servers()
    await plant_server(raw, "b", "one", "two")
    await plant_server(raw, "a")
    idle, busy = await inspector.servers()

    assert ("a", "b", ()) == (idle.host, busy.host, idle.workers)
    assert ("id", 7, 10, {"q": 3, "low": 1}, True, "active", 1_700_000_000.5, 2) == (
        *(busy.id, busy.pid, busy.concurrency, dict(busy.queues), busy.strict_priority),
        *(busy.status, busy.started_at, busy.active_worker_count),
    )
    assert [("two", None), ("one", 1_700_001_900)] == [
        (task.task_id, task.deadline) for task in busy.workers
    ]
    two = busy.workers[0]
    assert ("t", "q", b"\x00", 1_700_000_099) == (
        *(two.task_type, two.queue),
        *(two.payload, two.started_at),
    )


async def test_servers_that_are_gone(inspector: Inspector, raw: RawClient) -> None:
    """A server that was not heard of for too long, or cannot be read, is left out."""
    await plant_server(raw, "a", "x")
    await plant_server(raw, "dead", lives=False)
    await plant_server(raw, "forgotten")
    await raw.execute_command("DEL", server_key("forgotten", 7, "id"))
    await plant_server(raw, "odd", data=b"\xff")
    await raw.execute_command("HSET", workers_key("a", 7, "id"), "odd", b"\xff")

    [server] = await inspector.servers()
    assert ("a", ["x"]) == (server.host, [task.task_id for task in server.workers])


async def test_own_server(inspector: Inspector, client: Client, broker_url: str) -> None:
    """A server of this process is told of while it runs, with what it runs."""
    entered, leave = asyncio.Event(), asyncio.Event()

    async def handler(task: Task) -> None:
        entered.set()
        await leave.wait()

    await client.enqueue(Task("t", "x"), queue="q", task_id="a", timeout=60)
    queues = {"q": 2, "low": 1}
    async with Server(broker_url, handler, queues=queues, heartbeat_interval=0.1) as server:
        await entered.wait()
        found = await inspector.servers()
        while not (found and found[0].workers):  # Its next heartbeat tells of the task.
            await asyncio.sleep(0)  # The embedded broker answers without giving way.
            found = await inspector.servers()
        [status] = found
        leave.set()

    [task] = status.workers
    assert (os.getpid(), queues, "active") == (status.pid, dict(status.queues), status.status)
    assert (server.config.concurrency, 1) == (status.concurrency, status.active_worker_count)
    assert ("a", "t", "q", b'"x"') == (task.task_id, task.task_type, task.queue, task.payload)
    assert task.deadline is not None
    assert task.deadline - task.started_at == pytest.approx(60, abs=1)
    assert [] == await inspector.servers()


# --- Schedulers ----------------------------------------------------------------------------


def entry(name: str, next_time: float, **options: float) -> SchedulerEntry:
    """Return an entry."""
    return SchedulerEntry(
        id=name,
        spec="@every 30s",
        task_type="t",
        task_payload=b"\x00",
        enqueue_options=('Queue("low")', "MaxRetry(3)"),
        next_enqueue_time=next_time,
        prev_enqueue_time=options.get("prev", 0),
    )


async def plant_scheduler(
    raw: RawClient, host: str, *entries: SchedulerEntry, lives: bool = True
) -> None:
    """Write what a scheduler reports."""
    key = scheduler_key(host, 7, "id")
    expiry = await redis_time(raw) + (30 if lives else -30)
    await raw.execute_command("ZADD", SCHEDULERS, expiry, key)
    for one in entries:
        await raw.execute_command("RPUSH", key, encode_scheduler_entry(one))


async def test_scheduler_entries(inspector: Inspector, raw: RawClient) -> None:
    """The entries of all schedulers that live, the next to be due first."""
    assert [] == await inspector.scheduler_entries()
    late, soon, other = entry("l", 3e9, prev=2e9 + 0.25), entry("s", 2e9), entry("o", 2.5e9)
    await plant_scheduler(raw, "a", late, soon)
    await plant_scheduler(raw, "b", other)
    await plant_scheduler(raw, "dead", entry("d", 1e9), lives=False)
    await raw.execute_command("RPUSH", scheduler_key("b", 7, "id"), b"\xff")

    assert [soon, other, late] == await inspector.scheduler_entries()


async def test_entry_that_never_enqueued() -> None:
    """No time is Go's zero time on the wire, as Go's tools expect it; times keep their fraction."""
    wire = pb.SchedulerEntry.FromString(encode_scheduler_entry(entry("a", 2e9 + 0.5)))

    assert (-62_135_596_800, 0) == (wire.prev_enqueue_time.seconds, wire.prev_enqueue_time.nanos)
    assert (2_000_000_000, 500_000_000) == (
        wire.next_enqueue_time.seconds,
        wire.next_enqueue_time.nanos,
    )


async def test_enqueue_events(inspector: Inspector, raw: RawClient) -> None:
    """What an entry enqueued, the latest first, in pages."""
    events = [SchedulerEnqueueEvent(f"t{n}", 2_000_000_000.5 + n) for n in range(5)]
    for event in events:
        data = encode_scheduler_event(event)
        key = scheduler_history_key("e")
        await raw.execute_command("ZADD", key, int(event.enqueue_time), data)

    assert events[::-1] == await inspector.enqueue_events("e")
    assert [events[2], events[1]] == await inspector.enqueue_events("e", page=2, size=2)
    assert [] == await inspector.enqueue_events("e", page=4, size=2)
    assert [] == await inspector.enqueue_events("none")
    with pytest.raises(InvalidOptionError, match="page"):
        await inspector.enqueue_events("e", page=0)


# --- Cluster -------------------------------------------------------------------------------


async def test_no_cluster(inspector: Inspector) -> None:
    """The error says what to give instead."""
    with pytest.raises(ClusterRequiredError, match=r"redis\+cluster://"):
        await inspector.cluster_nodes("q")
    with pytest.raises(ClusterRequiredError, match="not used as a cluster"):
        await inspector.cluster_key_slot("q")
