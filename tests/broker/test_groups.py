"""Groups: from waiting tasks to a set to one aggregated task, or back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import pytest

from headrace._broker.values import AggregationSet, GroupLimits, Placed
from headrace._errors import BrokerError, DuplicateTaskError, TaskIdConflictError
from headrace._task import TaskState
from tests.broker.helpers import KEYS, Options, Rules, Time, new, take
from tests.support.wire import dump, encode, field, members, message_of, plant

if TYPE_CHECKING:
    from headrace._broker.redis import RedisBroker
    from tests.support.wire import RawClient

AT_ONCE = GroupLimits(grace_period=1, max_delay=0, max_size=1)
PATIENT = GroupLimits(grace_period=60, max_delay=0, max_size=0)


async def fill(
    broker: RedisBroker, *ids: str, group: str = "g", **options: Unpack[Options]
) -> None:
    """Add tasks to a group."""
    options["group_key"] = group
    await broker.enqueue([new(task_id, **options) for task_id in ids])


async def take_set(
    broker: RedisBroker, set_id: str = "s", group: str = "g", size: int = 0
) -> AggregationSet:
    """Take a ripe group's tasks, *size* of them or all."""
    limits = GroupLimits(grace_period=1e-6, max_delay=0, max_size=size)
    taken = await broker.check_group("q", group, set_id, limits)
    assert taken is not None
    return taken


# --- When a group is ripe ------------------------------------------------------------------


async def test_groups(broker: RedisBroker) -> None:
    """The names of the groups that hold tasks, of that queue only."""
    await fill(broker, "a", group="x:1")
    await fill(broker, "b", group="ü")
    await fill(broker, "c", group="other", queue="low")

    assert ["x:1", "ü"] == await broker.groups("q")


async def test_ripe_by_size(broker: RedisBroker, raw: RawClient) -> None:
    """At max_size the oldest so many are taken, and the others wait."""
    limits = GroupLimits(grace_period=60, max_delay=0, max_size=2)
    await fill(broker, "a")
    assert await broker.check_group("q", "g", "s1", limits) is None
    await fill(broker, "b", "c")
    taken = await broker.check_group("q", "g", "s2", limits)

    assert taken is not None
    assert ("q", "g", "s2") == (taken.queue, taken.group, taken.set_id)
    assert ["a", "b"] == [message.id for message in taken.messages]
    assert ["c"] == await members(raw, KEYS.group("g"))
    assert ["g"] == await members(raw, KEYS.groups)
    assert ["a", "b"] == await members(raw, KEYS.aggregation_set("g", "s2"))
    assert await field(raw, "q", "a", "state") == "aggregating"


async def test_ripe_by_grace_period(broker: RedisBroker, raw: RawClient, time: Time) -> None:
    """A group is taken once nothing was added for a while; then its name goes."""
    await fill(broker, "a")
    time.advance(59)
    await fill(broker, "b")
    time.advance(59)
    assert await broker.check_group("q", "g", "s1", PATIENT) is None
    time.advance(1)
    taken = await broker.check_group("q", "g", "s2", PATIENT)

    assert taken is not None
    assert ["a", "b"] == [message.id for message in taken.messages]
    assert await raw.execute_command("EXISTS", KEYS.groups, KEYS.group("g")) == 0


async def test_ripe_by_max_delay(broker: RedisBroker, time: Time) -> None:
    """A group that gets new tasks all the time is taken when its oldest has waited enough."""
    limits = GroupLimits(grace_period=60, max_delay=100, max_size=0)
    for n in range(10):
        await fill(broker, str(n))
        assert await broker.check_group("q", "g", f"s{n}", limits) is None
        time.advance(10)
    taken = await broker.check_group("q", "g", "last", limits)

    assert taken is not None
    assert len(taken.messages) == 10


