"""Which queues are asked for how many tasks, and what if Redis does not answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import anyio
import pytest

from headrace import BrokerError
from tests.server.units.harness import LEASE, NOW, Harness, attempt, found
from tests.worker.helpers import lines

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.fake_broker import FakeBroker
    from tests.support.virtual_time import VirtualTime

LOST = BrokerError("Redis did not answer", ambiguous=True)


def asked(broker: FakeBroker) -> list[Mapping[str, int]]:
    """Return how many tasks of which queues each dequeue asked for."""
    return [cast("Mapping[str, int]", call.args[0]) for call in broker.called("dequeue")]


def tokens(broker: FakeBroker) -> list[object]:
    """Return the token of each dequeue."""
    return [call.args[1] for call in broker.called("dequeue")]


async def test_full_slots_take_one_call(harness: Harness, broker: FakeBroker) -> None:
    """When the queue fills all slots, it is asked once."""
    broker.answer("dequeue", found([attempt("a"), attempt("b")]))

    got = await harness.intake().fetch(2)

    assert ["a", "b"] == [one.lease.task_id for one in got.attempts]
    assert NOW == got.now
    assert [{"default": 2}] == asked(broker)
    assert LEASE == broker.called("dequeue")[0].args[2]


async def test_empty_queue_is_asked_once(harness: Harness, broker: FakeBroker) -> None:
    """A queue that has less than it is asked for is not asked again."""
    got = await harness.intake().fetch(5)

    assert not got.attempts
    assert [{"default": 5}] == asked(broker)


async def test_what_a_queue_leaves_goes_to_the_others(harness: Harness, broker: FakeBroker) -> None:
    """Slots that one queue does not use are offered to the others in the same fetch."""
    broker.answer(
        "dequeue",
        found([attempt("a", "low")], exhausted=["high"]),
        found([attempt(str(n), "low") for n in range(8)]),
    )

    got = await harness.intake({"high": 9, "low": 1}).fetch(10)

    assert [{"high": 9, "low": 1}, {"low": 9}] == asked(broker)[:2]
    assert 9 == len(got.attempts)


async def test_empty_queue_is_probed_with_one_slot(harness: Harness, broker: FakeBroker) -> None:
    """A queue that was empty the last time is asked for one task, until it has one."""
    intake = harness.intake({"high": 9, "low": 1})
    full = found([attempt(str(n), "low") for n in range(9)], exhausted=["high"])
    broker.answer("dequeue", full, found([attempt("x", "low")]))
    await intake.fetch(10)
    broker.answer("dequeue", found([attempt("h", "high")] + [attempt(str(n)) for n in range(9)]))
    await intake.fetch(10)
    broker.answer("dequeue", found([attempt(str(n), "high") for n in range(10)]))
    await intake.fetch(10)

    assert {"low": 9, "high": 1} == asked(broker)[-2]
    assert {"high": 9, "low": 1} == asked(broker)[-1]


async def test_strict_priority_asks_one_after_another(harness: Harness, broker: FakeBroker) -> None:
    """With strict priority a lighter queue is asked only for what heavier ones leave."""
    broker.answer(
        "dequeue",
        found([attempt("a", "high")], exhausted=["high"]),
        found([attempt("b", "low"), attempt("c", "low")]),
    )

    await harness.intake({"low": 1, "high": 9}, strict_priority=True).fetch(3)

    assert [{"high": 3}, {"low": 2}] == asked(broker)


async def test_every_dequeue_has_a_token_of_its_own(harness: Harness, broker: FakeBroker) -> None:
    """No two dequeues share a token, neither of one worker nor of two."""
    for intake in (harness.intake(), harness.intake()):
        for _ in range(3):
            await intake.fetch(1)

    assert 6 == len(set(tokens(broker)))


async def test_refused_dequeue_is_raised(harness: Harness, broker: FakeBroker) -> None:
    """A dequeue that was surely not applied is the caller's to repeat."""
    broker.fail("dequeue", times=1)

    with pytest.raises(BrokerError):
        await harness.intake().fetch(1)

    assert [] == broker.called("taken_by")


async def test_lost_answer_is_looked_for(
    harness: Harness, broker: FakeBroker, virtual_time: VirtualTime
) -> None:
    """What a dequeue took whose answer was lost is found by its token, however long it takes."""
    broker.fail("dequeue", error=LOST, times=1)
    broker.fail("taken_by", until=100.0)
    broker.answer("taken_by", found([attempt("a")]))

    got = await harness.intake({"x": 1, "y": 1}).fetch(2)

    assert ["a"] == [one.lease.task_id for one in got.attempts]
    assert virtual_time.now > 100
    calls = broker.called("taken_by")
    assert {(tuple(asked(broker)[0]), tokens(broker)[0])} == {call.args for call in calls}
    assert len(calls) < 70  # It backs off.


async def test_lost_answer_logs_one_line_in_ten_seconds(
    harness: Harness, broker: FakeBroker, caplog: pytest.LogCaptureFixture
) -> None:
    """Looking for a lost answer does not flood the log."""
    broker.fail("dequeue", error=LOST, times=1)
    broker.fail("taken_by", until=35.0)

    await harness.intake().fetch(1)

    assert 1 <= len(lines(caplog)) <= 4


async def test_what_was_taken_runs_although_the_next_call_fails(
    harness: Harness, broker: FakeBroker
) -> None:
    """A failure after a first success does not lose the tasks of the first."""
    broker.answer(
        "dequeue", found([attempt("a", "low")], exhausted=["high"]), BrokerError("refused")
    )

    got = await harness.intake({"high": 1, "low": 1}).fetch(4)

    assert ["a"] == [one.lease.task_id for one in got.attempts]


async def test_idle_worker_waits_for_all_queues(harness: Harness, broker: FakeBroker) -> None:
    """A worker without work waits for a task in any of its queues."""
    intake = harness.intake({"a": 1, "b": 1})
    await intake.fetch(1)
    with anyio.move_on_after(60):
        await intake.wait()

    assert [(("a", "b"), 10.0, 2.0)] == [call.args for call in broker.called("wait_for_pending")]


async def test_paused_queue_is_not_waited_for(harness: Harness, broker: FakeBroker) -> None:
    """A paused queue would end the wait at once: it is looked at now and then instead."""
    intake = harness.intake({"a": 1, "b": 1})
    broker.answer("dequeue", found([], exhausted=["a", "b"], paused=["a"]))
    await intake.fetch(2)
    with anyio.move_on_after(60):
        await intake.wait()
    await intake.fetch(2)
    with anyio.move_on_after(60):
        await intake.wait()

    assert [(("b",), 2.0, 2.0), (("a", "b"), 10.0, 2.0)] == [
        call.args for call in broker.called("wait_for_pending")
    ]
