"""The places where the Go code goes wrong, by their numbers in the wire's description.

Each test would fail on what asynq (Go) does. Numbers 16 and 18 are in test_defects_at_limits.py;
number 17, replicas of a scheduler, has its test where the scheduler has its own.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from headrace._broker.redis import RedisBroker
from headrace._broker.values import Applied, GroupLimits, Placed
from headrace._config import ServerConfig
from headrace._errors import (
    BrokerError,
    DuplicateTaskError,
    TaskIdConflictError,
)
from headrace._task import TaskState
from tests.broker.helpers import (
    KEYS,
    LEASE,
    Time,
    archive,
    complete,
    done,
    new,
    requeue,
    retry,
    take,
    take_one,
)
from tests.support.invariants import ARCHIVE_SIZE, check_queue
from tests.support.wire import (
    dump,
    field,
    members,
    message_of,
    plant,
    plant_dead,
    redis_time,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.redis_server import RedisServer
    from tests.support.wire import RawClient

AT_ONCE = GroupLimits(grace_period=1, max_delay=0, max_size=1)
on_redis = pytest.mark.parametrize("broker_url", ["redis"], indirect=True)


@pytest.fixture
def time() -> Time:
    """What the scripts take for Redis's time."""
    return Time()


@pytest_asyncio.fixture
async def broker(broker_url: str, time: Time) -> AsyncIterator[RedisBroker]:
    """A broker whose time the test sets."""
    broker = RedisBroker(broker_url, now=time)
    yield broker
    await broker.close()


# --- 1 to 5: whose task it is --------------------------------------------------------------


async def test_defect_01_scripts_check_before_they_write(
    broker: RedisBroker, raw: RawClient
) -> None:
    """Go takes the ID out of active, then fails for want of a lease: the task is nowhere.

    A missing lease hinders nobody here; and where something does, nothing was written.
    """
    await broker.enqueue([new("a"), new("b")])
    first, second = await take(broker)
    await raw.execute_command("DEL", KEYS.lease)
    assert [Applied.APPLIED] == await broker.finish([retry(first)])

    await raw.execute_command("DEL", KEYS.retry)
    await raw.execute_command("SET", KEYS.retry, "not a sorted set")
    before = await dump(raw)
    with pytest.raises(BrokerError, match="WRONGTYPE"):
        await broker.finish([retry(second)])
    assert await dump(raw) == before


async def test_defect_02_only_the_owner_ends_an_attempt(
    broker: RedisBroker, raw: RawClient, time: Time
) -> None:
    """Go lets a worker that lost its lease finish, retry or archive what another now runs."""
    await broker.enqueue([new("a")])
    zombie = await take_one(broker, token="zombie")
    time.advance(LEASE + 1)
    await broker.recover("q", max_crashes=3)
    heir = await take_one(broker, token="heir")
    before = await dump(raw)

    for end in (done, complete, retry, archive, requeue):
        assert [Applied.LOST] == await broker.finish([end(zombie)])
    assert await dump(raw) == before
    assert [Applied.APPLIED] == await broker.finish([done(heir)])


async def test_defect_03_a_lost_lease_is_told(broker: RedisBroker, time: Time) -> None:
    """Go's extension of a lease that is gone looks like success, and the handler runs on."""
    await broker.enqueue([new("a"), new("b")])
    lost, kept = await take(broker)
    time.advance(10)
    await broker.extend([kept.lease], LEASE)
    time.advance(10)
    await broker.recover("q", max_crashes=3)

    assert {lost.lease} == (await broker.extend([lost.lease, kept.lease], LEASE)).lost


async def test_defect_04_no_live_lease_is_stolen(
    broker: RedisBroker, raw: RawClient, time: Time
) -> None:
    """Go lists first and moves later: what was extended in between is taken all the same."""
    await broker.enqueue([new(f"{n:03}") for n in range(130)])
    attempts = await take(broker, 130)
    time.advance(LEASE + 1)
    listed = await raw.execute_command("ZRANGEBYSCORE", KEYS.lease, "-inf", time.now)
    assert isinstance(listed, list)
    assert len(listed) == 130
    await broker.extend([attempt.lease for attempt in attempts[:10]], LEASE)

    stolen = [await broker.recover("q", max_crashes=3) for _ in range(3)]
    assert [100, 20, 0] == [len(recovered.requeued) for recovered in stolen]
    assert await members(raw, KEYS.lease) == [f"{n:03}" for n in range(10)]