async def test_set_has_a_deadline(broker: RedisBroker, raw: RawClient) -> None:
    """It is registered with the second at which its tasks go back."""
    await fill(broker, "a")
    taken = await take_set(broker)

    assert taken.deadline == 1_700_000_120
    score = await raw.execute_command(
        "ZSCORE", KEYS.aggregation_sets, KEYS.aggregation_set("g", "s")
    )
    assert score == taken.deadline


async def test_set_holds_1000_at_the_most(bare: RedisBroker, raw: RawClient) -> None:
    """A group that has grown large is taken in pieces."""
    ids = [f"{n:04}" for n in range(1_050)]
    await bare.enqueue([new(task_id, group_key="g") for task_id in ids])
    first = await take_set(bare, "s1")

    assert ids[:1_000] == [message.id for message in first.messages]
    assert ["g"] == await members(raw, KEYS.groups)
    assert len((await take_set(bare, "s2", size=2_000)).messages) == 50
    assert await raw.execute_command("EXISTS", KEYS.groups) == 0


async def test_group_that_is_gone(broker: RedisBroker, raw: RawClient) -> None:
    """An empty group is not ripe, and its name does not stay."""
    await raw.execute_command("SADD", KEYS.groups, "g")

    assert await broker.check_group("q", "g", "s", AT_ONCE) is None
    assert [] == await broker.groups("q")
    assert await dump(raw) == {}


async def test_set_id_is_not_used_twice(broker: RedisBroker, raw: RawClient) -> None:
    """A check that is repeated must not write over the set that it made."""
    await fill(broker, "a")
    await take_set(broker)
    await fill(broker, "b")

    assert await broker.check_group("q", "g", "s", AT_ONCE) is None
    assert ["a"] == await members(raw, KEYS.aggregation_set("g", "s"))
    assert ["b"] == await members(raw, KEYS.group("g"))


# --- What cannot be aggregated -------------------------------------------------------------


async def test_undecodable_member(broker: RedisBroker, raw: RawClient) -> None:
    """It is archived with its bytes kept and its lock free; the others are aggregated."""
    lock = KEYS.unique("t", None)
    await fill(broker, "a")
    await plant(
        raw,
        "q",
        "bad",
        "aggregating",
        group="g",
        data=b"\xff",
        score=1,
        fields={"unique_key": lock},
    )
    await raw.execute_command("SET", lock, "bad", "EX", 60)
    taken = await take_set(broker)

    assert ["a"] == [message.id for message in taken.messages]
    assert ["a"] == await members(raw, KEYS.aggregation_set("g", "s"))
    assert ["bad"] == await members(raw, KEYS.archived)
    assert await raw.execute_command("HGET", KEYS.task("bad"), "msg") == b"\xff"
    assert await raw.execute_command("EXISTS", lock) == 0


@pytest.mark.parametrize(
    "data", [encode("another"), encode("bad", queue="low")], ids=["id", "queue"]
)
async def test_member_of_another_name(broker: RedisBroker, raw: RawClient, data: bytes) -> None:
    """A message of another task, or queue, is archived too."""
    await plant(raw, "q", "bad", "aggregating", group="g", data=data, score=1)
    taken = await take_set(broker)

    assert not taken.messages
    assert ["bad"] == await members(raw, KEYS.archived)


async def test_only_undecodable_members(broker: RedisBroker, raw: RawClient) -> None:
    """A set that nothing is left of does not stay registered."""
    await plant(raw, "q", "bad", "aggregating", group="g", data=b"\xff", score=1)
    taken = await take_set(broker)

    assert not taken.messages
    assert await raw.execute_command("EXISTS", KEYS.aggregation_sets) == 0


async def test_ghost_member(broker: RedisBroker, raw: RawClient, rules: Rules) -> None:
    """An ID without a task is dropped."""
    rules.allow(1)
    await fill(broker, "a")
    await raw.execute_command("ZADD", KEYS.group("g"), 1, "ghost")
    taken = await take_set(broker)

    assert ["a"] == [message.id for message in taken.messages]
    assert ["a"] == await members(raw, KEYS.aggregation_set("g", "s"))


