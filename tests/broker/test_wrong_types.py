"""Every key holding something else: an error that changes nothing, or a step that is whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import pytest

from headrace._broker.keys import QUEUES
from headrace._broker.values import AggregationSet, GroupLimits
from headrace._errors import BrokerError, HeadraceError
from tests.broker.helpers import (
    KEYS,
    LEASE,
    Options,
    Time,
    archive,
    complete,
    done,
    new,
    requeue,
    retry,
    take_one,
)
from tests.support.invariants import check, snapshot_of
from tests.support.wire import plant, read_keys

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from headrace._broker.redis import RedisBroker
    from headrace._broker.values import Attempt, Finish
    from tests.support.wire import Key, RawClient

    Step = Callable[[], Awaitable[object]]
    Scenario = Callable[[RedisBroker, RawClient, Time], Awaitable[Step]]

LOCK = KEYS.unique("t", None)
SET = KEYS.aggregation_set("g", "s")
DAY = "2023-11-14"
KEY_TYPES = {
    QUEUES: "set",
    KEYS.pending: "list",
    KEYS.active: "list",
    KEYS.lease: "zset",
    KEYS.scheduled: "zset",
    KEYS.retry: "zset",
    KEYS.archived: "zset",
    KEYS.completed: "zset",
    KEYS.groups: "set",
    KEYS.group("g"): "zset",
    KEYS.aggregation_sets: "zset",
    SET: "zset",
    KEYS.processed: "string",
    KEYS.failed: "string",
    f"{KEYS.processed}:{DAY}": "string",
    f"{KEYS.failed}:{DAY}": "string",
    LOCK: "string",
    KEYS.task("a"): "hash",
    KEYS.task("b"): "hash",
}
MAKERS: dict[str, tuple[str | int, ...]] = {
    "string": ("SET", "x"),
    "list": ("RPUSH", "x"),
    "set": ("SADD", "x"),
    "zset": ("ZADD", 1, "x"),
    "hash": ("HSET", "x", "y"),
}


# --- Scenarios: everything is prepared, and the step to be taken is returned ---------------


def enqueues(**options: Unpack[Options]) -> Scenario:
    """Return a scenario in which a unique task is enqueued."""

    async def prepare(broker: RedisBroker, _raw: RawClient, _time: Time) -> Step:
        await broker.enqueue([new("other"), new("a", queue="low")])
        unique: Options = {**options, "unique": 60}
        placements = [new("a", **unique), new("b", **options)]
        return lambda: broker.enqueue(placements)

    return prepare


def ends(end: Callable[[Attempt], Finish]) -> Scenario:
    """Return a scenario in which an attempt ends."""

    async def prepare(broker: RedisBroker, _raw: RawClient, _time: Time) -> Step:
        await broker.enqueue([new("a", unique=60), new("b")])
        finish = end(await take_one(broker))
        return lambda: broker.finish([finish])

    return prepare


async def dequeue(broker: RedisBroker, _raw: RawClient, _time: Time) -> Step:
    """Take one task of two."""
    await broker.enqueue([new("a"), new("b")])
    return lambda: broker.dequeue({"q": 1}, token="t", lease_duration=LEASE)


async def extend(broker: RedisBroker, _raw: RawClient, time: Time) -> Step:
    """Extend a lease."""
    await broker.enqueue([new("a")])
    attempt = await take_one(broker)
    time.advance(5)
    return lambda: broker.extend([attempt.lease], LEASE)


async def annotate(broker: RedisBroker, _raw: RawClient, _time: Time) -> Step:
    """Write a result."""
    await broker.enqueue([new("a")])
    attempt = await take_one(broker)
    return lambda: broker.annotate(attempt.lease, "result", b"r")


async def cancel(broker: RedisBroker, _raw: RawClient, _time: Time) -> Step:
    """Ask for a cancellation."""
    await broker.enqueue([new("a")])
    await take_one(broker)
    return lambda: broker.request_cancel("q", "a")


async def forward(broker: RedisBroker, _raw: RawClient, time: Time) -> Step:
    """Forward a task, one into its group."""
    await broker.enqueue([new("r")])
    await broker.finish([retry(await take_one(broker), delay=1)])
    await broker.enqueue([new("a", after=1), new("b", after=1, group_key="g")])
    time.advance(10)
    return lambda: broker.forward("q")


def recovers(max_crashes: int) -> Scenario:
    """Return a scenario in which a task is recovered."""

    async def prepare(broker: RedisBroker, _raw: RawClient, time: Time) -> Step:
        await broker.enqueue([new("a", unique=60)])
        await take_one(broker)
        time.advance(20)
        return lambda: broker.recover("q", max_crashes=max_crashes)

    return prepare


async def expire(broker: RedisBroker, _raw: RawClient, time: Time) -> Step:
    """Delete a completed task."""
    await broker.enqueue([new("a")])
    await broker.finish([complete(await take_one(broker), retention=1)])
    time.advance(10)
    return lambda: broker.expire_completed("q", 100)


async def trim(broker: RedisBroker, raw: RawClient, _time: Time) -> Step:
    """Delete an archived task."""
    await plant(raw, "q", "a", "archived", score=1, fields={"unique_key": LOCK})
    return lambda: broker.trim_archive("q", 100)


async def check_group(broker: RedisBroker, _raw: RawClient, time: Time) -> Step:
    """Take a group's tasks."""
    await broker.enqueue([new("a", group_key="g", unique=60)])
    time.advance(60)
    limits = GroupLimits(grace_period=10, max_delay=0, max_size=0)
    return lambda: broker.check_group("q", "g", "s", limits)


