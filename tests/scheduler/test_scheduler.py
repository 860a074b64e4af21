"""The scheduler, in virtual time on the embedded broker."""

from __future__ import annotations

import asyncio
import itertools
import logging
from typing import TYPE_CHECKING

import pytest

from headrace import (
    All,
    BrokerError,
    HeadraceError,
    InvalidOptionError,
    Misfire,
    Scheduler,
    ServerClosedError,
    ServerStateError,
    Task,
    TaskIdConflictError,
    TaskInfo,
    TaskState,
)
from headrace._fleet_message import decode_scheduler_entry, decode_scheduler_event

if TYPE_CHECKING:
    from tests.scheduler.helpers import Redis
    from tests.support.virtual_time import VirtualTime


async def test_each_tick_is_enqueued_on_time(redis: Redis, virtual_time: VirtualTime) -> None:
    """A tick is enqueued within a tenth of a second, by Redis's clock."""
    redis.ahead = 1000.6
    scheduler = redis.scheduler()
    scheduler.register("*/10 * * * * *", Task("ten"))
    scheduler.register("@every 15s", Task("fifteen"))
    async with scheduler:
        await asyncio.sleep(60)

    found = await redis.tasks()
    assert 6 == [kind for kind, _ in found].count("ten")
    assert 4 == [kind for kind, _ in found].count("fifteen")
    assert all(at % (10 if kind == "ten" else 15) < 0.1 for kind, at in found)


async def test_replicas_enqueue_each_tick_once(redis: Redis, virtual_time: VirtualTime) -> None:
    """Five schedulers with the same entries enqueue each tick once."""
    schedulers = [redis.scheduler() for _ in range(5)]
    ids = {scheduler.register("@every 2s", Task("t")) for scheduler in schedulers}
    for scheduler in schedulers:
        await scheduler.start()
        await asyncio.sleep(0.3)
    await asyncio.sleep(20)
    for scheduler in schedulers:
        await scheduler.shutdown()

    [entry_id] = ids
    times = await redis.times()
    assert len(times) >= 10
    assert all(b - a == 2 for a, b in itertools.pairwise(times))
    history = await redis.command("ZRANGE", f"asynq:scheduler_history:{entry_id}", 0, -1)
    assert isinstance(history, list)
    assert len(times) == len(history)
    assert times == [round(decode_scheduler_event(event).enqueue_time, 1) for event in history]


@pytest.mark.parametrize(("misfire", "count"), [("skip", 0), ("once", 1), (All(4), 4)])
async def test_restart(
    redis: Redis, virtual_time: VirtualTime, misfire: Misfire, count: int
) -> None:
    """After a pause of many ticks, the policy says how many are made up for, at once."""
    first = redis.scheduler()
    first.register("@every 1m", Task("t"), misfire=misfire)
    async with first:
        await asyncio.sleep(61)
    before = len(await redis.times())
    await asyncio.sleep(600 - redis.now() % 60 + 20)  # Amid a minute.
    second = redis.scheduler()
    second.register("@every 1m", Task("t"), misfire=misfire)
    async with second:
        await asyncio.sleep(1)
        assert before + count == len(await redis.times())
        await asyncio.sleep(60)
        assert before + count + 1 == len(await redis.times())


async def test_restart_before_the_first_tick(redis: Redis, virtual_time: VirtualTime) -> None:
    """An entry counts from when it was first registered, not from its first tick."""
    first = redis.scheduler()
    first.register("@hourly", Task("t"), misfire="once")
    async with first:
        await asyncio.sleep(1)
    await asyncio.sleep(7200)
    second = redis.scheduler()
    second.register("@hourly", Task("t"), misfire="once")
    async with second:
        await asyncio.sleep(1)

    assert 1 == len(await redis.times())


async def test_short_outage_loses_no_tick(
    redis: Redis, virtual_time: VirtualTime, caplog: pytest.LogCaptureFixture
) -> None:
    """Ticks of an outage of seconds are late; the log has one line for it, and one for its end."""
    scheduler = redis.scheduler()
    scheduler.register("@every 1s", Task("t"))
    async with scheduler:
        await asyncio.sleep(3.5)
        redis.is_down = True
        with caplog.at_level(logging.WARNING, logger="headrace"):
            await asyncio.sleep(6)
        redis.is_down = False
        await asyncio.sleep(3)

    # The last one may be just due.
    assert len(await redis.times()) in {12, 13}
    assert 1 == sum("Could not enqueue" in record.message for record in caplog.records)


async def test_lost_reply(redis: Redis, virtual_time: VirtualTime) -> None:
    """A tick whose answer was lost is not enqueued again, and is told of once."""
    told: list[TaskInfo | None] = []
    scheduler = redis.scheduler(post_enqueue=lambda info, _error: told.append(info))
    scheduler.register("@every 1s", Task("t"))
    tick, losses = scheduler._broker.tick, iter([True, True, False, True])

    async def lossy(ticks: object) -> object:
        replies = await tick(ticks)  # type: ignore[arg-type]
        if next(losses, False):
            raise BrokerError("lost", ambiguous=True)
        return replies

    scheduler._broker.tick = lossy  # type: ignore[method-assign, assignment]
    async with scheduler:
        await asyncio.sleep(5.2)

    times = await redis.times()
    assert len(times) == 5
    assert all(b - a == 1 for a, b in itertools.pairwise(times))
    assert 5 == len(told)


