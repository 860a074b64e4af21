"""Limits of queues in the broker: exact over all who take tasks."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

import pytest

from headrace import BrokerError, QueueLimits
from headrace._broker.keys import QUEUES
from headrace._broker.redis import RedisBroker
from tests.broker.helpers import KEYS, LEASE, Time, done, requeue, retry, take, take_one
from tests.limits.helpers import ask, count, fill
from tests.support.randomness import seeded
from tests.support.wire import dump, members, take_as_go

if TYPE_CHECKING:
    from tests.support.wire import RawClient


# --- max_active ----------------------------------------------------------------------------


async def test_max_active_is_what_may_run(broker: RedisBroker) -> None:
    """No more run than allowed; each end lets one more start; the reply says what to wait for."""
    await broker.set_limits("q", QueueLimits(max_active=3))
    await fill(broker, 9)
    first = await ask(broker, {"q": 5})
    full = await ask(broker, {"q": 5})
    await broker.finish([done(first.attempts[0]), retry(first.attempts[1])])
    again = await ask(broker, {"q": 5})

    assert (3, 0, 2) == (count(first), count(full), count(again))
    for got in (first, full, again):
        assert {"q": math.inf} == got.limited
        assert {"q"} == got.exhausted


async def test_last_tasks_are_not_held_back(broker: RedisBroker) -> None:
    """A queue that has given all it had is not limited: its next task may be waited for."""
    await broker.set_limits("q", QueueLimits(max_active=3, rate=(3, 60)))
    await fill(broker, 3)
    got = await ask(broker, {"q": 5})
    empty = await ask(broker, {"q": 5})

    assert (3, 0) == (count(got), count(empty))
    assert ({}, {}) == (got.limited, empty.limited)


async def test_what_fits_is_not_called_limited(broker: RedisBroker) -> None:
    """Who asks for no more than is allowed hears of no limit."""
    await broker.set_limits("q", QueueLimits(max_active=3))
    await fill(broker, 9)
    got = await ask(broker, {"q": 3})

    assert (3, {}, frozenset()) == (count(got), got.limited, got.exhausted)


async def test_requeued_task_makes_room(broker: RedisBroker) -> None:
    """A task that was given back does not run."""
    await broker.set_limits("q", QueueLimits(max_active=1))
    await fill(broker, 2)
    attempt = await take_one(broker)
    await broker.finish([requeue(attempt)])

    assert 1 == count(await ask(broker, {"q": 5}))


async def test_active_tasks_of_go_count(broker: RedisBroker, raw: RawClient, time: Time) -> None:
    """What a Go worker runs counts for max_active, though Go itself knows of no limit."""
    await broker.set_limits("q", QueueLimits(max_active=2))
    await fill(broker, 5)
    for n in range(3):
        await take_as_go(raw, "q", f"q{n:05}", int(time.now) + 30)
    got = await ask(broker, {"q": 5})

    assert (0, {"q": math.inf}) == (count(got), got.limited)
    assert 2 == len(await members(raw, KEYS.pending))


async def test_dead_worker_keeps_its_place_until_recovery(broker: RedisBroker, time: Time) -> None:
    """What a killed worker left behind counts until it is recovered."""
    await broker.set_limits("q", QueueLimits(max_active=1))
    await fill(broker, 2)
    await take_one(broker)
    time.advance(LEASE + 1)
    before = await ask(broker, {"q": 1})
    await broker.recover("q", max_crashes=3)

    assert (0, 1) == (count(before), count(await ask(broker, {"q": 1})))


@pytest.mark.parametrize("max_active", [1, 7, 150])
async def test_max_active_is_exact_over_many_workers(broker_url: str, max_active: int) -> None:
    """Eight workers that take and finish at the same time never run more than allowed."""
    rng, total = seeded(), 100 + 2 * max_active
    brokers = [RedisBroker(broker_url) for _ in range(8)]
    await brokers[0].set_limits("q", QueueLimits(max_active=max_active))
    await fill(brokers[0], total)
    active, most, finished = 0, 0, 0

    async def work(broker: RedisBroker, name: int) -> None:
        nonlocal active, most, finished
        turn = 0
        while finished < total:
            turn += 1
            got = await broker.dequeue(
                {"q": rng.randint(1, 120)}, token=f"{name}-{turn}", lease_duration=LEASE
            )
            active += count(got)
            most = max(most, active)
            await asyncio.sleep(0)
            # Before Redis knows of it: the test must not count longer than Redis does.
            active -= count(got)
            finished += count(got)
            await broker.finish([done(attempt) for attempt in got.attempts])

    async with asyncio.timeout(60), asyncio.TaskGroup() as workers:
        for name, broker in enumerate(brokers):
            workers.create_task(work(broker, name))
    for broker in brokers:
        await broker.close()

    assert total == finished
    assert 0 < most <= max_active


# --- Both, and everything around -----------------------------------------------------------


async def test_both_limits_hold(broker: RedisBroker, time: Time) -> None:
    """The tighter limit counts; the reply says how long the one lasts that holds longer."""
    await broker.set_limits("q", QueueLimits(max_active=2, rate=(3, 60)))
    await fill(broker, 9)
    first = await ask(broker, {"q": 9})
    await broker.finish([done(attempt) for attempt in first.attempts])
    second = await ask(broker, {"q": 9})
    time.advance(60)
    third = await ask(broker, {"q": 9})

    assert [2, 1, 1] == [count(got) for got in (first, second, third)]
    assert [{"q": math.inf}, {"q": 60.0}, {"q": math.inf}] == [
        got.limited for got in (first, second, third)
    ]


async def test_limits_are_a_queue_s_own(broker: RedisBroker) -> None:
    """A limited queue does not hold up another one."""
    await broker.set_limits("q", QueueLimits(max_active=1))
    await fill(broker, 3)
    await fill(broker, 3, "low")
    got = await ask(broker, {"q": 3, "low": 2})

    assert ["q", "low", "low"] == [attempt.lease.queue for attempt in got.attempts]
    assert {"q": math.inf} == got.limited
    assert {"q"} == got.exhausted


async def test_paused_and_limited(broker: RedisBroker, raw: RawClient) -> None:
    """A paused queue is reported as paused, whatever its limits say."""
    await broker.set_limits("q", QueueLimits(max_active=1))
    await fill(broker, 3)
    await raw.execute_command("SET", KEYS.paused, 1)
    paused = await ask(broker, {"q": 3})
    await raw.execute_command("DEL", KEYS.paused)
    resumed = await ask(broker, {"q": 3})

    assert (0, {}) == (count(paused), paused.limited)
    assert {"q"} == paused.paused
    assert (1, {"q": math.inf}) == (count(resumed), resumed.limited)
    assert not resumed.paused


async def test_quota_beyond_one_call(bare: RedisBroker) -> None:
    """A limit holds over the several calls of one large dequeue."""
    await bare.set_limits("q", QueueLimits(max_active=130, rate=(1000, 60)))
    await fill(bare, 300)
    got = await ask(bare, {"q": 250})

    assert [f"q{n:05}" for n in range(130)] == [one.lease.task_id for one in got.attempts]
    assert {"q": math.inf} == got.limited
    assert {"q"} == got.exhausted


async def test_limits_change_at_run_time(broker: RedisBroker) -> None:
    """New limits hold from the next dequeue on; none let everything through."""
    await fill(broker, 20)
    counts = []
    for limits in (
        QueueLimits(max_active=2),
        QueueLimits(max_active=5),
        QueueLimits(max_active=1),
        None,
    ):
        await broker.set_limits("q", limits)
        counts.append(count(await ask(broker, {"q": 10})))

    assert [2, 3, 0, 10] == counts


async def test_rate_changes_at_run_time(broker: RedisBroker, time: Time) -> None:
    """What was started under the old rate counts for the new one."""
    await fill(broker, 30)
    await broker.set_limits("q", QueueLimits(rate=(4, 60)))
    await take(broker)
    await broker.set_limits("q", QueueLimits(rate=(6, 120)))
    time.advance(30)
    got = await ask(broker, {"q": 9})
    await broker.set_limits("q", QueueLimits(rate=(3, 10)))

    assert (2, {"q": 90.0}) == (count(got), got.limited)
    time.advance(10)
    assert 3 == count(await ask(broker, {"q": 9}))


@pytest.mark.parametrize(
    "limits",
    [
        QueueLimits(max_active=3),
        QueueLimits(rate=(100, 60)),
        QueueLimits(rate=(1, 0.125)),
        QueueLimits(max_active=2**31 - 1, rate=(2**31 - 1, 86_400 * 365)),
    ],
)
async def test_limits_are_read_as_they_were_written(
    broker: RedisBroker, limits: QueueLimits
) -> None:
    """What was set is what is read; other queues have none."""
    await broker.set_limits("q", limits)

    assert limits == await broker.limits("q")
    assert await broker.limits("low") is None


@pytest.mark.parametrize("nothing", [None, QueueLimits()])
async def test_lifted_limits_leave_nothing(
    broker: RedisBroker, raw: RawClient, nothing: QueueLimits | None
) -> None:
    """Lifting limits deletes them; lifting what is not there makes no queue."""
    await broker.set_limits("low", nothing)
    assert 0 == await raw.execute_command("EXISTS", QUEUES)
    await broker.set_limits("q", QueueLimits(max_active=3))
    await broker.set_limits("q", nothing)

    assert await broker.limits("q") is None
    assert {} == await dump(raw)


async def test_limits_that_are_none(broker: RedisBroker, raw: RawClient) -> None:
    """Nonsense in the hash limits nothing, and is reported to who reads it."""
    await raw.execute_command(
        "HSET", KEYS.limits, "max_active", "many", "rate_tasks", "-1", "rate_seconds", "nan"
    )
    await fill(broker, 3)

    assert 3 == count(await ask(broker, {"q": 5}))
    with pytest.raises(BrokerError, match=r"^headrace:.q.:limits holds"):
        await broker.limits("q")


async def test_entries_that_are_none(broker: RedisBroker, raw: RawClient) -> None:
    """Nonsense among the starts counts for nothing."""
    await broker.set_limits("q", QueueLimits(rate=(2, 60)))
    await raw.execute_command("RPUSH", KEYS.starts, "x", "1 2", "a b c")
    await raw.execute_command("EXPIRE", KEYS.starts, 60)
    await fill(broker, 3)

    assert 2 == count(await ask(broker, {"q": 5}))


@pytest.mark.parametrize("key", [KEYS.limits, KEYS.starts])
async def test_wrong_type_changes_nothing(bare: RedisBroker, raw: RawClient, key: str) -> None:
    """A key that holds something else is an error, and no task is touched."""
    await bare.set_limits("q", QueueLimits(rate=(2, 60)))
    await fill(bare, 3)
    await raw.execute_command("SET", key, "x")
    before = await dump(raw)
    with pytest.raises(BrokerError) as caught:
        await ask(bare, {"q": 5})

    assert "WRONGTYPE" == caught.value.code
    assert before == await dump(raw)


async def test_deleting_a_queue_deletes_its_limits(broker: RedisBroker, raw: RawClient) -> None:
    """A deleted queue leaves neither limits nor starts behind."""
    await broker.set_limits("q", QueueLimits(rate=(2, 60)))
    await fill(broker, 1)
    await broker.finish([done(await take_one(broker))])
    await broker.delete_queue("q", force=True)

    assert KEYS.limits not in await dump(raw)
    assert KEYS.starts not in await dump(raw)
