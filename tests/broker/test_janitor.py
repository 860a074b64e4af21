"""expire_completed and trim_archive: what is deleted, and what is not yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.broker.helpers import KEYS, Rules, Time, archive, complete, new, take_one
from tests.support.invariants import check_queue
from tests.support.wire import dump, members, plant, plant_dead

if TYPE_CHECKING:
    import pytest

    from headrace._broker.redis import RedisBroker
    from tests.support.wire import RawClient

DAY = 86_400


# --- Completed tasks -----------------------------------------------------------------------


async def test_expire_completed(broker: RedisBroker, raw: RawClient, time: Time) -> None:
    """A task goes when its retention has ended, not before."""
    for task_id, retention in (("a", 10), ("b", 20)):
        await broker.enqueue([new(task_id)])
        await broker.finish([complete(await take_one(broker), retention=retention, result=b"r")])
    time.advance(10.74)
    assert await broker.expire_completed("q", 100) == 0
    time.advance(0.01)

    assert await broker.expire_completed("q", 100) == 1
    assert ["b"] == await members(raw, KEYS.completed)
    assert await raw.execute_command("EXISTS", KEYS.task("a")) == 0
    assert await check_queue(raw, "q", now=time.now, cleaned=True) == []


async def test_expire_no_more_than_asked(bare: RedisBroker, raw: RawClient) -> None:
    """The limit is the caller's, and 100 at the most."""
    for n in range(130):
        await plant(raw, "q", f"{n:03}", "completed", score=n)

    assert [7, 100, 23, 0] == [await bare.expire_completed("q", n) for n in (7, 500, 500, 500)]


async def test_expire_entry_without_a_task(
    broker: RedisBroker, raw: RawClient, rules: Rules
) -> None:
    """A ghost goes; so does the entry of a task that is elsewhere, but not the task."""
    rules.allow(1)
    await raw.execute_command("ZADD", KEYS.completed, 1, "ghost")
    await broker.enqueue([new("a")])
    await raw.execute_command("ZADD", KEYS.completed, 1, "a")

    assert await broker.expire_completed("q", 100) == 2
    assert ["a"] == await members(raw, KEYS.pending)
    assert await raw.execute_command("EXISTS", KEYS.task("a")) == 1


# --- The archive ---------------------------------------------------------------------------


async def test_trim_by_age(broker: RedisBroker, raw: RawClient, time: Time) -> None:
    """After 90 days a dead task goes."""
    for task_id, age in (("old", 90 * DAY), ("young", 90 * DAY - 1)):
        await plant(raw, "q", task_id, "archived", score=int(time.now) - age)

    assert await broker.trim_archive("q", 100) == 1
    assert ["young"] == await members(raw, KEYS.archived)
    assert await raw.execute_command("EXISTS", KEYS.task("old")) == 0
    assert await check_queue(raw, "q", now=time.now, cleaned=True) == []


async def test_trim_by_size(
    bare: RedisBroker, raw: RawClient, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many dead tasks may stay, and not one more; the oldest go first."""
    monkeypatch.setattr("headrace._broker.attempts.ARCHIVE_SIZE", 300)
    died_at = [int(time.now) - 20_000 + n for n in range(430)]
    await plant_dead(raw, "q", len(died_at), died_at=died_at)

    assert [100, 30, 0] == [await bare.trim_archive("q", 100) for _ in range(3)]
    left = await members(raw, KEYS.archived)
    assert ("dead-130", 300) == (left[0], len(left))
    assert await raw.execute_command("EXISTS", KEYS.task("dead-129")) == 0
    assert await check_queue(raw, "q", now=time.now, cleaned=True) == []


async def test_trim_no_more_than_asked(broker: RedisBroker, raw: RawClient) -> None:
    """The limit is the caller's."""
    for n in range(5):
        await plant(raw, "q", str(n), "archived", score=n)

    assert [2, 3, 0] == [await broker.trim_archive("q", n) for n in (2, 100, 100)]


async def test_trim_frees_a_lock_that_was_left(broker: RedisBroker, raw: RawClient) -> None:
    """A lock that a dead task still holds goes with it; that of another stays."""
    for task_id, lock in (("a", "asynq:{q}:unique:a:"), ("b", "asynq:{q}:unique:b:")):
        await plant(raw, "q", task_id, "archived", score=1, fields={"unique_key": lock})
    await plant(raw, "q", "live", fields={"unique_key": "asynq:{q}:unique:b:"})
    await raw.execute_command("SET", "asynq:{q}:unique:a:", "a", "EX", 60)
    await raw.execute_command("SET", "asynq:{q}:unique:b:", "live", "EX", 60)
    await broker.trim_archive("q", 100)

    assert await raw.execute_command("EXISTS", "asynq:{q}:unique:a:") == 0
    assert await raw.execute_command("GET", "asynq:{q}:unique:b:") == b"live"


async def test_trim_entry_without_a_task(broker: RedisBroker, raw: RawClient, rules: Rules) -> None:
    """A ghost goes; so does the entry of a task that is elsewhere, but not the task."""
    rules.allow(1)
    await raw.execute_command("ZADD", KEYS.archived, 1, "ghost")
    await broker.enqueue([new("a")])
    await raw.execute_command("ZADD", KEYS.archived, 1, "a")

    assert await broker.trim_archive("q", 100) == 2
    assert ["a"] == await members(raw, KEYS.pending)


async def test_archiving_trims(
    bare: RedisBroker, raw: RawClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever archives a task also sees to the bounds: a janitor need not be near."""
    monkeypatch.setattr("headrace._broker.attempts.ARCHIVE_SIZE", 3)
    for n in range(5):
        await bare.enqueue([new(str(n))])
        await bare.finish([archive(await take_one(bare))])

    assert ["2", "3", "4"] == await members(raw, KEYS.archived)


async def test_trim_nothing(broker: RedisBroker, raw: RawClient) -> None:
    """An empty archive is no error."""
    assert await broker.trim_archive("q", 100) == 0
    assert await broker.expire_completed("q", 100) == 0
    assert await dump(raw) == {}