async def test_jitter(redis: Redis, virtual_time: VirtualTime) -> None:
    """Replicas agree on a tick's delay, which is new for each tick."""
    schedulers = [redis.scheduler() for _ in range(3)]
    for scheduler in schedulers:
        scheduler.register("@every 1m", Task("t"), jitter=30)
        await scheduler.start()
    await asyncio.sleep(600)
    for scheduler in schedulers:
        await scheduler.shutdown()

    delays = [at % 60 for at in await redis.times()]
    assert len(delays) in {9, 10}
    assert all(delay <= 30.1 for delay in delays)
    assert len(set(delays)) > 5


async def test_entries_are_published(redis: Redis, virtual_time: VirtualTime) -> None:
    """Asynq's tools see entries, their options, and the next and the previous tick."""
    scheduler = redis.scheduler(heartbeat_interval=5)
    entry_id = scheduler.register(
        "@every 1m", Task("t", b"p", max_retry=3), queue="low", timeout=30
    )
    async with scheduler:
        await asyncio.sleep(130)
        [key] = await redis.command("ZRANGE", "asynq:schedulers", 0, -1)
        [data] = await redis.command("LRANGE", key, 0, -1)
        left = await redis.command("TTL", key)
        entry = decode_scheduler_entry(data)
    gone = await redis.command("ZCARD", "asynq:schedulers")

    assert key.startswith(b"asynq:schedulers:{")
    assert 0 < left <= 10
    assert (entry_id, "@every 1m", "t", b"p") == (
        entry.id,
        entry.spec,
        entry.task_type,
        entry.task_payload,
    )
    assert ["MaxRetry(3)", 'Queue("low")', "Timeout(30s)"] == list(entry.enqueue_options)
    assert entry.prev_enqueue_time % 60 == 0
    assert entry.next_enqueue_time == entry.prev_enqueue_time + 60
    assert abs(redis.now() - entry.prev_enqueue_time) < 60
    assert 0 == gone


async def test_more_entries_than_one_call_takes(redis: Redis, virtual_time: VirtualTime) -> None:
    """Hundreds of entries are enqueued and published, too."""
    scheduler = redis.scheduler()
    for number in range(250):
        scheduler.register("@every 1m", Task("t", str(number).encode()))
    async with scheduler:
        await asyncio.sleep(61)
        [key] = await redis.command("ZRANGE", "asynq:schedulers", 0, -1)
        assert 250 == await redis.command("LLEN", key)

    assert 250 == len(await redis.times())


async def test_entries_change_at_run_time(redis: Redis, virtual_time: VirtualTime) -> None:
    """An entry may be added and removed while the scheduler runs."""
    async with redis.scheduler() as scheduler:
        await asyncio.sleep(30)
        entry_id = scheduler.register("@every 1s", Task("t"))
        assert [entry_id] == list(scheduler.schedules)
        await asyncio.sleep(3)
        scheduler.unregister(entry_id)
        count = len(await redis.times())
        assert count == 3
        await asyncio.sleep(5)
        assert count == len(await redis.times())
        with pytest.raises(InvalidOptionError, match="no such entry"):
            scheduler.unregister(entry_id)


async def test_same_entry_twice(redis: Redis, virtual_time: VirtualTime) -> None:
    """The same is not registered twice by mistake, but may be by another ID."""
    scheduler = redis.scheduler()
    scheduler.register("@every 1s", Task("t"))
    with pytest.raises(InvalidOptionError, match="already"):
        scheduler.register("@every 1s", Task("t"))
    scheduler.register("@every 1s", Task("t"), entry_id="second")

    async with scheduler:
        await asyncio.sleep(2)
    assert 4 == len(await redis.times())


async def test_hooks(redis: Redis, virtual_time: VirtualTime) -> None:
    """Functions are called before and after; what they raise changes nothing."""
    calls: list[tuple[str, object]] = []

    def before(task: Task) -> None:
        calls.append(("before", task.type))
        raise RuntimeError("ignored")

    async def after(info: TaskInfo | None, error: HeadraceError | None) -> None:
        await asyncio.sleep(0)
        calls.append(("after", info.state if info else type(error)))

    def failed(task: Task, error: HeadraceError) -> None:
        calls.append(("failed", type(error)))

    scheduler = redis.scheduler(pre_enqueue=before, post_enqueue=after, error_handler=failed)
    scheduler.register("@every 1s", Task("t"), task_id="always", process_in=60)
    async with scheduler:
        await asyncio.sleep(2)

    assert [
        ("before", "t"),
        ("after", TaskState.SCHEDULED),
        ("before", "t"),
        ("failed", TaskIdConflictError),
        ("after", TaskIdConflictError),
    ] == calls


