"""The ends of attempts are written together; what cannot be written goes to the syncer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import anyio
from anyio.lowlevel import checkpoint

from headrace import BrokerError
from headrace._broker.values import Applied, Done, Finish
from tests.server.units.harness import Harness, attempt
from tests.worker.helpers import lines

if TYPE_CHECKING:
    import pytest

    from tests.support.fake_broker import FakeBroker
    from tests.support.virtual_time import VirtualTime


def ending(task_id: str) -> Finish:
    """Return the end of an attempt."""
    return Finish(attempt(task_id).lease, Done())


async def test_single_end_is_written_at_once(
    harness: Harness, broker: FakeBroker, virtual_time: VirtualTime
) -> None:
    """An idle system does not wait for company."""
    assert Applied.APPLIED == await harness.finisher.finish(ending("a"), 15.0)

    assert [0.0] == broker.called_at("finish")
    assert [ending("a")] == harness.finished
    assert 0.0 == virtual_time.now


async def test_ends_share_round_trips(harness: Harness, broker: FakeBroker) -> None:
    """What ends while a write is on its way goes out with the next one."""
    broker.latency = 0.5
    first = harness.finisher.finish(ending("a"), 15.0)
    await anyio.sleep(0.1)
    others = [harness.finisher.finish(ending(task_id), 15.0) for task_id in "bcd"]
    await asyncio.gather(first, *others)

    assert [0.0, 1.0] == broker.called_at("finish")
    assert [ending(task_id) for task_id in "abcd"] == harness.finished


async def test_each_gets_its_own_answer(harness: Harness, broker: FakeBroker) -> None:
    """Of a common write, each attempt learns what became of it."""
    broker.answer("finish", [Applied.APPLIED, Applied.LOST, Applied.REPEATED])

    answers = await asyncio.gather(
        *(harness.finisher.finish(ending(task_id), 15.0) for task_id in "abc")
    )

    assert [Applied.APPLIED, Applied.LOST, Applied.REPEATED] == answers


async def test_failed_write_goes_to_the_syncer(
    harness: Harness, broker: FakeBroker, caplog: pytest.LogCaptureFixture
) -> None:
    """What Redis did not answer is handed over with the end of its lease, and logged once."""
    broker.fail("finish", times=1)

    answers = await asyncio.gather(
        harness.finisher.finish(ending("a"), 15.0), harness.finisher.finish(ending("b"), 12.0)
    )

    assert (None, None) == tuple(answers)
    assert 2 == harness.syncer.pending
    assert {15.0, 12.0} == {until for _, until in harness.syncer._waiting.values()}
    assert ["Could not write the ends of tasks: Redis did not answer"] == lines(caplog)


async def test_cancelled_caller_does_not_stop_the_write(
    harness: Harness, broker: FakeBroker
) -> None:
    """A write that has begun is shielded from whoever waits for it."""
    broker.latency = 0.5
    with anyio.move_on_after(0.1):
        await harness.finisher.finish(ending("a"), 15.0)
    await harness.finisher.drain()

    assert [ending("a")] == harness.finished


async def test_drain_waits_for_everything(harness: Harness, broker: FakeBroker) -> None:
    """Drain returns once all is written, also what came while a write was on its way."""
    broker.latency = 0.5
    calls = [harness.finisher.finish(ending("a"), 15.0)]
    await anyio.sleep(0.1)
    calls.append(harness.finisher.finish(ending("b"), 15.0))
    await checkpoint()
    await harness.finisher.drain()

    assert [ending("a"), ending("b")] == harness.finished
    await asyncio.gather(*calls)


async def test_refusal_is_no_reason_to_forget(harness: Harness, broker: FakeBroker) -> None:
    """A write that Redis refuses is repeated too: what is refused now may pass later."""
    broker.fail("finish", error=BrokerError("refused", retryable=False), times=1)

    assert await harness.finisher.finish(ending("a"), 15.0) is None
    await harness.syncer.sync()

    assert 0 == harness.syncer.pending
