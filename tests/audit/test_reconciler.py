"""The reconciler heals the queues of a server, at a gentle pace."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import anyio
import pytest
import pytest_asyncio

from headrace._broker.redis import RedisBroker
from headrace._errors import BrokerError
from headrace._log import RateLimitedLog
from headrace._worker.reconciler import Reconciler
from tests.audit.damage import DAMAGES, KEYS
from tests.support.invariants import check_queue
from tests.support.randomness import seeded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tests.audit.damage import Damage
    from tests.support.wire import RawClient

# The janitor sees to what is merely old.
OWN = [damage for damage in DAMAGES if not damage.rules & {16, 17}]


@pytest_asyncio.fixture
async def broker(broker_url: str) -> AsyncIterator[RedisBroker]:
    """The broker of a server."""
    broker = RedisBroker(broker_url)
    yield broker
    await broker.close()


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it go from step to step at once."""
    monkeypatch.setattr("headrace._worker.reconciler._PAUSE", 0.0)


def reconciler(broker: RedisBroker, *queues: str) -> Reconciler:
    """Return one that is not running."""
    return Reconciler(
        broker,
        queues=queues or ("q",),
        interval=60,
        lease_duration=15,
        max_crashes=3,
        log=RateLimitedLog(logging.getLogger("headrace.test")),
        rng=seeded(),
    )


@pytest.mark.parametrize("damage", OWN, ids=lambda damage: damage.name)
async def test_one_pass_heals(
    broker: RedisBroker, raw: RawClient, damage: Damage, caplog: pytest.LogCaptureFixture
) -> None:
    """After one pass the queue is sound; each repair is a warning in the log."""
    await damage.do(raw)

    repaired = await reconciler(broker).reconcile()

    assert [str(item) for item in await check_queue(raw, "q")] == []
    if damage.name != "unknown queue":  # It is needed before anything can be looked at.
        assert repaired > 0
        lines = [item for item in caplog.records if item.levelno == logging.WARNING]
        assert len(lines) == repaired
        assert damage.subject in lines[0].getMessage()


async def test_a_sound_queue_stays_as_it_is(broker: RedisBroker, raw: RawClient) -> None:
    """Nothing is repaired."""
    assert await reconciler(broker).reconcile() == 0
    assert [str(item) for item in await check_queue(raw, "q")] == []


async def test_one_replica_does_it(broker: RedisBroker, raw: RawClient) -> None:
    """While the claim of one stands, the others leave the queue alone."""
    assert await reconciler(broker).reconcile() == 0
    await raw.execute_command("DEL", KEYS.pending)

    assert await reconciler(broker).reconcile() == 0
    await raw.execute_command("DEL", "headrace:{q}:reconcile")
    assert await reconciler(broker).reconcile() == 1


async def test_a_queue_that_is_not_there_yet(broker: RedisBroker, raw: RawClient) -> None:
    """No key comes into being for it."""
    assert await reconciler(broker, "nothing").reconcile() == 0
    assert await raw.execute_command("KEYS", "headrace:{nothing}*") == []


async def test_a_pass_left_unfinished_is_gone_on_with(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the steps of one pass do not reach, the next passes do."""
    from tests.support.wire import encode, raw_client  # noqa: PLC0415

    monkeypatch.setattr("headrace._worker.reconciler._STEPS", 8)
    raw, broker = raw_client(redis_url), RedisBroker(redis_url)
    await raw.execute_command("SADD", "asynq:queues", "q")
    for n in range(900):
        fields = ("msg", encode(f"{n}"), "state", "pending", "pending_since", 1)
        await raw.execute_command("HSET", KEYS.task(f"{n}"), *fields)
    for _ in range(20):
        await reconciler(broker).reconcile()
        await raw.execute_command("DEL", "headrace:{q}:reconcile")

    assert await raw.execute_command("LLEN", KEYS.pending) == 900
    await broker.close()
    await raw.aclose()


async def test_it_survives_an_outage(
    broker: RedisBroker, raw: RawClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a pass that failed comes another."""
    passes = asyncio.Event()

    async def claim(queue: str, seconds: float) -> bool:
        if not tried:
            tried.append(queue)
            raise BrokerError("Redis did not answer")
        passes.set()
        return False

    tried: list[str] = []
    monkeypatch.setattr(broker, "claim_reconcile", claim)
    monkeypatch.setattr("headrace._worker._queues.jittered", lambda *_: 0.01)
    healing = reconciler(broker)
    healing._interval = 0.01
    async with anyio.create_task_group() as tasks:
        await tasks.start(healing.run)
        with anyio.fail_after(10):
            await passes.wait()
        tasks.cancel_scope.cancel()


async def test_an_idle_queue_costs_little(redis_url: str, broker_url: str) -> None:
    """A pass over a queue without tasks is some ten commands, in a minute."""
    from tests.support.wire import raw_client  # noqa: PLC0415

    raw, broker = raw_client(redis_url), RedisBroker(redis_url)
    await raw.execute_command("SADD", "asynq:queues", "q")
    await reconciler(broker).reconcile()  # Loads the scripts.
    await raw.execute_command("DEL", "headrace:{q}:reconcile")
    sent: list[object] = []
    sender = broker._link.commands._sender
    send = sender.send

    async def counted(commands: Sequence[tuple[str | bytes | int | float, ...]]) -> list[object]:
        sent.extend(commands)
        return await send(commands)

    sender.send = counted  # type: ignore[method-assign]
    await reconciler(broker).reconcile()

    assert 0 < len(sent) <= 15
    await broker.close()
    await raw.aclose()
