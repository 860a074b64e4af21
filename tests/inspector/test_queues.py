"""What is told of queues, and done to them as a whole."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from headrace import (
    DailyStats,
    GroupInfo,
    InvalidOptionError,
    QueueNotEmptyError,
    QueueNotFoundError,
    Server,
    Task,
)
from headrace._broker.keys import QUEUES
from tests.inspector.helpers import KEYS, put, put_many
from tests.support.wire import plant, redis_time

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from headrace import Client, Inspector, TaskInfo
    from tests.support.wire import RawClient


async def test_queues(inspector: Inspector, client: Client) -> None:
    """All queues are listed, sorted."""
    assert [] == await inspector.queues()
    for queue in ("low", "critical", "q"):
        await client.enqueue(Task("t"), queue=queue)

    assert ["critical", "low", "q"] == await inspector.queues()


async def test_stats(inspector: Inspector, raw: RawClient) -> None:
    """Each state is counted; the time of the count is Redis's."""
    for state in ("pending", "active", "scheduled", "retry", "completed", "archived"):
        await put(raw, state, state)
    for n, group in enumerate("ggh"):
        await put(raw, f"in {group} {n}", "aggregating", group=group)
    before = await redis_time(raw)
    stats = await inspector.queue_stats("q")

    assert (1, 1, 1, 1, 1, 1, 3) == (
        *(stats.pending, stats.active, stats.scheduled, stats.retry),
        *(stats.completed, stats.archived, stats.aggregating),
    )
    assert (8, 2, False) == (stats.size, stats.groups, stats.paused)
    assert before <= stats.timestamp <= before + 60
    [same] = await inspector.stats()
    assert ("q", 8) == (same.queue, same.size)


async def test_latency(inspector: Inspector, raw: RawClient) -> None:
    """It is how long the task that is next has been waiting."""
    await put(raw, "a", "pending")
    await put(raw, "b", "pending")
    since = int((await redis_time(raw) - 100) * 1e9)
    await raw.execute_command("HSET", KEYS.task("a"), "pending_since", since)

    assert 100 <= (await inspector.queue_stats("q")).latency < 160


async def test_memory_usage(raw: RawClient, inspector: Inspector, broker_url: str) -> None:
    """It grows with the tasks; the embedded broker cannot tell."""
    if broker_url.startswith("memory"):
        await put(raw, "a", "pending")
        assert (await inspector.queue_stats("q")).memory_usage is None
        return
    await raw.execute_command("SADD", QUEUES, "q")
    assert (await inspector.queue_stats("q")).memory_usage == 0
    await put_many(raw, 30, "scheduled")
    task = await raw.execute_command("MEMORY", "USAGE", KEYS.task("t000"))
    container = await raw.execute_command("MEMORY", "USAGE", KEYS.scheduled)
    assert isinstance(task, int)
    assert isinstance(container, int)
    scheduled = (await inspector.queue_stats("q")).memory_usage

    assert scheduled == container + 30 * task
    for n in range(12):
        await put(raw, f"g{n}", "aggregating", group=f"group {n:02}", locked=True)
    grouped = (await inspector.queue_stats("q")).memory_usage
    assert grouped is not None
    assert scheduled + 12 * task * 0.8 < grouped < scheduled + 12 * task * 2


async def test_history(inspector: Inspector, raw: RawClient) -> None:
    """The last days, today first; a day on which nothing ran counts 0."""
    await raw.execute_command("SADD", QUEUES, "q")
    today = dt.datetime.fromtimestamp(await redis_time(raw), dt.UTC).date()
    for age, processed, failed in ((0, 7, 2), (2, 5, 0)):
        day = today - dt.timedelta(days=age)
        await raw.execute_command("SET", KEYS.processed_on(day), processed, "EX", 600)
        await raw.execute_command("SET", KEYS.failed_on(day), failed, "EX", 600)

    counts = [(7, 2), (0, 0), (5, 0), (0, 0)]
    assert await inspector.history("q", 4) == [
        DailyStats(
            queue="q", date=today - dt.timedelta(days=age), processed=processed, failed=failed
        )
        for age, (processed, failed) in enumerate(counts)
    ]
    assert 10 == len(await inspector.history("q"))


@pytest.mark.parametrize("days", [0, -1, 367, True, 1.5])
async def test_days_that_are_none(inspector: Inspector, days: int) -> None:
    """A history has at least one day, and a bound."""
    with pytest.raises(InvalidOptionError, match="days"):
        await inspector.history("q", days)


async def test_pause(inspector: Inspector, client: Client, broker_url: str) -> None:
    """No task of a paused queue starts, until it goes on; either is told apart from no change."""
    await client.enqueue(Task("t"), queue="q", retention=60, task_id="a")
    assert (True, False) == (await inspector.pause("q"), await inspector.pause("q"))
    assert (await inspector.queue_stats("q")).paused

    async def handler(task: Task) -> None:
        assert not (await inspector.queue_stats("q")).paused

    async with Server(broker_url, handler, queues={"q": 1}, task_check_interval=0.05):
        await client.enqueue(Task("t"), queue="q")
        assert 2 == (await inspector.queue_stats("q")).pending
        assert (True, False) == (await inspector.unpause("q"), await inspector.unpause("q"))
        await client.result("a", queue="q", timeout=60)
    assert not (await inspector.queue_stats("q")).paused


