"""The checker of the invariants finds each of them broken, and nothing where none is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from headrace._broker.keys import QUEUES, QueueKeys
from headrace._broker.redis import RedisBroker
from headrace._broker.values import GroupLimits
from tests.broker.helpers import (
    KEYS,
    LEASE,
    Time,
    archive,
    complete,
    done,
    new,
    retry,
    take,
    take_one,
)
from tests.support.invariants import STATEMENTS, check_queue, look
from tests.support.transitions import Watch, compare
from tests.support.wire import encode, plant, plant_dead, raw_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.invariants import Snapshot
    from tests.support.wire import RawClient

Command = tuple[str | bytes | float, ...]
NOW = 1_700_000_000.25
SET = KEYS.aggregation_set("g", "s")
TODAY = "asynq:{q}:processed:2023-11-14"


@pytest_asyncio.fixture
async def raw(memory_url: str) -> AsyncIterator[RawClient]:
    """A plain client."""
    client = raw_client(memory_url)
    yield client
    await client.aclose()


@pytest.fixture
def time() -> Time:
    """What the scripts take for Redis's time."""
    return Time()


@pytest_asyncio.fixture
async def broker(memory_url: str, time: Time) -> AsyncIterator[RedisBroker]:
    """A broker on the same Redis."""
    broker = RedisBroker(memory_url, now=time)
    yield broker
    await broker.close()


@pytest_asyncio.fixture
async def sound(broker: RedisBroker) -> RedisBroker:
    """A queue with a task in every state, in which everything is right.

    active: run. pending: pend, uniq (with a lock). scheduled: sched. retry: again.
    archived: dead. completed: comp. Group g: m1; set s of it: m0.
    """
    await broker.enqueue([new(name) for name in ("again", "dead", "comp", "run")])
    again, dead, comp = await take(broker, 3, token="x")
    await broker.finish([retry(again, delay=60), complete(comp), archive(dead)])
    await broker.enqueue([new("m0", group_key="g"), new("m1", group_key="g")])
    limits = GroupLimits(grace_period=1, max_delay=0, max_size=1)
    await broker.check_group("q", "g", "s", limits)
    await take_one(broker, token="run")
    await broker.enqueue([new("pend"), new("uniq", unique=600), new("sched", after=60)])
    return broker


def numbers(found: list[object]) -> set[int]:
    """Return the numbers of violations."""
    return {item.number for item in found}  # type: ignore[attr-defined]  # Violations.


async def test_sound_queue(sound: RedisBroker, raw: RawClient) -> None:
    """Where everything is right, nothing is found; an unknown queue is right, too."""
    assert await sound.get_task("q", "run") is not None
    assert await check_queue(raw, "q", now=NOW, cleaned=True) == []
    assert await check_queue(raw, "unknown") == []


TASK = KEYS.task
BROKEN: list[tuple[int, Command]] = [
    (1, ("DEL", TASK("pend"))),
    (1, ("DEL", TASK("m1"))),
    (1, ("LREM", KEYS.pending, 0, "pend")),
    (1, ("ZADD", KEYS.retry, 1, "pend")),
    (1, ("ZADD", KEYS.group("g"), 1, "m0")),
    (2, ("LPUSH", KEYS.pending, "pend")),
    (2, ("LPUSH", KEYS.active, "run")),
    (3, ("HSET", TASK("pend"), "state", "retry")),
    (3, ("HDEL", TASK("m0"), "state")),
    (4, ("ZREM", KEYS.lease, "run")),
    (4, ("ZADD", KEYS.lease, 1, "pend")),
    (5, ("HSET", TASK("pend"), "msg", b"\xff")),
    (5, ("HSET", TASK("pend"), "msg", encode("another"))),
    (5, ("HSET", TASK("pend"), "msg", encode("pend", "low"))),
    (5, ("HSET", TASK("pend"), "msg", encode("pend", retry=1, retried=2))),
    (5, ("HSET", TASK("pend"), "msg", encode("pend", retried=-1))),
    (6, ("SET", KEYS.completed, "x")),
    (6, ("SET", TASK("new"), "x")),
    (6, ("LPUSH", TODAY, "x")),
    (6, ("ZADD", KEYS.scheduled, 1.5, "sched")),
    (6, ("ZADD", KEYS.group("g"), 1.5, "m1")),
    (7, ("HSET", TASK("run"), "pending_since", 1)),
    (7, ("HDEL", TASK("pend"), "pending_since")),
    (8, ("SET", KEYS.unique("t", None), "gone", "EX", 9)),
    (8, ("SET", KEYS.unique("t", None), "comp", "EX", 9)),
    (8, ("SET", KEYS.unique("u", None), "uniq", "EX", 9)),
    (16, ("ZADD", KEYS.archived, int(NOW) - 90 * 86_400, "ghost")),
    (17, ("ZADD", KEYS.completed, int(NOW) - 1, "comp")),
    (18, ("SREM", KEYS.groups, "g")),
    (19, ("DEL", SET)),
    (22, ("SREM", QUEUES, "q")),
    (24, ("PERSIST", KEYS.unique("t", None))),
    (24, ("EXPIRE", TASK("pend"), 100)),
    (24, ("SET", "headrace:{q}:note", "x")),
    (24, ("SET", KEYS.prefix + "unheard-of", "x")),
    (24, ("SET", "asynq:{q}:processed:2023-11-15", 1)),
]


