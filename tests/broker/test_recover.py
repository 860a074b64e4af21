"""recover: tasks of workers that died go back, or into the archive."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headrace._message import decode_message
from tests.broker.helpers import KEYS, LEASE, Rules, Time, done, new, retry, take, take_one
from tests.support.wire import dump, encode, field, members, message_of, plant

if TYPE_CHECKING:
    from headrace._broker.redis import RedisBroker
    from tests.support.wire import RawClient


async def test_recover(broker: RedisBroker, raw: RawClient, time: Time) -> None:
    """A task whose lease has ended is pending again; a crash is counted, but no retry."""
    await broker.enqueue([new("a", unique=60), new("b")])
    await take_one(broker)
    time.advance(16)

    recovered = await broker.recover("q", max_crashes=3)
    assert (["a"], []) == (recovered.requeued, recovered.poisoned)
    assert ["b", "a"] == await members(raw, KEYS.pending), "a is first to run"
    assert [] == await members(raw, KEYS.lease) + await members(raw, KEYS.active)
    assert await field(raw, "q", "a", "hr:crashes") == "1"
    assert await field(raw, "q", "a", "pending_since") == "1700000016250000000"
    assert (await message_of(raw, "q", "a")).retried == 0
    assert await raw.execute_command("GET", KEYS.unique("t", None)) == b"a"
    assert await raw.execute_command("EXISTS", KEYS.processed, KEYS.failed) == 0


async def test_lease_that_lasts(broker: RedisBroker, raw: RawClient, time: Time) -> None:
    """Up to its last moment a lease protects its task."""
    await broker.enqueue([new("a")])
    await take_one(broker)  # Until …016.
    time.advance(15.74)
    written = await dump(raw)

    assert [] == (await broker.recover("q", max_crashes=3)).requeued
    assert await dump(raw) == written
    time.advance(0.02)
    assert ["a"] == (await broker.recover("q", max_crashes=3)).requeued


async def test_extension_saves_from_a_recovery_that_is_late(
    broker: RedisBroker, raw: RawClient, time: Time
) -> None:
    """What counts is the lease at the instant of the move, not when somebody looked."""
    await broker.enqueue([new("a")])
    attempt = await take_one(broker)
    time.advance(16)
    overdue = await raw.execute_command("ZRANGEBYSCORE", KEYS.lease, "-inf", time.now)
    await broker.extend([attempt.lease], LEASE)

    assert overdue == [b"a"]
    assert [] == (await broker.recover("q", max_crashes=3)).requeued
    assert [1] == await broker.finish([done(attempt)])


async def test_order_of_the_recovered(broker: RedisBroker, time: Time) -> None:
    """They run in the order in which their leases ended, before everything else."""
    await broker.enqueue([new(str(n)) for n in range(3)])
    for n in range(3):
        await take_one(broker, token=f"t{n}")
        time.advance(1)
    await broker.enqueue([new("new")])
    time.advance(16)
    await broker.recover("q", max_crashes=3)

    again = await take(broker, token="again")
    assert ["0", "1", "2", "new"] == [attempt.message.id for attempt in again]


async def test_at_most_100_in_one_call(bare: RedisBroker, time: Time) -> None:
    """Redis is held up for 100 tasks at the most."""
    await bare.enqueue([new(f"{n:03}") for n in range(230)])
    await take(bare, 230)
    time.advance(16)
    passes = [(await bare.recover("q", max_crashes=3)).requeued for _ in range(4)]

    assert [100, 100, 30, 0] == [len(ids) for ids in passes]


# --- Poison --------------------------------------------------------------------------------


async def crash(broker: RedisBroker, time: Time, *, max_crashes: int = 3) -> list[str]:
    """Have a worker take the task and die; return what was archived."""
    await take_one(broker, token=str(time.now))
    time.advance(16)
    return list((await broker.recover("q", max_crashes=max_crashes)).poisoned)


async def test_poison(broker: RedisBroker, raw: RawClient, time: Time) -> None:
    """A task that kills its workers is archived at the third time, and says why."""
    await broker.enqueue([new("a", unique=600, headers={"k": "v"}, payload=b"\x00x")])

    assert [[], [], ["a"]] == [await crash(broker, time) for _ in range(3)]
    assert ["a"] == await members(raw, KEYS.archived)
    assert await raw.execute_command("ZSCORE", KEYS.archived, "a") == int(time.now)
    assert await field(raw, "q", "a", "hr:crashes") == "3"
    message = decode_message((await message_of(raw, "q", "a")).SerializeToString())
    assert "died 3 times" in message.error_msg
    assert message.last_failed_at > 0
    assert (0, b"\x00x", {"k": "v"}) == (message.retried, message.payload, dict(message.headers))
    assert await raw.execute_command("EXISTS", KEYS.unique("t", b"\x00x")) == 0
    for counter in (KEYS.processed, KEYS.failed):
        assert await raw.execute_command("GET", counter) == b"1"


async def test_poison_replaces_an_older_error(broker: RedisBroker, time: Time) -> None:
    """Appended to the message, the new error is the one that is read."""
    await broker.enqueue([new("a")])
    await broker.finish([retry(await take_one(broker), delay=0)])
    time.advance(1)
    await broker.forward("q")
    await crash(broker, time, max_crashes=1)
    task = await broker.get_task("q", "a")

    assert task is not None
    assert "died 1 time" in task.last_error
    assert task.retried == 1


async def test_no_limit_of_crashes(broker: RedisBroker, time: Time) -> None:
    """0 puts a task back whatever it does."""
    await broker.enqueue([new("a")])

    assert [[]] * 5 == [await crash(broker, time, max_crashes=0) for _ in range(5)]


async def test_crashes_and_retries_are_counted_apart(
    broker: RedisBroker, raw: RawClient, time: Time
) -> None:
    """A failure between crashes neither adds to their count nor resets it."""
    await broker.enqueue([new("a")])
    await crash(broker, time)
    await broker.finish([retry(await take_one(broker, token="x"), delay=0)])
    time.advance(1)
    await broker.forward("q")
    await crash(broker, time)

    assert await field(raw, "q", "a", "hr:crashes") == "2"
    assert (await message_of(raw, "q", "a")).retried == 1


async def test_crash_count_that_is_no_number(broker: RedisBroker, raw: RawClient) -> None:
    """A broken count starts again."""
    await plant(raw, "q", "a", "active", score=1, fields={"hr:crashes": "many"})
    await broker.recover("q", max_crashes=3)

    assert await field(raw, "q", "a", "hr:crashes") == "1"


# --- What others left behind ---------------------------------------------------------------


async def test_go_lease_gets_30_seconds(broker: RedisBroker, raw: RawClient, time: Time) -> None:
    """Go servers count by their own clocks, and allow themselves so much."""
    await plant(raw, "q", "a", "active", score=int(time.now))
    time.advance(29.7)
    assert [] == (await broker.recover("q", max_crashes=3)).requeued
    time.advance(0.1)

    assert ["a"] == (await broker.recover("q", max_crashes=3)).requeued


async def test_go_leases_do_not_hide_ours(broker: RedisBroker, raw: RawClient, time: Time) -> None:
    """Leases of Go that wait for their 30 s keep nobody else waiting."""
    for n in range(120):
        await plant(raw, "q", f"go{n}", "active", score=int(time.now) - 1)
    await broker.enqueue([new("a")])
    await broker.dequeue({"q": 1}, token="t", lease_duration=0.1)
    time.advance(2)

    assert ["a"] == (await broker.recover("q", max_crashes=3)).requeued


async def test_lease_without_a_task(broker: RedisBroker, raw: RawClient, rules: Rules) -> None:
    """A ghost in lease and active is dropped, and leaves no hash behind."""
    rules.allow(1)
    await plant(raw, "q", "ghost", "active", score=1)
    await raw.execute_command("DEL", KEYS.task("ghost"))
    recovered = await broker.recover("q", max_crashes=3)

    assert ([], []) == (recovered.requeued, recovered.poisoned)
    assert await raw.execute_command("EXISTS", KEYS.task("ghost"), KEYS.active, KEYS.lease) == 0


async def test_lease_of_a_task_that_is_elsewhere(
    broker: RedisBroker, raw: RawClient, rules: Rules
) -> None:
    """A left-over lease of a task that waits goes; the task stays where it is."""
    rules.allow(4)
    await broker.enqueue([new("a")])
    await raw.execute_command("ZADD", KEYS.lease, 1, "a")
    await broker.recover("q", max_crashes=3)

    assert ["a"] == await members(raw, KEYS.pending)
    assert await raw.execute_command("EXISTS", KEYS.lease) == 0


@pytest.mark.parametrize("data", [b"", b"\xff\xff", encode("a")[:-1]])
async def test_undecodable_message_stops_nobody(
    broker: RedisBroker, raw: RawClient, rules: Rules, data: bytes
) -> None:
    """It is recovered like the others; the worker that takes it quarantines it."""
    rules.allow(5)
    await plant(raw, "q", "bad", "active", data=data, score=1)
    await plant(raw, "q", "a", "active", score=2)

    assert ["a", "bad"] == sorted((await broker.recover("q", max_crashes=3)).requeued)
    assert ["a"] == [attempt.message.id for attempt in await take(broker)]
    assert ["bad"] == await members(raw, KEYS.archived)


async def test_id_that_is_not_text(broker: RedisBroker, raw: RawClient, rules: Rules) -> None:
    """Nor does an ID of any bytes."""
    rules.allow(5)
    await plant(raw, "q", b"\xff\xfe", "active", data=encode("b"), score=1)
    await plant(raw, "q", "a", "active", score=2)
    await broker.recover("q", max_crashes=3)

    assert ["a"] == [attempt.message.id for attempt in await take(broker)]


async def test_poison_that_cannot_be_read(broker: RedisBroker, raw: RawClient) -> None:
    """Its bytes are kept at the front of what the archive holds."""
    await plant(raw, "q", "bad", "active", data=b"\xff\xff", score=1)
    await broker.recover("q", max_crashes=1)
    data = await raw.execute_command("HGET", KEYS.task("bad"), "msg")

    assert isinstance(data, bytes)
    assert data.startswith(b"\xff\xff")