async def test_pause_is_written_as_go_does(inspector: Inspector, raw: RawClient) -> None:
    """Its value is the Unix time of the pause."""
    await raw.execute_command("SADD", QUEUES, "q")
    await inspector.pause("q")
    value = await raw.execute_command("GET", KEYS.paused)
    assert isinstance(value, bytes)

    assert abs(int(value) - await redis_time(raw)) < 60


async def test_groups(inspector: Inspector, raw: RawClient) -> None:
    """Each group is listed with its size, sorted by name."""
    await raw.execute_command("SADD", QUEUES, "q")
    assert [] == await inspector.groups("q")
    for n, group in enumerate("hgg"):
        await put(raw, f"{n}", "aggregating", group=group)

    assert [GroupInfo("g", 2), GroupInfo("h", 1)] == await inspector.groups("q")


async def test_delete_queue(inspector: Inspector, raw: RawClient) -> None:
    """Only force deletes a queue that holds tasks; then it goes with everything."""
    for state in ("pending", "scheduled", "retry", "completed", "archived", "aggregating"):
        await put(raw, state, state, locked=True)
    with pytest.raises(QueueNotEmptyError):
        await inspector.delete_queue("q")

    assert 6 == await inspector.delete_queue("q", force=True)
    assert [] == await raw.execute_command("KEYS", "*{q}*")
    assert [] == await inspector.queues()


async def first(tasks: AsyncIterator[TaskInfo]) -> TaskInfo:
    """Return the first of them."""
    return await anext(tasks)


UNKNOWN: dict[str, Callable[[Inspector], Coroutine[object, object, object]]] = {
    "queue_stats": lambda inspector: inspector.queue_stats("none"),
    "history": lambda inspector: inspector.history("none"),
    "pause": lambda inspector: inspector.pause("none"),
    "unpause": lambda inspector: inspector.unpause("none"),
    "groups": lambda inspector: inspector.groups("none"),
    "delete_queue": lambda inspector: inspector.delete_queue("none"),
    "list_tasks": lambda inspector: inspector.list_tasks("none", "pending"),
    "iter_tasks": lambda inspector: first(inspector.iter_tasks("none", "pending")),
    "get_task": lambda inspector: inspector.get_task("none", "a"),
    "run_task": lambda inspector: inspector.run_task("none", "a"),
    "archive_task": lambda inspector: inspector.archive_task("none", "a"),
    "delete_task": lambda inspector: inspector.delete_task("none", "a"),
    "update_payload": lambda inspector: inspector.update_payload("none", "a", b""),
    "run_all": lambda inspector: inspector.run_all("none", "retry"),
    "archive_all": lambda inspector: inspector.archive_all("none", "retry"),
    "delete_all": lambda inspector: inspector.delete_all("none", "retry"),
}


@pytest.mark.parametrize("method", UNKNOWN)
async def test_unknown_queue(
    inspector: Inspector, client: Client, raw: RawClient, method: str
) -> None:
    """Whatever is asked of a queue that does not exist: the error says so."""
    await client.enqueue(Task("t"), queue="q")

    with pytest.raises(QueueNotFoundError, match="'none'") as caught:
        await UNKNOWN[method](inspector)
    assert caught.value.queue == "none"
    assert [] == await raw.execute_command("KEYS", "*{none}*")


async def test_names_of_other_programs(bare: Inspector, raw: RawClient) -> None:
    """Names that are not UTF-8 can be told, and used again."""
    group = b"g\xff".decode("utf-8", "surrogateescape")
    await plant(raw, "q", b"t\xff", "scheduled", data=b"\x0a\x01t\x1a\x01x\x22\x01q", score=3e9)
    await plant(raw, "q", "a", "aggregating", group="g", score=1)
    await raw.execute_command("RENAME", KEYS.group("g"), KEYS.prefix.encode() + b"g:g\xff")
    await raw.execute_command("SREM", KEYS.groups, "g")
    await raw.execute_command("SADD", KEYS.groups, b"g\xff")
    await raw.execute_command("SADD", QUEUES, b"q\xff")

    assert [GroupInfo(group, 1)] == await bare.groups("q")
    assert ["a"] == [info.id for info in await bare.list_tasks("q", "aggregating", group=group)]
    assert 1 == await bare.delete_all("q", "aggregating", group=group)
    assert [] == await bare.groups("q")
    [odd] = await bare.list_tasks("q", "scheduled")
    assert b"t\xff" == odd.id.encode("utf-8", "surrogateescape")
    await bare.delete_task("q", odd.id)
    assert [] == await bare.list_tasks("q", "scheduled")
    name = (await bare.queues())[1]
    assert 0 == (await bare.queue_stats(name)).size
    assert 0 == await bare.delete_queue(name)
    assert ["q"] == await bare.queues()