@pytest.mark.parametrize(
    ("number", "command"), BROKEN, ids=[f"{n}-{' '.join(map(str, c[:2]))}" for n, c in BROKEN]
)
async def test_what_is_broken_is_found(
    sound: RedisBroker, raw: RawClient, number: int, command: Command
) -> None:
    """Each invariant that one instant shows is missed when it does not hold."""
    assert await sound.get_task("q", "run") is not None
    if number == 6 and command[0] != "ZADD":
        await raw.execute_command("DEL", str(command[1]))
    await raw.execute_command(*command)

    assert number in numbers([*await check_queue(raw, "q", now=NOW, cleaned=True)])


async def test_unregistered_set_is_found(sound: RedisBroker, raw: RawClient) -> None:
    """A set that nobody would reclaim looks like a group that nobody would find."""
    assert await sound.groups("q") == ["g"]
    await raw.execute_command("DEL", KEYS.aggregation_sets)

    assert numbers([*await check_queue(raw, "q", now=NOW)]) == {18}


async def test_archive_that_is_too_large(raw: RawClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """One dead task more than may stay is one too many."""
    monkeypatch.setattr("tests.support.invariants.ARCHIVE_SIZE", 10)
    await plant_dead(raw, "q", 11, died_at=int(NOW))

    assert numbers([*await check_queue(raw, "q", now=NOW, cleaned=True)]) == {16}


def test_every_number_has_its_statement() -> None:
    """A violation says which sentence does not hold."""
    assert list(STATEMENTS) == list(range(1, 26))


# --- Over a step ---------------------------------------------------------------------------

RUNNING = frozenset({("run", "run")})
STEPS: list[tuple[int, float, list[Command]]] = [
    (5, 0, [("HSET", TASK("again"), "msg", encode("again", retry=5, retried=0))]),
    (11, 0, [("ZADD", KEYS.lease, 1_700_000_010, "run")]),
    (12, 0, [("DEL", TASK("run")), ("DEL", KEYS.active), ("DEL", KEYS.lease)]),
    (12, 0, [("HSET", TASK("run"), "hr:attempt", "thief")]),
    (13, 0, [("HSET", TASK("run"), "state", "pending", "hr:crashes", 1)]),
    (14, 0, [("ZREM", KEYS.scheduled, "sched"), ("LPUSH", KEYS.pending, "sched")]),
    (14, 50, [("ZREM", KEYS.retry, "again"), ("LPUSH", KEYS.pending, "again")]),
    (15, 0, [("HSET", TASK("run"), "msg", encode("run", retry=5, retried=2))]),
    (15, 0, [("HSET", TASK("run"), "hr:crashes", 2)]),
    (15, 0, [("HSET", TASK("again"), "msg", encode("again", retried=2), "hr:crashes", 1)]),
    (15, 0, [("HSET", TASK("run"), "msg", encode("run", retry=5, retried=1))]),
    (20, 0, [("ZREM", KEYS.aggregation_sets, SET), ("DEL", TASK("m0"))]),
    (21, 0, [("INCR", TODAY)]),
    (21, 0, [("ZADD", KEYS.archived, 1, "pend")]),
    (25, 0, [("DEL", TASK("pend")), ("LREM", KEYS.pending, 0, "pend")]),
]


async def step(
    raw: RawClient, commands: list[Command], seconds: float = 0
) -> tuple[Snapshot, Snapshot]:
    """Have somebody change something, and return the queue before and after."""
    before = await look(raw, "q", now=NOW)
    for command in commands:
        await raw.execute_command(*command)
    return before, await look(raw, "q", now=NOW + seconds)


@pytest.mark.parametrize(
    ("number", "seconds", "commands"),
    STEPS,
    ids=[f"{n}-{' '.join(map(str, c[0][:2]))}" for n, _, c in STEPS],
)
async def test_what_a_step_breaks_is_found(
    sound: RedisBroker, raw: RawClient, number: int, seconds: float, commands: list[Command]
) -> None:
    """Each invariant that only two instants show is missed, too."""
    assert await sound.get_task("q", "run") is not None
    before, after = await step(raw, commands, seconds)

    assert number in numbers([*compare(before, after)])


async def test_start_while_paused_is_found(sound: RedisBroker, raw: RawClient) -> None:
    """Nothing may start then."""
    await raw.execute_command("SET", KEYS.paused, 1)
    before = await look(raw, "q", now=NOW)
    await raw.execute_command("DEL", KEYS.paused)
    await take(sound)
    await raw.execute_command("SET", KEYS.paused, 1)

    assert 23 in numbers([*compare(before, await look(raw, "q", now=NOW))])


async def test_sound_steps(sound: RedisBroker, raw: RawClient, time: Time) -> None:
    """What a broker does breaks nothing: neither for its holder nor after its lease."""
    [pend, _] = await take(sound, token="t")
    before = await look(raw, "q", now=time.now)
    await sound.finish([done(pend)])
    after = await look(raw, "q", now=time.now)
    assert compare(before, after, by=frozenset({("pend", "t")})) == []
    assert numbers([*compare(before, after, by=frozenset({("pend", "other")}))]) == {12}

    time.advance(LEASE + 1)
    before = await look(raw, "q", now=time.now)
    await sound.recover("q", max_crashes=3)
    assert compare(before, await look(raw, "q", now=time.now)) == []


async def test_go_lease_is_protected_for_longer(
    sound: RedisBroker, raw: RawClient, time: Time
) -> None:
    """To take a task from a Go server within its 30 s is found."""
    await plant(raw, "q", "go", "active", score=int(time.now) - 29)
    assert await sound.get_task("q", "go") is not None
    before, after = await step(raw, [("HSET", TASK("go"), "state", "pending")])

    assert 12 in numbers([*compare(before, after)])


# --- The watch -----------------------------------------------------------------------------


class Careless(RedisBroker):
    """A broker with a bug in every method."""

    def __init__(self, target: str, raw: RawClient, time: Time) -> None:
        super().__init__(target, now=time)
        self.raw = raw

    async def expire_completed(self, queue: str, limit: int) -> int:
        """Delete a task that waits."""
        await self.raw.execute_command("DEL", KEYS.pending, TASK("pend"))
        return await super().expire_completed(queue, limit)

    async def trim_archive(self, queue: str, limit: int) -> int:
        """Write, then fail."""
        await self.raw.execute_command("DEL", KEYS.archived, TASK("dead"))
        await self.raw.execute_command("SET", KEYS.archived, "x")
        return await super().trim_archive(queue, limit)


async def test_watch_reports_each_call(
    sound: RedisBroker, memory_url: str, raw: RawClient, time: Time
) -> None:
    """Whatever a watched method breaks is kept, and what was broken before is not its fault."""
    assert sound.address
    careless = Careless(memory_url, raw, time)
    await raw.execute_command("ZADD", KEYS.lease, 1, "ghost")  # Broken already.
    watch = Watch(raw, ["q"], now=time)
    watch.guard(careless, ["expire_completed", "trim_archive", "forward", "enqueue"])
    await careless.forward("q")
    await careless.enqueue([new("pend")])
    assert watch.violations == []

    await careless.expire_completed("q", 1)
    assert 25 in numbers([*watch.violations])
    with pytest.raises(Exception, match="WRONGTYPE"):
        await careless.trim_archive("q", 1)
    assert 10 in numbers([*watch.violations])
    await careless.close()


async def test_watch_of_a_refused_enqueue(memory_url: str, raw: RawClient, time: Time) -> None:
    """A refusal that writes something is found."""

    class Leaky(RedisBroker):
        async def enqueue(self, *args: object, **kwargs: object) -> list[object]:  # type: ignore[override]
            await raw.execute_command("SET", QueueKeys("q").unique("t", None), "leak", "EX", 9)
            return await super().enqueue(*args, **kwargs)  # type: ignore[arg-type, return-value]

    broker = Leaky(memory_url, now=time)
    await plant(raw, "q", "a")
    watch = Watch(raw, ["q"], now=time)
    watch.guard(broker, ["enqueue"])
    await broker.enqueue([new("a", type="u")])
    await broker.close()

    assert {8, 9} == numbers([*watch.violations])