async def test_member_that_is_not_text(broker: RedisBroker, raw: RawClient) -> None:
    """An ID of any bytes, in a group whose name is any bytes, stops nobody."""
    await plant(raw, "q", b"\xff", "aggregating", group="g", data=encode("b"), score=1)
    await raw.execute_command("ZADD", KEYS.prefix.encode() + b"g:\xfe", 1, "a")
    await raw.execute_command("SADD", KEYS.groups, b"\xfe")
    for group in await broker.groups("q"):
        assert not (await take_set(broker, f"s{len(group)}", group)).messages


# --- Aggregate -----------------------------------------------------------------------------


async def test_aggregate(broker: RedisBroker, raw: RawClient) -> None:
    """The new task is there, the set and its tasks are gone, and their locks are free."""
    await fill(broker, "a", unique=60)
    await fill(broker, "b")
    taken = await take_set(broker)
    answer = await broker.aggregate(taken, new("sum", payload=b"x", unique=60))

    assert Placed(TaskState.PENDING, 0.0) == answer
    assert ["sum"] == await members(raw, KEYS.pending)
    assert (await message_of(raw, "q", "sum")).payload == b"x"
    gone = (KEYS.task("a"), KEYS.task("b"), KEYS.aggregation_sets, KEYS.unique("t", None))
    assert await raw.execute_command("EXISTS", *gone, KEYS.aggregation_set("g", "s")) == 0
    assert await raw.execute_command("GET", KEYS.unique("t", b"x")) == b"sum"
    assert ["sum"] == [attempt.message.id for attempt in await take(broker)]


@pytest.mark.parametrize("options", [{"at": 1_700_000_009.5}, {"after": 9.5}], ids=str)
async def test_aggregate_into_the_future(
    broker: RedisBroker, raw: RawClient, options: Options
) -> None:
    """The aggregated task may have a time of its own."""
    await fill(broker, "a")
    answer = await broker.aggregate(await take_set(broker), new("sum", **options))

    assert Placed(TaskState.SCHEDULED, 1_700_000_010.0) == answer
    assert ["sum"] == await members(raw, KEYS.scheduled)
    assert await raw.execute_command("EXISTS", KEYS.task("a")) == 0


async def test_aggregate_under_the_lock_of_a_member(broker: RedisBroker, raw: RawClient) -> None:
    """The aggregated task may be what one of the tasks kept others from being."""
    await fill(broker, "a", unique=60)
    answer = await broker.aggregate(await take_set(broker), new("sum", unique=60))

    assert Placed(TaskState.PENDING, 0.0) == answer
    assert await raw.execute_command("GET", KEYS.unique("t", None)) == b"sum"


async def test_aggregate_many(bare: RedisBroker, raw: RawClient) -> None:
    """A set of 1,000 goes in one step."""
    await bare.enqueue([new(f"{n:04}", group_key="g") for n in range(1_000)])
    await bare.aggregate(await take_set(bare), new("sum"))

    assert {KEYS.task("sum"), KEYS.pending} == set(await dump(raw))


async def test_repeat_of_an_aggregation(broker: RedisBroker, raw: RawClient) -> None:
    """If only the answer was lost, the repetition answers alike and writes nothing."""
    await fill(broker, "a")
    taken = await take_set(broker)
    first = await broker.aggregate(taken, new("sum"))
    written = await dump(raw)

    assert first == await broker.aggregate(taken, new("sum"), repeat=True)
    assert await dump(raw) == written


async def test_repeat_of_an_aggregation_that_was_lost(broker: RedisBroker) -> None:
    """If the call itself was lost, the repetition does it."""
    await fill(broker, "a")
    answer = await broker.aggregate(await take_set(broker), new("sum"), repeat=True)

    assert Placed(TaskState.PENDING, 0.0) == answer