async def test_unique_task(redis: Redis, virtual_time: VirtualTime) -> None:
    """While the last task is not done, a unique one is not enqueued again."""
    scheduler = redis.scheduler()
    scheduler.register("@every 1s", Task("t"), unique=3600)
    async with scheduler:
        await asyncio.sleep(5)

    assert 1 == len(await redis.times())


async def test_groups(redis: Redis, virtual_time: VirtualTime) -> None:
    """A scheduled task may go into a group."""
    scheduler = redis.scheduler()
    scheduler.register("@every 1s", Task("t"), group="g")
    async with scheduler:
        await asyncio.sleep(3)

    assert 3 == await redis.command("ZCARD", "asynq:{default}:g:g")
    assert [b"default"] == list(await redis.command("SMEMBERS", "asynq:queues"))


async def test_deleted_marker_begins_anew(redis: Redis, virtual_time: VirtualTime) -> None:
    """A scheduler whose marks in Redis were deleted goes on with the next tick."""
    scheduler = redis.scheduler()
    entry_id = scheduler.register("@every 1s", Task("t"))
    async with scheduler:
        await asyncio.sleep(2)
        await redis.command("DEL", f"headrace:{{default}}:tick:{entry_id}")
        await asyncio.sleep(4)

    assert len(await redis.times()) in {5, 6}


async def test_key_of_foreign_type(redis: Redis, virtual_time: VirtualTime) -> None:
    """An entry that Redis refuses does not hold up the others, and is told of."""
    errors: list[HeadraceError] = []
    scheduler = redis.scheduler(error_handler=lambda _task, error: errors.append(error))
    scheduler.register("@every 1s", Task("good"))
    scheduler.register("@every 1s", Task("bad"), queue="bad")
    await redis.command("SET", "asynq:{bad}:pending", "no list")
    async with scheduler:
        await asyncio.sleep(3)

    assert 3 == len(await redis.times())
    assert errors
    assert not await redis.command("EXISTS", "asynq:{bad}:t:x")


# --- Start and stop ----------------------------------------------------------------------------


async def test_states(redis: Redis, virtual_time: VirtualTime) -> None:
    """It starts once, stops, and closes; each call may be repeated."""
    scheduler = redis.scheduler()
    scheduler.register("@every 1s", Task("t"))
    states = [scheduler.state]
    await scheduler.start()
    await scheduler.start()
    await scheduler.ping()
    states.append(scheduler.state)
    scheduler.stop()
    scheduler.stop()
    states.append(scheduler.state)
    await asyncio.sleep(5)
    with pytest.raises(ServerStateError):
        await scheduler.start()
    await scheduler.shutdown()
    await scheduler.shutdown()
    states.append(scheduler.state)
    with pytest.raises(ServerClosedError):
        await scheduler.start()
    with pytest.raises(ServerClosedError):
        await scheduler.ping()

    assert ["new", "active", "stopped", "closed"] == states
    assert [] == await redis.times()


async def test_run_until_shutdown(redis: Redis, virtual_time: VirtualTime) -> None:
    """`run` returns when somebody shuts it down, or when it is cancelled."""
    scheduler = redis.scheduler()
    running = asyncio.create_task(scheduler.run())
    await asyncio.sleep(1)
    await scheduler.shutdown()
    await running

    other = redis.scheduler()
    running = asyncio.create_task(other.run())
    await asyncio.sleep(1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert other.state == "closed"


async def test_never_started(redis: Redis, virtual_time: VirtualTime) -> None:
    """One that never ran can be closed."""
    scheduler = redis.scheduler()
    await scheduler.shutdown()

    assert scheduler.state == "closed"


async def test_no_redis() -> None:
    """Without Redis it does not start, and says so."""
    scheduler = Scheduler("redis://127.0.0.1:1/0")
    with pytest.raises(HeadraceError):
        await scheduler.start()

    assert scheduler.state == "closed"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("location", "Mars/X"),
        ("location", 5),
        ("heartbeat_interval", 0),
        ("log_level", "loud"),
        ("pre_enqueue", "x"),
        ("nonsense", 1),
    ],
)
def test_bad_options(name: str, value: object) -> None:
    """What cannot be used is refused at once."""
    options: dict[str, object] = {name: value}
    with pytest.raises(InvalidOptionError, match=name):
        Scheduler("memory://", **options)  # type: ignore[arg-type]


async def test_location(redis: Redis, virtual_time: VirtualTime) -> None:
    """The scheduler's time zone is that of the specs that name none."""
    scheduler = redis.scheduler(location="Asia/Kathmandu")  # 5:45 ahead of UTC.
    scheduler.register("0 * * * *", Task("t"))
    async with scheduler:
        await asyncio.sleep(3601)

    assert [15 * 60] == [int(at) % 3600 for at in await redis.times()]
