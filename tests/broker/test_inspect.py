"""get_task, queue_names and queue_stats: what is told of tasks and queues."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headrace._errors import MessageDecodeError
from headrace._task import TaskState
from tests.broker.helpers import (
    KEYS,
    Rules,
    Time,
    archive,
    complete,
    new,
    retry,
    take,
    take_one,
)
from tests.support.wire import plant, redis_time

if TYPE_CHECKING:
    from headrace._broker.redis import RedisBroker
    from headrace._task import TaskInfo
    from tests.support.wire import RawClient


async def info(broker: RedisBroker, task_id: str = "a") -> TaskInfo:
    """Return what is told of a task."""
    found = await broker.get_task("q", task_id)
    assert found is not None
    return found


# --- A task --------------------------------------------------------------------------------


async def test_missing_task(broker: RedisBroker) -> None:
    """There is nothing to tell."""
    assert await broker.get_task("q", "a") is None


async def test_pending_task(broker: RedisBroker) -> None:
    """Everything that was given is told."""
    await broker.enqueue(
        [
            new(
                "a",
                payload=b"\x00",
                timeout=7,
                deadline=1_800_000_000,
                retention=60,
                headers={"k": "ü"},
            )
        ]
    )
    task = await info(broker)

    assert ("a", "q", "t", b"\x00") == (task.id, task.queue, task.type, task.payload)
    assert task.state is TaskState.PENDING
    assert (5, 0, "", None) == (
        task.max_retry,
        task.retried,
        task.last_error,
        task.last_failed_at,
    )
    assert (7, 1_800_000_000, 60) == (task.timeout, task.deadline, task.retention)
    assert {"k": "ü"} == dict(task.headers)
    assert (None, None, False, None) == (
        task.next_process_at,
        task.completed_at,
        task.is_orphaned,
        task.result,
    )


async def test_waiting_tasks_tell_when_they_are_due(broker: RedisBroker) -> None:
    """Scheduled tasks and retries have a time; retries their error too."""
    await broker.enqueue([new("s", after=10), new("r"), new("g", group_key="g")])
    await broker.finish([retry(await take_one(broker), delay=20)])

    scheduled, again, grouped = [await info(broker, task_id) for task_id in "srg"]
    assert (TaskState.SCHEDULED, 1_700_000_011) == (scheduled.state, scheduled.next_process_at)
    assert (TaskState.RETRY, 1_700_000_021) == (again.state, again.next_process_at)
    assert (1, "oh", 1_700_000_000) == (again.retried, again.last_error, again.last_failed_at)
    assert (TaskState.AGGREGATING, "g") == (grouped.state, grouped.group)


async def test_ended_tasks(broker: RedisBroker) -> None:
    """A completed task has its result, an archived one its error."""
    await broker.enqueue([new("c"), new("x")])
    good, bad = await take(broker)
    await broker.finish([complete(good, result=b"r"), archive(bad)])

    completed, dead = await info(broker, "c"), await info(broker, "x")
    assert (TaskState.COMPLETED, b"r", 1_700_000_000) == (
        completed.state,
        completed.result,
        completed.completed_at,
    )
    assert (TaskState.ARCHIVED, "oh") == (dead.state, dead.last_error)


async def test_orphan(real_time: RedisBroker, raw: RawClient) -> None:
    """An active task whose lease has ended, or is gone, has no living worker."""
    now = await redis_time(raw)
    await plant(raw, "q", "live", "active", score=now + 60)
    await plant(raw, "q", "dead", "active", score=now - 60)
    await plant(raw, "q", "lost", "active")
    await raw.execute_command("ZREM", KEYS.lease, "lost")

    orphaned = [(await info(real_time, name)).is_orphaned for name in ("live", "dead", "lost")]
    assert [False, True, True] == orphaned


async def test_task_that_cannot_be_read(broker: RedisBroker, raw: RawClient) -> None:
    """The error says so."""
    await plant(raw, "q", "bad", "archived", data=b"\xff", score=1)

    with pytest.raises(MessageDecodeError, match="1 bytes"):
        await broker.get_task("q", "bad")


@pytest.mark.parametrize("state", ["odd", "\xff"])
async def test_task_of_an_unknown_state(
    broker: RedisBroker, raw: RawClient, rules: Rules, state: str
) -> None:
    """A state that no version knows is as good as a message that cannot be read."""
    rules.allow(3, 7)
    await broker.enqueue([new("a")])
    await raw.execute_command("HSET", KEYS.task("a"), "state", state.encode("latin-1"))

    with pytest.raises(MessageDecodeError, match="state"):
        await broker.get_task("q", "a")


# --- A queue -------------------------------------------------------------------------------


async def test_queue_names(broker: RedisBroker) -> None:
    """All queues that ever held a task."""
    assert [] == await broker.queue_names()
    await broker.enqueue([new("a", queue=queue) for queue in ("q", "ü b", "low")])

    assert ["low", "q", "ü b"] == await broker.queue_names()


async def test_queue_stats(real_time: RedisBroker, raw: RawClient) -> None:
    """Each state is counted, and what was processed today and in all."""
    broker = real_time
    await broker.enqueue([new(str(n)) for n in range(5)])
    ended = await take(broker, 3)
    await broker.finish([complete(ended[0]), retry(ended[1]), archive(ended[2])])
    await take_one(broker)
    await broker.enqueue([new("s", after=60)])
    await broker.enqueue([new("g1", group_key="g"), new("g2", group_key="h")])
    await raw.execute_command("SET", KEYS.paused, 1)
    await raw.execute_command("SET", KEYS.processed, 1_000)
    stats = await broker.queue_stats("q")

    assert (1, 1, 1, 1, 1, 1, 2) == (
        stats.pending,
        stats.active,
        stats.scheduled,
        stats.retry,
        stats.archived,
        stats.completed,
        stats.aggregating,
    )
    assert (2, 7, True) == (stats.groups, stats.size, stats.paused)
    assert (3, 2, 1_000, 2) == (
        stats.processed,
        stats.failed,
        stats.processed_total,
        stats.failed_total,
    )


async def test_stats_of_an_empty_queue(broker: RedisBroker) -> None:
    """Nothing is counted of a queue that is not there."""
    stats = await broker.queue_stats("q")

    assert (0, 0, 0.0, False) == (stats.size, stats.processed_total, stats.latency, stats.paused)


async def test_latency(real_time: RedisBroker, raw: RawClient) -> None:
    """It is the age of the task that is next."""
    await real_time.enqueue([new("a"), new("b")])
    since = (await redis_time(raw) - 100) * 1e9
    await raw.execute_command("HSET", KEYS.task("a"), "pending_since", int(since))

    assert 100 <= (await real_time.queue_stats("q")).latency < 160


@pytest.mark.parametrize("junk", ["", "soon", "-5", "1e3"])
async def test_numbers_that_are_none(
    broker: RedisBroker, raw: RawClient, rules: Rules, time: Time, junk: str
) -> None:
    """A broken count or time reads as none; the rest is told all the same."""
    rules.allow(21)
    await broker.enqueue([new("a")])
    await raw.execute_command("HSET", KEYS.task("a"), "pending_since", junk)
    await raw.execute_command("SET", KEYS.processed, junk)
    stats = await broker.queue_stats("q")

    assert stats.pending == 1
    assert stats.processed_total in {0, -5}
    assert time.now > 0