async def test_aggregate_conflicts(broker: RedisBroker, raw: RawClient) -> None:
    """An ID or a lock that is taken is refused, and the set stays as it is."""
    await fill(broker, "a")
    await broker.enqueue([new("taken", payload=b"x", unique=60)])
    taken = await take_set(broker)
    written = await dump(raw)

    assert isinstance(await broker.aggregate(taken, new("taken")), TaskIdConflictError)
    duplicate = new("sum", payload=b"x", unique=60)
    assert isinstance(await broker.aggregate(taken, duplicate), DuplicateTaskError)
    assert await dump(raw) == written


async def test_overdue_aggregation(broker: RedisBroker, raw: RawClient, time: Time) -> None:
    """After the deadline its tasks may be elsewhere: it is refused, reclaimed or not."""
    await fill(broker, "a", "b")
    taken = await take_set(broker)
    time.advance(120)
    for _ in range(2):
        written = await dump(raw)
        answer = await broker.aggregate(taken, new("sum"))
        assert isinstance(answer, BrokerError)
        assert (answer.code, answer.ambiguous) == ("OVERDUE", False)
        assert await dump(raw) == written
        await broker.reclaim("q")


async def test_aggregation_while_its_set_is_being_reclaimed(
    bare: RedisBroker, raw: RawClient, time: Time
) -> None:
    """A large set goes back in pieces: it must not be aggregated with a part of it gone."""
    await bare.enqueue([new(f"{n:03}", group_key="g") for n in range(150)])
    taken = await take_set(bare)
    time.advance(120)
    assert await bare.reclaim("q") == 100
    answer = await bare.aggregate(taken, new("sum"))

    assert isinstance(answer, BrokerError)
    assert await raw.execute_command("EXISTS", KEYS.task("sum")) == 0


# --- Reclaim -------------------------------------------------------------------------------


@pytest.mark.parametrize("group", ["g", "g:h", "ü", ":", "a:s"])
async def test_reclaim(broker: RedisBroker, raw: RawClient, time: Time, group: str) -> None:
    """After its deadline a set's tasks are back, in their order, and the group's name too."""
    await fill(broker, "a", group=group)
    time.advance(1)
    await fill(broker, "b", group=group)
    await take_set(broker, group=group)
    time.advance(119)
    assert await broker.reclaim("q") == 0
    time.advance(1)

    assert await broker.reclaim("q") == 2
    assert [group] == await broker.groups("q")
    assert ["a", "b"] == await members(raw, KEYS.group(group))
    assert await raw.execute_command("ZSCORE", KEYS.group(group), "b") == 1_700_000_001
    assert await raw.execute_command("EXISTS", KEYS.aggregation_sets) == 0
    assert len((await take_set(broker, "again", group)).messages) == 2


async def test_reclaim_in_pieces(bare: RedisBroker, raw: RawClient, time: Time) -> None:
    """Redis is held up for 100 tasks at the most."""
    await bare.enqueue([new(f"{n:03}", group_key="g") for n in range(250)])
    await take_set(bare)
    time.advance(120)

    assert [100, 100, 50, 0] == [await bare.reclaim("q") for _ in range(4)]
    assert len(await members(raw, KEYS.group("g"))) == 250
    assert await raw.execute_command("EXISTS", KEYS.aggregation_sets) == 0


async def test_reclaim_many_sets(bare: RedisBroker, time: Time) -> None:
    """However many sets there are, all go back."""
    for n in range(25):
        await fill(bare, str(n), group=f"g{n}")
        await take_set(bare, f"s{n}", f"g{n}")
    time.advance(120)

    total = 0
    while moved := await bare.reclaim("q"):
        total += moved
    assert total == 25
    assert len(await bare.groups("q")) == 25


async def test_reclaim_set_that_is_gone(
    broker: RedisBroker, raw: RawClient, rules: Rules, time: Time
) -> None:
    """An entry without a set is dropped, and makes no empty group."""
    rules.allow(19)
    await raw.execute_command("ZADD", KEYS.aggregation_sets, 1, KEYS.aggregation_set("g", "s"))
    await fill(broker, "a", group="h")
    await take_set(broker, "t", "h")
    time.advance(200)

    assert await broker.reclaim("q") == 1
    assert ["h"] == await broker.groups("q")
