"""``group``, ``server`` and ``cron``."""

from __future__ import annotations

import asyncio

from headrace import (
    Inspector,
    Router,
    Schedule,
    Scheduler,
    SchedulerEntry,
    Server,
    ServerStatus,
    Task,
)
from tests.cli.support import invoke


def test_group_ls(shop: str) -> None:
    """The groups with tasks, and how many."""
    arguments = ("group", "ls", "--redis", shop, "--queue", "shop")

    assert invoke(*arguments).out.split() == ["GROUP", "SIZE", "basket", "1"]
    assert invoke(*arguments, "--json").json == [{"name": "basket", "size": 1}]


async def test_server_ls(redis_url: str) -> None:
    """The servers that live, with their queues; none is no error."""
    command = ("server", "ls", "--redis", redis_url)
    none = await asyncio.to_thread(invoke, *command)
    async with Server(redis_url, Router(), queues={"shop": 2}, concurrency=7):
        shown = await asyncio.to_thread(invoke, *command)
        [found] = (await asyncio.to_thread(invoke, *command, "--json")).json

    heading, row = shown.out.splitlines()
    assert none.out == "No server is running.\n"
    assert heading.split() == ["HOST", "PID", "STATUS", "STARTED", "RUNS", "QUEUES"]
    assert row.split()[-2:] == ["0/7", "shop=2"]
    assert set(found) == set(ServerStatus.__dataclass_fields__)


async def test_cron(redis_url: str) -> None:
    """The entries of schedulers that live, and what an entry enqueued."""
    scheduler = Scheduler(redis_url)
    scheduler.add(Schedule("@every 1s", Task("tick", 1), entry_id="ticker", queue="low"))
    async with scheduler, Inspector(redis_url) as inspector:
        while not await inspector.enqueue_events("ticker"):  # noqa: ASYNC110 - as a user would
            await asyncio.sleep(0.05)
        ls = ("cron", "ls", "--redis", redis_url)
        shown = await asyncio.to_thread(invoke, *ls)
        [entry] = (await asyncio.to_thread(invoke, *ls, "--json")).json
        past = ("cron", "history", "ticker", "--redis", redis_url)
        history = await asyncio.to_thread(invoke, *past)
        events = (await asyncio.to_thread(invoke, *past, "--json", "--size", "1")).json
        unknown = await asyncio.to_thread(invoke, "cron", "history", "no", "--redis", redis_url)

    assert shown.out.splitlines()[1].split()[:4] == ["ticker", "@every", "1s", "tick"]
    assert set(entry) == set(SchedulerEntry.__dataclass_fields__)
    assert history.out.splitlines()[0].split() == ["TASK", "ID", "ENQUEUED"]
    assert set(events[0]) == {"task_id", "enqueue_time"}
    assert unknown.out == "Nothing is known of entry 'no' on page 1.\n"
