"""dequeue and taken_by: what a worker gets, and what it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headrace._broker.redis import RedisBroker
from headrace._errors import BrokerError
from tests.broker.helpers import KEYS, LEASE, Rules, Time, done, new, requeue, take, take_one
from tests.support.wire import dump, encode, field, members, plant, raw_client

if TYPE_CHECKING:
    from headrace._broker.values import Attempt
    from tests.support.wire import RawClient


def ids(attempts: list[Attempt]) -> list[str]:
    """Return the tasks' IDs."""
    return [attempt.message.id for attempt in attempts]


async def test_dequeue(broker: RedisBroker, raw: RawClient, time: Time) -> None:
    """The task is active, with a lease and the attempt's token; its message is returned."""
    placement = new("a", payload=b"x", headers={"k": "v"})
    await broker.enqueue([placement])
    got = await broker.dequeue({"q": 1}, token="mine", lease_duration=LEASE)

    [attempt] = got.attempts
    assert placement.message == attempt.message
    assert ("q", "a", "mine") == (
        attempt.lease.queue,
        attempt.lease.task_id,
        attempt.lease.token,
    )
    assert got.now == time.now
    assert (got.exhausted, got.paused) == (frozenset(), frozenset())
    assert [] == await members(raw, KEYS.pending)
    assert ["a"] == await members(raw, KEYS.active)
    assert await raw.execute_command("ZSCORE", KEYS.lease, "a") == 1_700_000_016
    assert await field(raw, "q", "a", "state") == "active"
    assert await field(raw, "q", "a", "hr:attempt") == "mine"


async def test_dequeue_takes_redis_time(real_time: RedisBroker, raw: RawClient) -> None:
    """Without an override, the lease runs by the clock of Redis."""
    await real_time.enqueue([new("a")])
    got = await real_time.dequeue({"q": 1}, token="t", lease_duration=LEASE)
    score = await raw.execute_command("ZSCORE", KEYS.lease, "a")

    assert isinstance(score, float)
    assert got.now + LEASE <= score < got.now + LEASE + 1


async def test_dequeue_from_an_empty_queue(broker: RedisBroker, raw: RawClient) -> None:
    """It brings nothing, writes nothing, and says that there is no more."""
    got = await broker.dequeue({"q": 5, "low": 1}, token="t", lease_duration=LEASE)

    assert [] == got.attempts
    assert {"q", "low"} == got.exhausted
    assert await dump(raw) == {}


@pytest.mark.parametrize("quotas", [{}, {"q": 0}])
async def test_dequeue_of_nothing(broker: RedisBroker, quotas: dict[str, int]) -> None:
    """Who asks for nothing gets nothing."""
    await broker.enqueue([new("a")])

    assert not (await broker.dequeue(quotas, token="t", lease_duration=LEASE)).attempts


async def test_quotas(broker: RedisBroker) -> None:
    """Each queue gives at most its quota, in the quotas' order; who had less is named."""
    await broker.enqueue([new(f"q{n}") for n in range(3)])
    await broker.enqueue([new(f"low{n}", queue="low") for n in range(3)])
    got = await broker.dequeue({"low": 2, "q": 4}, token="t", lease_duration=LEASE)

    assert ["low0", "low1", "q0", "q1", "q2"] == ids(list(got.attempts))
    assert {"q"} == got.exhausted


async def test_quota_beyond_one_call(bare: RedisBroker) -> None:
    """250 tasks come in one dequeue, in their order, though a call takes 100."""
    expected = [f"{n:03}" for n in range(300)]
    await bare.enqueue([new(task_id) for task_id in expected])
    got = await bare.dequeue({"q": 250}, token="t", lease_duration=LEASE)

    assert expected[:250] == ids(list(got.attempts))
    assert frozenset() == got.exhausted


