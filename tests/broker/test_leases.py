"""extend, annotate and request_cancel: what happens to a task while it runs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from headrace._broker.values import Extended
from headrace._errors import BrokerError
from tests.broker.helpers import KEYS, Rules, Time, done, lease_of, new, requeue, take, take_one
from tests.support.wire import dump, field, plant, take_as_go

if TYPE_CHECKING:
    from headrace._broker.redis import RedisBroker
    from tests.support.wire import RawClient

KEPT = Extended(frozenset(), frozenset())


async def lease_end(raw: RawClient, task_id: str = "a") -> object:
    """Return when a task's lease ends; None if it has none."""
    return await raw.execute_command("ZSCORE", KEYS.lease, task_id)


# --- Extend --------------------------------------------------------------------------------


async def test_extend(broker: RedisBroker, raw: RawClient, time: Time) -> None:
    """A lease runs from now again."""
    await broker.enqueue([new("a")])
    attempt = await take_one(broker)
    time.advance(5)

    assert KEPT == await broker.extend([attempt.lease], 15)
    assert await lease_end(raw) == 1_700_000_021


async def test_extend_never_moves_back(broker: RedisBroker, raw: RawClient) -> None:
    """A shorter extension leaves the longer one standing, and is no loss."""
    await broker.enqueue([new("a")])
    attempt = await take_one(broker)

    assert KEPT == await broker.extend([attempt.lease], 60)
    assert KEPT == await broker.extend([attempt.lease], 1)
    assert await lease_end(raw) == 1_700_000_061


async def test_extended_lease_still_is_the_attempts_own(broker: RedisBroker, time: Time) -> None:
    """An attempt ends its task after any number of extensions."""
    await broker.enqueue([new("a")])
    attempt = await take_one(broker)
    for _ in range(3):
        time.advance(14)
        assert KEPT == await broker.extend([attempt.lease], 15)
        assert [] == (await broker.recover("q", max_crashes=3)).requeued

    assert [1] == await broker.finish([done(attempt)])


async def test_extend_of_a_lost_lease(broker: RedisBroker, raw: RawClient, time: Time) -> None:
    """Who has lost its task learns it, and extends nobody else's lease."""
    await broker.enqueue([new("a"), new("b")])
    [a, b] = await take(broker)
    time.advance(16)
    await broker.extend([b.lease], 15)
    await broker.recover("q", max_crashes=3)
    await take_one(broker, token="heir")
    written = await dump(raw)

    extended = await broker.extend([a.lease, b.lease], 15)
    assert Extended(frozenset({a.lease}), frozenset()) == extended
    assert await dump(raw) == written


@pytest.mark.parametrize("how", ["done", "requeued", "recovered", "never"])
async def test_extend_of_what_does_not_run(
    broker: RedisBroker, raw: RawClient, time: Time, how: str
) -> None:
    """A task that is not active has no lease to extend, and gets none."""
    lease = lease_of("a")
    if how != "never":
        await broker.enqueue([new("a")])
        attempt = await take_one(broker)
        if how == "recovered":
            time.advance(16)
            await broker.recover("q", max_crashes=3)
        else:
            await broker.finish([done(attempt) if how == "done" else requeue(attempt)])
    written = await dump(raw)

    assert {lease} == (await broker.extend([lease], 15)).lost
    assert await dump(raw) == written


async def test_extend_adds_a_missing_lease(
    broker: RedisBroker, raw: RawClient, rules: Rules
) -> None:
    """If Redis lost the lease but not the task, the attempt has it again."""
    rules.allow(4)
    await broker.enqueue([new("a")])
    attempt = await take_one(broker)
    await raw.execute_command("DEL", KEYS.lease)

    assert KEPT == await broker.extend([attempt.lease], 15)
    assert await lease_end(raw) == 1_700_000_016


async def test_extend_of_a_task_that_go_took_over(
    broker: RedisBroker, raw: RawClient, rules: Rules, time: Time
) -> None:
    """A Go server's lease is lost for us, though the hash still names our attempt."""
    rules.allow(12)
    await broker.enqueue([new("a")])
    attempt = await take_one(broker)
    await raw.execute_command("LREM", KEYS.active, 0, "a")
    await raw.execute_command("ZREM", KEYS.lease, "a")
    await take_as_go(raw, "q", "a", int(time.now) + 30)

    assert {attempt.lease} == (await broker.extend([attempt.lease], 60)).lost
    assert await lease_end(raw) == int(time.now) + 30


async def test_extend_many(bare: RedisBroker, time: Time) -> None:
    """250 leases of two queues are extended in one go, and the lost ones told."""
    await bare.enqueue([new(str(n)) for n in range(240)])
    await bare.enqueue([new(str(n), queue="low") for n in range(10)])
    held = [a.lease for a in await take(bare, 240)] + [
        a.lease for a in await take(bare, queue="low")
    ]
    lost = [lease_of("x"), lease_of("y", queue="low")]
    time.advance(1)
    extended = await bare.extend([*held, *lost], 15)

    assert set(lost) == extended.lost


