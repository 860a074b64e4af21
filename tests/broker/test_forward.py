"""forward: what is due becomes pending, or goes into its group."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headrace._errors import BrokerError
from tests.broker.helpers import KEYS, Rules, Time, new, retry, take, take_one
from tests.support.wire import dump, field, members, plant

if TYPE_CHECKING:
    from headrace._broker.redis import RedisBroker
    from tests.support.wire import RawClient


async def test_due_tasks_become_pending(broker: RedisBroker, raw: RawClient, time: Time) -> None:
    """Scheduled tasks and retries run once their second has come, the earliest first."""
    await broker.enqueue([new("late", after=20), new("soon", after=10), new("r")])
    await broker.finish([retry(await take_one(broker), delay=15)])
    time.advance(20.75)  # …021.0, the second of the latest.

    forwarded = await broker.forward("q")
    assert (3, time.now) == (forwarded.moved, forwarded.now)
    assert [] == await members(raw, KEYS.scheduled) + await members(raw, KEYS.retry)
    assert await field(raw, "q", "r", "pending_since") == "1700000021000000000"
    assert await field(raw, "q", "r", "state") == "pending"
    tasks = await take(broker)
    assert ["soon", "late", "r"] == [attempt.message.id for attempt in tasks]


async def test_nothing_early(broker: RedisBroker, raw: RawClient, time: Time) -> None:
    """A task whose second has not come stays, be it for a millisecond."""
    await broker.enqueue([new("a", after=10)])  # Due at …011.
    time.advance(10.749)
    written = await dump(raw)

    assert (await broker.forward("q")).moved == 0
    assert await dump(raw) == written
    time.advance(0.001)
    assert (await broker.forward("q")).moved == 1


async def test_at_most_100_in_one_call(bare: RedisBroker, raw: RawClient, time: Time) -> None:
    """Redis is held up for 100 tasks at the most, both containers together."""
    await bare.enqueue([new(f"s{n:03}", at=time.now + n % 3 + 1) for n in range(130)])
    await bare.enqueue([new(f"r{n:03}") for n in range(60)])
    await bare.finish([retry(attempt, delay=1) for attempt in await take(bare)])
    time.advance(100)

    assert [100, 90, 0] == [(await bare.forward("q")).moved for _ in range(3)]
    assert len(await members(raw, KEYS.pending)) == 190


async def test_grouped_tasks_go_into_their_group(
    broker: RedisBroker, raw: RawClient, time: Time
) -> None:
    """The group's name is put back, and the task waits there since now."""
    await broker.enqueue([new("a", after=10, group_key="g"), new("b", after=10)])
    time.advance(20)

    assert (await broker.forward("q")).moved == 2
    assert ["g"] == await members(raw, KEYS.groups)
    assert await raw.execute_command("ZSCORE", KEYS.group("g"), "a") == 1_700_000_020
    assert await field(raw, "q", "a", "state") == "aggregating"
    assert ["b"] == await members(raw, KEYS.pending)


async def test_other_queues_are_left_alone(broker: RedisBroker, time: Time) -> None:
    """A pass is over one queue."""
    await broker.enqueue([new("a", queue="low", after=1)])
    time.advance(10)

    assert (await broker.forward("q")).moved == 0


async def test_ghosts_are_dropped(
    broker: RedisBroker, raw: RawClient, rules: Rules, caplog: pytest.LogCaptureFixture
) -> None:
    """An ID without a task leaves no ghost in pending; the others move."""
    rules.allow(1, 6, 24)
    for key in (KEYS.scheduled, KEYS.retry):
        await raw.execute_command("ZADD", key, 1, "ghost")
    await raw.execute_command("SET", KEYS.task("odd"), "x")
    await raw.execute_command("ZADD", KEYS.scheduled, 2, "odd")
    await plant(raw, "q", "a", "scheduled", score=1)
    await broker.forward("q")

    assert ["a"] == await members(raw, KEYS.pending)
    assert await raw.execute_command("EXISTS", KEYS.task("ghost"), KEYS.scheduled, KEYS.retry) == 0
    assert await raw.execute_command("GET", KEYS.task("odd")) == b"x"
    assert "ghost" in caplog.text


async def test_undecodable_messages_move_like_others(broker: RedisBroker, raw: RawClient) -> None:
    """The forwarder reads no message; the worker that takes it quarantines it."""
    await plant(raw, "q", "bad", "retry", data=b"\xff", score=1)
    await plant(raw, "q", "a", "retry", score=1)

    assert (await broker.forward("q")).moved == 2
    assert ["a"] == [attempt.message.id for attempt in await take(broker)]


async def test_task_that_runs_is_not_forwarded(
    broker: RedisBroker, raw: RawClient, rules: Rules
) -> None:
    """A left-over entry of a task that runs must not start it a second time."""
    rules.allow(1)
    await broker.enqueue([new("a")])
    await take_one(broker)
    await raw.execute_command("ZADD", KEYS.retry, 1, "a")
    await broker.forward("q")

    assert await field(raw, "q", "a", "state") == "active"
    assert [] == await take(broker, token="second")


async def test_group_of_another_type(
    broker: RedisBroker, raw: RawClient, rules: Rules, time: Time
) -> None:
    """If the group's key is something else, nothing moves at all."""
    rules.allow(6, 18, 19)
    await broker.enqueue([new("a", after=1, group_key="g"), new("b", after=1)])
    await raw.execute_command("SET", KEYS.group("g"), "x")
    time.advance(10)

    with pytest.raises(BrokerError, match="WRONGTYPE"):
        await broker.forward("q")
