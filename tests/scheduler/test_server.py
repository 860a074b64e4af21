"""Schedules within a server, and a router's cron entries."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import pytest

from headrace import InvalidOptionError, Router, Schedule, Server, StoredSchedules, Task
from headrace._fleet_message import decode_scheduler_entry

if TYPE_CHECKING:
    from tests.support.wire import RawClient


async def test_server_enqueues_and_runs(broker_url: str, raw: RawClient) -> None:
    """A server runs what its router's cron entries and its own schedules enqueue."""
    router, ran, both = Router(), set[str](), asyncio.Event()

    def note(name: str) -> None:
        ran.add(name)
        if len(ran) == 2:
            both.set()

    @router.cron("@every 1s", entry_id="mine")
    @router.cron("@yearly", queue="low")
    @router.task("cron:typed")
    async def typed(text: str = "default") -> None:
        note(text)

    @router.handler("plain")
    async def plain(task: Task) -> None:
        note(task.payload.decode())

    schedules = [Schedule("* * * * * *", Task("plain", b"own"))]
    async with Server(broker_url, router, schedules=schedules, heartbeat_interval=0.2):
        await asyncio.wait_for(both.wait(), 60)
        [key] = cast("list[str]", await raw.execute_command("ZRANGE", "asynq:schedulers", 0, -1))
        entries = cast("list[bytes]", await raw.execute_command("LRANGE", key, 0, -1))

    assert {"default", "own"} == ran
    assert {"@every 1s", "@yearly", "* * * * * *"} == {
        decode_scheduler_entry(entry).spec for entry in entries
    }
    await typed("still the function")
    assert "still the function" in ran


async def test_server_asks_a_provider(broker_url: str) -> None:
    """A server enqueues what its provider wants, beside its own schedules, which stay."""
    ran = {name: asyncio.Event() for name in ("own", "stored")}

    async def handler(task: Task) -> None:
        ran[task.type].set()

    async with StoredSchedules(broker_url) as stored:
        await stored.add(Schedule("@every 1s", Task("stored")))
        async with Server(
            broker_url,
            handler,
            schedules=[Schedule("@every 1s", Task("own"))],
            schedule_provider=stored,
            schedule_sync_interval=0.1,
        ):
            for event in ran.values():
                await asyncio.wait_for(event.wait(), 60)
            ran["own"].clear()
            await asyncio.wait_for(ran["own"].wait(), 60)


async def test_server_without_schedules(broker_url: str, raw: RawClient) -> None:
    """A server that has nothing to schedule is no scheduler."""
    async with Server(broker_url, Router()):
        await asyncio.sleep(0.1)

        assert 0 == await raw.execute_command("ZCARD", "asynq:schedulers")


def test_cron_needs_a_task_without_arguments() -> None:
    """What cannot be enqueued without arguments is refused when it is written."""
    router = Router()
    with pytest.raises(InvalidOptionError, match="it needs arguments"):

        @router.cron("@hourly")
        @router.task("a")
        async def needs(number: int) -> None: ...

    with pytest.raises(InvalidOptionError, match="above"):

        @router.cron("@hourly")  # type: ignore[arg-type]
        async def untyped() -> None: ...

    assert () == router.schedules


def test_included_router_brings_its_schedules() -> None:
    """Including a router takes its cron entries over."""
    inner, outer = Router(), Router()

    @inner.cron("@hourly", misfire="once", jitter=5)
    @inner.task("a")
    async def work() -> None: ...

    outer.include(inner)

    assert [Schedule("@hourly", work.task(), misfire="once", jitter=5)] == list(outer.schedules)


def test_bad_schedules() -> None:
    """A server refuses schedules that cannot be used, or are there twice."""
    schedule = Schedule("@hourly", Task("t"))
    with pytest.raises(InvalidOptionError, match="already"):
        Server("memory://", Router(), schedules=[schedule, schedule])
    with pytest.raises(InvalidOptionError, match="schedules"):
        Server("memory://", Router(), schedules=["@hourly"])  # type: ignore[list-item]
    with pytest.raises(InvalidOptionError, match="schedule_location"):
        Server("memory://", Router(), schedule_location="Mars/X")