async def test_paused_queue_gives_nothing(broker: RedisBroker, raw: RawClient) -> None:
    """A paused queue is named as such, and as having had less; others go on."""
    await broker.enqueue([new("a"), new("b", queue="low")])
    await raw.execute_command("SET", KEYS.paused, 1_700_000_000)
    got = await broker.dequeue({"q": 1, "low": 1}, token="t", lease_duration=LEASE)

    assert ["b"] == ids(list(got.attempts))
    assert {"q"} == got.exhausted == got.paused


async def test_ghost_is_dropped(
    broker: RedisBroker, raw: RawClient, rules: Rules, caplog: pytest.LogCaptureFixture
) -> None:
    """An ID without a task is dropped and logged; the queue does not look empty for it."""
    rules.allow(1)
    await raw.execute_command("LPUSH", KEYS.pending, "ghost")
    await broker.enqueue([new("a")])
    got = await broker.dequeue({"q": 1}, token="t", lease_duration=LEASE)

    assert [] == got.attempts
    assert frozenset() == got.exhausted, "there may be more: it has to ask again"
    assert ["a"] == ids(await take(broker))
    assert await raw.execute_command("EXISTS", KEYS.task("ghost")) == 0
    assert "ghost" in caplog.text


async def test_id_twice_in_one_call(broker: RedisBroker, raw: RawClient, rules: Rules) -> None:
    """A second entry of the same task does not start it twice."""
    rules.allow(2)
    await broker.enqueue([new("a")])
    await raw.execute_command("LPUSH", KEYS.pending, "a")

    assert ["a"] == ids(await take(broker))
    assert [] == await members(raw, KEYS.pending)


async def test_entry_of_a_task_that_runs(broker: RedisBroker, raw: RawClient, rules: Rules) -> None:
    """A left-over entry of a task that runs already does not start it again."""
    rules.allow(1, 2)
    await broker.enqueue([new("a")])
    [attempt] = await take(broker, token="first")
    await raw.execute_command("LPUSH", KEYS.pending, "a")

    assert [] == await take(broker, token="second")
    assert ["a"] == await members(raw, KEYS.active)
    assert [1] == await broker.finish([done(attempt)])


# --- What cannot be read -------------------------------------------------------------------