async def check_bad_group(broker: RedisBroker, raw: RawClient, time: Time) -> Step:
    """The same, and one of them cannot be read."""
    step = await check_group(broker, raw, time)
    await plant(raw, "q", "b", "aggregating", group="g", data=b"\xff", score=1)
    return step


async def taken_set(broker: RedisBroker) -> AggregationSet:
    """Have a set."""
    await broker.enqueue([new("a", group_key="g", unique=60), new("other", group_key="g")])
    limits = GroupLimits(grace_period=1, max_delay=0, max_size=1)
    taken = await broker.check_group("q", "g", "s", limits)
    assert taken is not None
    return taken


async def aggregate(broker: RedisBroker, _raw: RawClient, _time: Time) -> Step:
    """Aggregate a set."""
    taken = await taken_set(broker)
    return lambda: broker.aggregate(taken, new("b", payload=b"sum", unique=60))


async def reclaim(broker: RedisBroker, _raw: RawClient, time: Time) -> Step:
    """Put a set back."""
    await taken_set(broker)
    time.advance(200)
    return lambda: broker.reclaim("q")


TASK = (KEYS.task("a"),)
TASKS = (KEYS.task("a"), KEYS.task("b"))
RUNNING = (KEYS.active, KEYS.lease, *TASK)
PROCESSED = (KEYS.processed, f"{KEYS.processed}:{DAY}")
FAILED = (*PROCESSED, KEYS.failed, f"{KEYS.failed}:{DAY}")
GROUPED = (KEYS.groups, KEYS.group("g"))
SCHEDULED = (QUEUES, KEYS.scheduled, KEYS.pending, KEYS.groups, LOCK, *TASK)

SCENARIOS: dict[str, tuple[Scenario, tuple[str, ...]]] = {
    "enqueue": (enqueues(), (QUEUES, KEYS.pending, LOCK, *TASK)),
    "schedule": (enqueues(after=60.0), SCHEDULED),
    "schedule-due": (enqueues(after=0.0), SCHEDULED),
    "add-to-group": (enqueues(group_key="g"), (QUEUES, *GROUPED, LOCK, *TASK)),
    "dequeue": (dequeue, (KEYS.pending, *RUNNING)),
    "done": (ends(done), (*RUNNING, LOCK, *PROCESSED)),
    "complete": (ends(complete), (*RUNNING, LOCK, KEYS.completed, *PROCESSED)),
    "retry": (ends(retry), (*RUNNING, KEYS.retry, *FAILED)),
    "archive": (ends(archive), (*RUNNING, LOCK, KEYS.archived, *FAILED)),
    "requeue": (ends(requeue), (*RUNNING, KEYS.pending)),
    "extend": (extend, RUNNING),
    "annotate": (annotate, RUNNING),
    "cancel": (cancel, RUNNING),
    "forward": (forward, (KEYS.scheduled, KEYS.retry, KEYS.pending, *GROUPED, *TASKS)),
    "recover": (recovers(3), (*RUNNING, KEYS.pending, KEYS.archived)),
    "poison": (recovers(1), (*RUNNING, KEYS.pending, KEYS.archived, LOCK, *FAILED)),
    "expire": (expire, (KEYS.completed, *TASK)),
    "trim": (trim, (KEYS.archived, LOCK, *TASK)),
    "check-group": (check_group, (*GROUPED, KEYS.aggregation_sets, SET, *TASK)),
    "check-bad-group": (
        check_bad_group,
        (*GROUPED, KEYS.aggregation_sets, SET, KEYS.archived, *FAILED, *TASKS),
    ),
    "aggregate": (
        aggregate,
        (SET, KEYS.aggregation_sets, KEYS.pending, KEYS.scheduled, LOCK, *TASKS),
    ),
    "reclaim": (reclaim, (SET, KEYS.aggregation_sets, *GROUPED, *TASK)),
}
"""What is done, and the keys that have to do with it."""
TWO_STEPS = {"check-bad-group"}
"""Here the second may be refused after the first: the set is reclaimed in time."""


# --- The test ------------------------------------------------------------------------------


async def spoil(raw: RawClient, key: str, kind: str) -> None:
    """Have *key* hold something else."""
    command, *rest = MAKERS[kind]
    await raw.execute_command("DEL", key)
    await raw.execute_command(str(command), key, *rest)


async def take_step(step: Step) -> bool:
    """Take it; return whether it was refused."""
    try:
        answer = await step()
    except BrokerError as error:
        if error.code != "WRONGTYPE":
            raise
        return True
    answers = answer if isinstance(answer, list) else [answer]
    return all(isinstance(item, HeadraceError) for item in answers)


def essence(keys: dict[str, Key]) -> dict[str, Key]:
    """Return what a refusal must not have changed: all but a name that nobody minds."""
    return {name: key for name, key in keys.items() if name != QUEUES or key.type != "set"}


@pytest.mark.parametrize("name", SCENARIOS)
async def test_wrong_type(bare: RedisBroker, raw: RawClient, time: Time, name: str) -> None:
    """Whatever key holds whatever else: refused with nothing written, or done as a whole."""
    begin, (scenario, names) = time.now, SCENARIOS[name]
    for key in names:
        for kind in MAKERS.keys() - {KEY_TYPES[key]}:
            await raw.execute_command("FLUSHALL")
            time.now = begin
            step = await scenario(bare, raw, time)
            await spoil(raw, key, kind)
            before = await read_keys(raw)
            refused = await take_step(step)
            after = await read_keys(raw)
            if refused and name not in TWO_STEPS:
                assert essence(after) == essence(before), (key, kind)
            known, found = (
                set(check(snapshot_of(keys, "q", now=time.now))) for keys in (before, after)
            )
            expected = {6, 24, 1} if key.startswith(KEYS.task_prefix) else {6, 24}
            assert not {str(v) for v in found - known if v.number not in expected}, (key, kind)
