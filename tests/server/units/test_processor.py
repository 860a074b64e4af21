"""The processor: slots, fetching, stopping, draining."""

from __future__ import annotations

import asyncio
import contextvars
from typing import TYPE_CHECKING

import anyio
import pytest

from headrace import BrokerError, Task, TaskContext
from headrace._broker.values import Done, Requeue
from headrace._worker.outcome import Cause
from tests.server.units.harness import NOW, Harness, attempt, found
from tests.worker.helpers import lines, rounded, until

if TYPE_CHECKING:
    from headrace._worker.processor import Processor
    from tests.support.fake_broker import FakeBroker
    from tests.support.virtual_time import VirtualTime

var: contextvars.ContextVar[str] = contextvars.ContextVar("var")


class Room:
    """A handler that holds tasks until it is told to let them go."""

    def __init__(self, harness: Harness) -> None:
        self.inside: set[str] = set()
        self._leave = anyio.Event()
        harness.handle = self.handle

    async def handle(self, _task: Task, context: TaskContext) -> None:
        """Wait. This is the handler."""
        self.inside.add(context.task_id)
        try:
            await self._leave.wait()
        finally:
            self.inside.discard(context.task_id)

    def empty(self) -> None:
        """Let all go."""
        self._leave.set()


@pytest.fixture
async def room(harness: Harness) -> Room:
    """A handler that holds tasks."""
    return Room(harness)


async def drained(processor: Processor, *, grace: float = 0.0, after: float = 5.0) -> None:
    """Run *processor* and drain it after a while."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(processor.run)
        await anyio.sleep(after)
        processor.drain(grace)


def asked(broker: FakeBroker) -> list[object]:
    """Return how many tasks each dequeue asked for."""
    return [call.args[0] for call in broker.called("dequeue")]


async def test_takes_no_more_than_half_at_a_time(
    harness: Harness, broker: FakeBroker, room: Room
) -> None:
    """Free slots are filled by halves, and never beyond their number."""
    broker.answer(
        "dequeue",
        found([attempt(str(n)) for n in range(4)]),
        found([attempt(str(n)) for n in range(4, 8)]),
    )
    await drained(harness.processor(8))

    assert [{"default": 4}, {"default": 4}] == asked(broker)


async def test_unused_slots_are_given_back(
    harness: Harness, broker: FakeBroker, room: Room
) -> None:
    """Slots for which there was no task are asked for again."""
    broker.answer("dequeue", found([attempt("a")], exhausted=["default"]))
    await drained(harness.processor(4))

    # One runs; two are half of four, and the third is still free.
    assert [{"default": 2}, {"default": 2}] == asked(broker)


async def test_last_tasks_begin_before_redis_is_asked_again(
    harness: Harness, broker: FakeBroker
) -> None:
    """Where fewer came than were asked for, these begin at once: no question delays them."""
    asked_before: list[int] = []

    async def handle(_task: Task, _context: TaskContext) -> None:
        asked_before.append(len(broker.called("dequeue")))

    harness.handle = handle
    broker.answer("dequeue", found([attempt("a")], exhausted=["default"]))
    await drained(harness.processor(4))

    assert [1] == asked_before


async def test_full_processor_waits_for_a_slot(
    harness: Harness, broker: FakeBroker, room: Room
) -> None:
    """With all slots taken nothing is fetched, until one of them is free."""
    broker.answer("dequeue", found([attempt("a")]))
    processor = harness.processor(1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(processor.run)
        await anyio.sleep(600)
        assert 1 == len(broker.called("dequeue"))
        room.empty()
        await until(lambda: len(broker.called("dequeue")) == 2)
        processor.drain(0)

    assert [Done()] == harness.transitions


async def test_slot_is_taken_until_the_end_is_written(harness: Harness, broker: FakeBroker) -> None:
    """A task's slot and lease stay until its end is written: only then the next comes."""
    broker.answer("dequeue", found([attempt("a")]))
    broker.latency = 1.0  # Dequeue answers at 2, and finish at 4.
    await drained(harness.processor(1), after=10)

    assert [0.0, 4.0] == broker.called_at("dequeue")[:2]