FOREIGN = encode("another")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xff\xff",
        encode("bad")[:-1],
        FOREIGN,
        encode("bad", queue="other"),
        encode("bad", type=""),
        b"\x0a\x02\xff\xfe",
        b"\xff" * 1_000_000,
    ],
    ids=["empty", "random", "truncated", "id", "queue", "type", "utf8", "large"],
)
async def test_undecodable_is_quarantined(
    broker: RedisBroker,
    raw: RawClient,
    data: bytes,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is archived with its bytes as they were, and why; the others run."""
    await broker.enqueue([new("a")])
    await plant(raw, "q", "bad", data=data)
    await broker.enqueue([new("b")])

    assert ["a", "b"] == ids(await take(broker))
    assert ["bad"] == await members(raw, KEYS.archived)
    assert await raw.execute_command("HGET", KEYS.task("bad"), "msg") == data
    assert await field(raw, "q", "bad", "state") == "archived"
    assert await field(raw, "q", "bad", "hr:error")
    assert "bad" in caplog.text


async def test_quarantine_frees_the_lock(broker: RedisBroker, raw: RawClient) -> None:
    """A task that cannot be read gives up its lock like every other that ends."""
    lock = KEYS.unique("t", None)
    await plant(raw, "q", "bad", data=b"\xff", fields={"unique_key": lock})
    await raw.execute_command("SET", lock, "bad", "EX", 60)
    await take(broker)

    assert await raw.execute_command("EXISTS", lock) == 0


@pytest.mark.parametrize("task_id", [b"\xff\xfe", b"\xed\xa0\x80", b"a\x00b"])
async def test_id_that_is_not_text(broker: RedisBroker, raw: RawClient, task_id: bytes) -> None:
    """An ID of any bytes stops nobody; its task is archived, as no message can name it."""
    await plant(raw, "q", task_id, data=encode("a"))
    await broker.enqueue([new("b")])

    assert ["b"] == ids(await take(broker))
    assert await raw.execute_command("ZSCORE", KEYS.archived, task_id) is not None
    key = KEYS.task_prefix.encode() + task_id
    assert await raw.execute_command("HGET", key, "msg") == encode("a")


async def test_failing_quarantine_costs_the_others_nothing(
    bare: RedisBroker, raw: RawClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If Redis fails just then, the readable tasks run; the other waits for its lease's end."""
    await bare.enqueue([new("a")])
    await plant(raw, "q", "bad", data=b"\xff")

    async def refuse(*_args: object, **_kwargs: object) -> bool:
        raise BrokerError("no", code="OOM")

    monkeypatch.setattr(bare, "annotate", refuse)
    monkeypatch.setattr(bare, "finish", refuse)

    assert ["a"] == ids(await take(bare))


async def test_hash_of_another_type(broker: RedisBroker, raw: RawClient, rules: Rules) -> None:
    """An ID whose hash is something else is dropped; that something is left alone."""
    rules.allow(1, 6, 24)
    await raw.execute_command("SET", KEYS.task("bad"), "x")
    await raw.execute_command("LPUSH", KEYS.pending, "bad")
    await broker.enqueue([new("a")])

    assert ["a"] == ids(await take(broker))
    assert await raw.execute_command("GET", KEYS.task("bad")) == b"x"


async def test_one_broken_queue_does_not_stop_the_others(
    broker: RedisBroker, raw: RawClient, rules: Rules
) -> None:
    """Tasks of other queues are taken, and returned, all the same."""
    rules.allow(6)
    await broker.enqueue([new("a", queue="low")])
    await raw.execute_command("SET", KEYS.pending, "x")
    got = await broker.dequeue({"q": 1, "low": 1}, token="t", lease_duration=LEASE)

    assert ["a"] == ids(list(got.attempts))
    with pytest.raises(BrokerError, match="WRONGTYPE"):
        await broker.dequeue({"q": 1}, token="t", lease_duration=LEASE)


# --- A lost answer -------------------------------------------------------------------------


async def test_taken_by(broker: RedisBroker, time: Time) -> None:
    """What a dequeue took is found by its token, and nothing else is."""
    await broker.enqueue([new("a"), new("b"), new("c"), new("d", queue="low")])
    await take_one(broker, token="theirs")
    lost = await take(broker, 1, token="mine")
    lost += await take(broker, 1, queue="low", token="mine")
    time.advance(1)
    found = await broker.taken_by(["q", "low"], token="mine")

    assert lost == found.attempts
    assert time.now == found.now


async def test_taken_by_finds_nothing_that_has_ended(broker: RedisBroker) -> None:
    """A task that was finished, or given back, is not taken."""
    await broker.enqueue([new("a"), new("b")])
    first, second = await take(broker, token="mine")
    await broker.finish([done(first), requeue(second)])

    assert [] == (await broker.taken_by(["q"], token="mine")).attempts


async def test_taken_by_in_a_long_list(bare: RedisBroker) -> None:
    """It is found wherever it stands, and each once."""
    await bare.enqueue([new(f"{n:03}") for n in range(230)])
    await take(bare, 100, token="before")
    await take(bare, 110, token="mine")
    await take(bare, 20, token="after")
    found = await bare.taken_by(["q"], token="mine")

    assert [f"{n:03}" for n in range(100, 210)] == sorted(ids(list(found.attempts)))


async def test_leases_of_many_tasks_are_a_tree(redis_url: str) -> None:
    """Redis need not walk through all leases for each; nothing but leases is in it."""
    broker, raw = RedisBroker(redis_url), raw_client(redis_url)
    await broker.enqueue([new(f"{n}") for n in range(20)])
    await take(broker)

    assert b"skiplist" == await raw.execute_command("OBJECT", "ENCODING", KEYS.lease)
    assert {f"{n}" for n in range(20)} == set(await members(raw, KEYS.lease))
    await broker.close()
    await raw.aclose()