async def test_defect_05_redis_tells_the_time(
    broker_url: str, raw: RawClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Go's leases and due times come from the clocks of clients, which differ."""

    class Wrong:
        def time(self) -> float:
            return 4_000_000_000.0

    monkeypatch.setattr("time.time", Wrong().time)
    broker = RedisBroker(broker_url, clock=Wrong())
    before = await redis_time(raw)
    await broker.enqueue([new("a"), new("s", after=60), new("g", group_key="g")])
    await broker.dequeue({"q": 1}, token="t", lease_duration=LEASE)
    after = await redis_time(raw)
    await broker.close()

    for key, task_id, offset in (
        (KEYS.lease, "a", LEASE),
        (KEYS.scheduled, "s", 60),
        (KEYS.group("g"), "g", 0),
    ):
        score = await raw.execute_command("ZSCORE", key, task_id)
        assert isinstance(score, float)
        assert before + offset - 1 <= score <= after + offset + 1


# --- 6: recovery ---------------------------------------------------------------------------


async def test_defect_06_recovery_takes_seconds(
    broker: RedisBroker, raw: RawClient, time: Time
) -> None:
    """Go's takes one to three minutes, and spends a retry of a task that did not fail."""
    config = ServerConfig()
    worst = config.lease_duration + 1 + 1.25 * config.recovery_interval  # Rounded up; jitter.
    assert worst <= 20

    await broker.enqueue([new("a")])
    for crashes in (1, 2, 3):
        await take_one(broker, token=str(crashes))
        time.advance(LEASE + 1)
        recovered = await broker.recover("q", max_crashes=3)
        assert str(crashes) == await field(raw, "q", "a", "hr:crashes")
        assert (await message_of(raw, "q", "a")).retried == 0
    assert ([], ["a"]) == (recovered.requeued, recovered.poisoned)
    assert "died 3 times" in (await message_of(raw, "q", "a")).error_msg


# --- 7 and 8: groups and locks -------------------------------------------------------------


async def test_defect_07_groups_are_found_again(
    broker: RedisBroker, raw: RawClient, time: Time
) -> None:
    """Go forgets the name of a group into which tasks come back, and a scheduled task's group."""
    await broker.enqueue([new("a", group_key="reclaimed"), new("b", group_key="late", after=5)])
    await broker.check_group("q", "reclaimed", "s", AT_ONCE)
    assert [] == await broker.groups("q")
    time.advance(121)
    await broker.reclaim("q")
    await broker.forward("q")

    assert ["late", "reclaimed"] == await broker.groups("q")
    assert ["b"] == await members(raw, KEYS.group("late"))
    assert [] == await check_queue(raw, "q", now=time.now)


async def test_defect_08_no_lock_outlives_its_task(
    broker: RedisBroker, raw: RawClient, time: Time
) -> None:
    """Go leaves locks behind: on an ID conflict, when tasks are deleted, when aggregated."""

    async def locks() -> int:
        found = await raw.execute_command("KEYS", "asynq:{q}:unique:*")
        assert isinstance(found, list)
        return len(found)

    await broker.enqueue([new("taken")])
    [refused] = await broker.enqueue([new("taken", type="x", unique=600)])
    assert isinstance(refused, TaskIdConflictError)
    assert await locks() == 0
    await broker.finish([done(await take_one(broker))])

    names = ("done", "completed", "archived", "poisoned")
    await broker.enqueue([new(name, type=name, unique=600) for name in names])
    first, second, third, _ = await take(broker)
    await broker.finish([done(first), complete(second), archive(third)])
    time.advance(LEASE + 1)
    await broker.recover("q", max_crashes=1)
    assert await locks() == 0

    await broker.enqueue([new("grouped", type="grouped", unique=600, group_key="g")])
    taken = await broker.check_group("q", "g", "s", AT_ONCE)
    assert taken is not None
    await broker.aggregate(taken, new("sum"))
    assert await locks() == 0


# --- 9 and 10: what is broken --------------------------------------------------------------


async def test_defect_09_ghosts_are_dropped(broker: RedisBroker, raw: RawClient) -> None:
    """Go makes a hash of a pending ID that has none, and takes the queue for empty."""
    await raw.execute_command("LPUSH", KEYS.pending, "ghost")
    await broker.enqueue([new("a")])

    assert ["a"] == [attempt.message.id for attempt in await take(broker)]
    assert await raw.execute_command("EXISTS", KEYS.task("ghost")) == 0


async def test_defect_10_one_bad_message_stops_nobody(
    broker: RedisBroker, raw: RawClient, time: Time
) -> None:
    """A message that Go cannot read ends its recoverer's pass, again and again."""
    await plant(raw, "q", "bad", "active", data=b"\xff", score=1)
    await plant(raw, "q", "good", "active", score=2)
    await broker.recover("q", max_crashes=3)

    assert ["good"] == [attempt.message.id for attempt in await take(broker)]
    assert ["bad"] == await members(raw, KEYS.archived)
    assert await raw.execute_command("HGET", KEYS.task("bad"), "msg") == b"\xff"
    assert time.now > 0


# --- 11 to 14: what grows large ------------------------------------------------------------


@on_redis
async def test_defect_11_archive_of_any_size_is_trimmed(
    broker: RedisBroker, raw: RawClient, time: Time
) -> None:
    """Go's script fails at some 8,000 expired IDs, after it has moved the task."""
    await plant_dead(raw, "q", 9_000, died_at=1)
    await broker.enqueue([new("a")])
    assert [Applied.APPLIED] == await broker.finish([archive(await take_one(broker))])
    while await broker.trim_archive("q", 100):
        pass

    assert ["a"] == await members(raw, KEYS.archived)
    assert await field(raw, "q", "a", "state") == "archived"
    assert [] == await check_queue(raw, "q", now=time.now, cleaned=True)


@on_redis
async def test_defect_11_archive_keeps_ten_thousand(
    broker: RedisBroker, raw: RawClient, time: Time
) -> None:
    """Go keeps one too few; and the new task's hash may stay without its entry."""
    await plant_dead(raw, "q", ARCHIVE_SIZE, died_at=int(time.now) - 10)
    await broker.enqueue([new("a")])
    await broker.finish([archive(await take_one(broker))])
    dead = await members(raw, KEYS.archived)

    assert (ARCHIVE_SIZE, "a") == (len(dead), dead[-1])


async def test_defect_12_active_is_searched_from_its_tail(
    redis_server: RedisServer, redis_url: str
) -> None:
    """Go's LREM 0 looks at the whole list for each task that ends; the oldest are at the tail."""
    broker = RedisBroker(redis_url)
    await broker.enqueue([new(str(n)) for n in range(5)])
    attempts = (await broker.dequeue({"q": 5}, token="t", lease_duration=LEASE)).attempts
    sentinel, removals = "the end of what is looked at", []
    with contextlib.closing(redis_server.client()) as client, client.monitor() as monitor:  # type: ignore[no-untyped-call]  # redis-py's.
        ends = (done, complete, retry, archive, requeue)
        await broker.finish([end(a) for end, a in zip(ends, attempts, strict=True)])
        redis_server.client().echo(sentinel)
        while sentinel not in (command := monitor.next_command()["command"]):
            if command.upper().startswith("LREM"):
                removals.append(command.split()[2])
    await broker.close()

    assert ["-1"] * 5 == removals


async def test_defect_13_nothing_is_left_of_a_deleted_queue(
    broker: RedisBroker, raw: RawClient
) -> None:
    """Go forgets completed tasks, groups and locks."""
    await broker.enqueue([new(name, type=name, unique=600) for name in "abcd"])
    first, second, third = await take(broker, 3)
    await broker.finish([complete(first), archive(second), retry(third)])
    await broker.enqueue([new("s", type="s", unique=600, after=60)])
    await broker.enqueue([new(n, type=n, unique=600, group_key="g") for n in ("x", "y")])
    await broker.check_group("q", "g", "set", AT_ONCE)
    await broker.delete_queue("q", force=True)

    left = await dump(raw)
    assert {} == {name: key for name, key in left.items() if not key.expires}
    assert not [name for name in left if "unique" in name]
    assert [] == await broker.queue_names()


async def test_defect_14_scripts_are_bounded(
    broker: RedisBroker, raw: RawClient, time: Time
) -> None:
    """Go's run-all and expire-all hold Redis up for seconds at a million IDs."""
    for n in range(120):
        await plant(raw, "q", f"s{n}", "scheduled", score=n)
        await plant(raw, "q", f"c{n}", "completed", score=n)
        await plant(raw, "q", f"x{n}", "archived", score=n)
        await plant(raw, "q", f"a{n}", "active", score=n)
    taken = await broker.dequeue({"q": 1_000}, token="t", lease_duration=LEASE)
    assert not taken.attempts

    assert (await broker.forward("q")).moved == 100
    assert len((await broker.recover("q", max_crashes=3)).requeued) == 100
    assert await broker.expire_completed("q", 1_000_000) == 100
    assert await broker.trim_archive("q", 1_000_000) == 100
    assert time.now > 0


async def test_defect_14_batches_are_split(redis_server: RedisServer, redis_url: str) -> None:
    """What a caller hands over at once reaches Redis in calls of 100 tasks at the most."""
    broker = RedisBroker(redis_url)
    with contextlib.closing(redis_server.client()) as client:
        client.config_resetstat()
        await broker.enqueue([new(f"{n:03}") for n in range(250)])
        await broker.dequeue({"q": 250}, token="t", lease_duration=LEASE)
        sizes = [
            int(client.info("commandstats")[f"cmdstat_{name}"]["calls"])
            for name in ("lpush", "rpop")
        ]
    await broker.close()

    assert [6, 3] == sizes  # Three for pending, three for active; three dequeues.


# --- 15: batches ---------------------------------------------------------------------------


async def test_defect_15_a_batch_takes_everything_and_answers_for_each(
    broker: RedisBroker, raw: RawClient
) -> None:
    """Go's reports duplicates as enqueued, refuses unique and grouped tasks, drops headers."""
    await broker.enqueue([new("there")])
    answers = await broker.enqueue(
        [
            new("there"),
            new("u1", type="u", unique=60),
            new("u2", type="u", unique=60),
            new("g", group_key="g"),
            new("h", headers={"k": "v"}),
        ]
    )

    assert isinstance(answers[0], TaskIdConflictError)
    assert isinstance(answers[2], DuplicateTaskError)
    pending = Placed(TaskState.PENDING, 0.0)
    assert [pending, Placed(TaskState.AGGREGATING, 0.0), pending] == [answers[n] for n in (1, 3, 4)]
    assert dict((await message_of(raw, "q", "h")).headers) == {"k": "v"}