async def test_extend_nothing(broker: RedisBroker) -> None:
    """No leases, nothing lost."""
    assert KEPT == await broker.extend([], 15)


async def test_extend_goes_by_redis_time(real_time: RedisBroker, raw: RawClient) -> None:
    """Without an override, Redis's clock says when a lease ends."""
    await real_time.enqueue([new("a")])
    attempt = (await real_time.dequeue({"q": 1}, token="t", lease_duration=1)).attempts[0]
    got = await real_time.dequeue({"q": 1}, token="u", lease_duration=1)
    await real_time.extend([attempt.lease], 60)
    end = await lease_end(raw)

    assert isinstance(end, float)
    assert got.now + 60 <= end <= got.now + 62


# --- Annotate ------------------------------------------------------------------------------


async def test_annotate(broker: RedisBroker, raw: RawClient) -> None:
    """An attempt writes into its task's hash."""
    await broker.enqueue([new("a")])
    attempt = await take_one(broker)

    assert await broker.annotate(attempt.lease, "hr:progress", b"\x00half")
    assert await raw.execute_command("HGET", KEYS.task("a"), "hr:progress") == b"\x00half"


async def test_annotate_of_a_lost_task(broker: RedisBroker, raw: RawClient, time: Time) -> None:
    """One that lost its task writes nothing."""
    await broker.enqueue([new("a")])
    zombie = await take_one(broker)
    time.advance(16)
    await broker.recover("q", max_crashes=3)
    written = await dump(raw)

    assert not await broker.annotate(zombie.lease, "result", b"late")
    assert not await broker.annotate(lease_of("never"), "result", b"late")
    await take_one(broker, token="heir")
    assert not await broker.annotate(zombie.lease, "result", b"late")
    assert await field(raw, "q", "a", "result") is None
    assert set(written) <= set(await dump(raw)) | {KEYS.pending}


# --- Cancellation --------------------------------------------------------------------------


async def test_request_cancel(broker: RedisBroker, raw: RawClient) -> None:
    """The request waits in the hash for the next heartbeat of the attempt that runs."""
    await broker.enqueue([new("a")])
    attempt = await take_one(broker)

    assert await broker.request_cancel("q", "a")
    for _ in range(2):  # It stands until the attempt ends.
        extended = await broker.extend([attempt.lease], 15)
        assert Extended(frozenset(), frozenset({attempt.lease})) == extended
    assert await lease_end(raw) == 1_700_000_016


async def test_request_cancel_is_for_one_attempt(broker: RedisBroker) -> None:
    """A task that was given back before it saw the request is not cancelled in its next run."""
    await broker.enqueue([new("a")])
    first = await take_one(broker, token="first")
    await broker.request_cancel("q", "a")
    await broker.finish([requeue(first)])
    second = await take_one(broker, token="second")

    assert KEPT == await broker.extend([second.lease], 15)


@pytest.mark.parametrize("state", ["pending", "scheduled", "never"])
async def test_request_cancel_of_what_does_not_run(
    broker: RedisBroker, raw: RawClient, state: str
) -> None:
    """Nothing runs, nothing is asked."""
    if state != "never":
        await broker.enqueue([new("a", after=60) if state == "scheduled" else new("a")])
    written = await dump(raw)

    assert not await broker.request_cancel("q", "a")
    assert await dump(raw) == written


async def test_request_cancel_of_what_go_runs(broker: RedisBroker, raw: RawClient) -> None:
    """Go's workers hear it on the channel; the request is made all the same."""
    await plant(raw, "q", "a", "active", score=1_700_000_030)

    assert await broker.request_cancel("q", "a")


async def test_cancellations(real_time: RedisBroker) -> None:
    """Who listens gets the ID of the task, whether it runs or not."""
    ids = real_time.cancellations()
    waiting = asyncio.ensure_future(anext(ids))
    while not waiting.done():  # Until it listens, nobody hears.
        await real_time.request_cancel("q", "ä")
        await asyncio.wait([waiting], timeout=0.01)

    assert await waiting == "ä"
    await ids.aclose()  # type: ignore[attr-defined]  # An async generator.


async def test_cancellation_reaches_listeners_though_the_hash_cannot_be_written(
    real_time: RedisBroker, raw: RawClient
) -> None:
    """A message does not need the hash: it is sent even if that is broken."""
    await raw.execute_command("SET", KEYS.task("a"), "x")
    ids = real_time.cancellations()
    waiting = asyncio.ensure_future(anext(ids))
    while not waiting.done():
        with pytest.raises(BrokerError, match="WRONGTYPE"):
            await real_time.request_cancel("q", "a")
        await asyncio.wait([waiting], timeout=0.01)

    assert await waiting == "a"
    await ids.aclose()  # type: ignore[attr-defined]  # An async generator.