async def test_running_executions_are_shown(
    harness: Harness, broker: FakeBroker, room: Room
) -> None:
    """What runs is shown by lease, with the time up to which the lease surely lasts."""
    one = attempt("a")
    broker.answer("dequeue", found([one]))
    broker.latency = 1.0
    processor = harness.processor(2)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(processor.run)
        await until(lambda: bool(room.inside))
        assert [one.lease] == list(processor.running)
        assert 15.0 == processor.running[one.lease].lease_until  # From when it was asked for.
        room.empty()
        await until(lambda: not processor.running)
        processor.drain(0)


async def test_idle_processor_does_not_spin(harness: Harness, broker: FakeBroker) -> None:
    """An idle processor looks every 10 s."""
    await drained(harness.processor(4), after=35)

    assert [0.0, 10.0, 20.0, 30.0] == broker.called_at("dequeue")


async def test_outage_is_backed_off(
    harness: Harness,
    broker: FakeBroker,
    virtual_time: VirtualTime,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """While Redis does not answer, tries are spread out, and one line in 10 s is logged."""
    broker.fail("dequeue", until=60.0)
    broker.fail("wait_for_pending", until=60.0)
    await drained(harness.processor(4), after=70)

    tries = [at for at in broker.called_at("dequeue") if at < 60]
    assert 15 < len(tries) < 60
    assert 1 <= len(lines(caplog)) <= 7
    assert any(at >= 60 for at in broker.called_at("dequeue"))


async def test_stop_ends_the_wait_for_tasks(harness: Harness, broker: FakeBroker) -> None:
    """An idle processor that is stopped fetches no more, and ends when it is drained."""
    processor = harness.processor(4)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(processor.run)
        await anyio.sleep(5)
        processor.stop()
        await anyio.sleep(100)
        assert [0.0] == broker.called_at("dequeue")
        processor.drain(0)


async def test_stop_ends_the_pause_after_a_failure(
    harness: Harness, broker: FakeBroker, virtual_time: VirtualTime
) -> None:
    """A processor that waits before its next try can be drained at once."""
    broker.fail("*")
    processor = harness.processor(4)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(processor.run)
        await anyio.sleep(60)
        processor.drain(0)

    assert virtual_time.now < 60.1


async def test_stop_in_the_moment_of_a_free_slot(
    harness: Harness, broker: FakeBroker, room: Room
) -> None:
    """A slot that becomes free together with the stop is not filled."""
    broker.answer("dequeue", found([attempt("a")]))
    processor = harness.processor(1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(processor.run)
        await until(lambda: bool(room.inside))
        await anyio.sleep(1)
        processor._slots.release()
        processor.stop()
        await anyio.sleep(1)
        assert 1 == len(broker.called("dequeue"))
        processor.drain(0)


async def test_drain_lets_handlers_finish(
    harness: Harness, broker: FakeBroker, virtual_time: VirtualTime
) -> None:
    """Handlers that end within the grace period are not interrupted; it is not sat out."""

    async def handle(_task: Task, context: TaskContext) -> None:
        await anyio.sleep(float(context.task_id))

    harness.handle = handle
    broker.answer("dequeue", found([attempt("6"), attempt("8")]))
    await drained(harness.processor(4), grace=100.0)

    assert [Done(), Done()] == harness.transitions
    assert 8 == virtual_time.now


async def test_drain_gives_the_rest_back(
    harness: Harness, broker: FakeBroker, virtual_time: VirtualTime
) -> None:
    """After the grace period who still runs is interrupted and given back."""

    async def handle(_task: Task, context: TaskContext) -> None:
        await anyio.sleep(float(context.task_id))

    harness.handle = handle
    broker.answer("dequeue", found([attempt("6"), attempt("60")]))
    await drained(harness.processor(4), grace=10.0)

    assert {"6": Done(), "60": Requeue()} == {
        finish.lease.task_id: finish.transition for finish in harness.finished
    }
    assert 15 == virtual_time.now


async def test_drain_waits_for_a_dequeue_on_its_way(harness: Harness, broker: FakeBroker) -> None:
    """Tasks that a dequeue brings after the drain began are given back, not forgotten."""
    broker.answer("dequeue", found([attempt("a")]))
    broker.latency = 0.25
    Room(harness)
    await drained(harness.processor(4), after=0.1)

    assert [Requeue()] == harness.transitions


async def test_drain_does_not_look_for_lost_tasks_for_ever(
    harness: Harness, broker: FakeBroker, virtual_time: VirtualTime
) -> None:
    """What a dequeue took whose answer does not come by the end is left to recovery."""
    broker.fail("*", error=BrokerError("lost", ambiguous=True))
    await drained(harness.processor(4), grace=8.0)

    assert 13 == virtual_time.now


async def test_lost_answer_does_not_lengthen_the_grace_period(
    harness: Harness, broker: FakeBroker
) -> None:
    """Handlers are interrupted in time while tasks are looked for whose dequeue got no answer."""
    ended_at: list[float] = []

    async def handle(_task: Task, _context: TaskContext) -> None:
        try:
            await anyio.sleep(600)
        finally:
            ended_at.append(anyio.current_time())

    harness.handle = handle
    lost = BrokerError("lost", ambiguous=True)
    broker.answer("dequeue", found([attempt("a")], exhausted=["default"]), lost)
    broker.fail("taken_by")
    await drained(harness.processor(4), grace=3.0, after=5.0)

    assert [8.0] == rounded(ended_at)
    assert [Requeue()] == harness.transitions


async def test_interrupt_finds_a_task_by_its_id(
    harness: Harness, broker: FakeBroker, room: Room
) -> None:
    """A request names a task's ID; whoever does not run it is not concerned."""
    broker.answer("dequeue", found([attempt("a"), attempt("b")]))
    processor = harness.processor(4)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(processor.run)
        await until(lambda: len(room.inside) == 2)
        processor.interrupt("a", Cause.CANCELLED)
        processor.interrupt("somewhere else", Cause.CANCELLED)
        await until(lambda: room.inside == {"b"})
        room.empty()
        processor.drain(10)

    assert ["a"] == [str(error).split("'")[1] for error in harness.errors]


async def test_handlers_get_copies_of_the_base_context(
    harness: Harness, broker: FakeBroker
) -> None:
    """Each handler runs in a copy of its own."""
    base = contextvars.copy_context()
    base.run(var.set, "base")
    seen: list[str] = []

    async def handle(_task: Task, context: TaskContext) -> None:
        seen.append(var.get())
        var.set(context.task_id)

    harness.handle = handle
    broker.answer("dequeue", found([attempt("a"), attempt("b")]))
    await drained(harness.processor(4, base_context=lambda: base))

    assert ["base", "base"] == seen
    assert "base" == base[var]


async def test_broken_handler_task_breaks_the_processor(
    harness: Harness, broker: FakeBroker
) -> None:
    """What is no handler's fault, but a bug of ours, is not swallowed."""
    broker.answer("dequeue", found([attempt("a")], now=NOW))
    broker.fail("finish", error=KeyError("a bug"))
    with pytest.raises(ExceptionGroup) as caught:
        await drained(harness.processor(1))

    assert caught.group_contains(KeyError)


async def test_cancelled_processor_frees_nothing_silently(
    harness: Harness, broker: FakeBroker, room: Room
) -> None:
    """A processor that is cancelled cancels its handlers, and writes nothing for them."""
    broker.answer("dequeue", found([attempt("a")]))
    processor = harness.processor(1)
    run = asyncio.create_task(processor.run())
    await until(lambda: bool(room.inside))
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run

    assert set() == room.inside
    assert [] == harness.transitions
