"""How a worker leaves a queue alone that a limit holds back, and when it looks again."""

from __future__ import annotations

import asyncio
import dataclasses
import math
from typing import TYPE_CHECKING, cast

import anyio
import pytest

from tests.server.units.harness import attempt, found
from tests.worker.helpers import rounded, until

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from headrace import Task, TaskContext
    from headrace._broker.values import Attempt, Dequeued
    from headrace._worker.intake import Intake
    from tests.server.units.harness import Harness
    from tests.support.fake_broker import FakeBroker
    from tests.support.virtual_time import VirtualTime


def held(
    limited: Mapping[str, float],
    attempts: Iterable[Attempt] = (),
    *,
    exhausted: Iterable[str] = (),
    paused: Iterable[str] = (),
) -> Dequeued:
    """Return what a dequeue brought from queues of which some are held back."""
    got = found(attempts, exhausted=[*limited, *exhausted], paused=paused)
    return dataclasses.replace(got, limited=limited)


def asked(broker: FakeBroker) -> list[Mapping[str, int]]:
    """Return how many tasks of which queues each dequeue asked for."""
    return [cast("Mapping[str, int]", call.args[0]) for call in broker.called("dequeue")]


def waits(broker: FakeBroker) -> list[tuple[object, ...]]:
    """Return the queues that were waited for, and how long, to the microsecond."""
    calls = [call.args[:2] for call in broker.called("wait_for_pending")]
    return [(queues, round(cast("float", timeout), 6)) for queues, timeout in calls]


async def turn(intake: Intake, slots: int = 4) -> list[str]:
    """Fetch, and wait as the processor does if there was nothing; return the tasks' IDs."""
    got = await intake.fetch(slots)
    if not got.attempts:
        with anyio.move_on_after(60):
            await intake.wait()
    return [one.lease.task_id for one in got.attempts]


async def test_limited_queue_is_neither_asked_nor_watched(
    harness: Harness, broker: FakeBroker
) -> None:
    """Until its next task may start, only the other queues are asked and waited for."""
    intake = harness.intake({"a": 1, "b": 1})
    broker.answer("dequeue", held({"a": 1.5}, exhausted=["b"]))
    for _ in range(2):
        await turn(intake)

    assert [{"a": 2, "b": 2}, {"a": 3, "b": 1}] == asked(broker)
    assert [(("b",), 1.5), (("a", "b"), 10.0)] == waits(broker)


async def test_other_queues_go_on_meanwhile(harness: Harness, broker: FakeBroker) -> None:
    """While one queue is held back, all slots go to the others, in each fetch."""
    intake = harness.intake({"a": 9, "b": 1})
    broker.answer(
        "dequeue",
        held({"a": 1.0}, [attempt("1", "b")]),
        found([attempt(str(n), "b") for n in range(9)]),
        found([attempt(str(n), "b") for n in range(10)]),
    )
    await intake.fetch(10)
    await intake.fetch(10)

    assert [{"a": 9, "b": 1}, {"b": 9}, {"b": 10}] == asked(broker)


async def test_strict_priority_passes_a_limited_queue_over(
    harness: Harness, broker: FakeBroker
) -> None:
    """A queue that is held back does not keep lighter ones from being served."""
    intake = harness.intake({"low": 1, "high": 9}, strict_priority=True)
    broker.answer("dequeue", held({"high": 1.0}), found([attempt("1", "low")], exhausted=["low"]))

    assert ["1"] == await turn(intake)
    assert [{"high": 4}, {"low": 4}] == asked(broker)


async def test_limited_queue_keeps_its_share(harness: Harness, broker: FakeBroker) -> None:
    """A limited queue is not taken for an empty one: once let go, it is asked for its share."""
    intake = harness.intake({"a": 1, "b": 1})
    full = [attempt(str(n), "b") for n in range(8)]
    broker.answer("dequeue", held({"a": 1.0}, full[:4]), found(full[:4]))
    await intake.fetch(8)
    await asyncio.sleep(1)
    broker.answer("dequeue", found(full))
    await intake.fetch(8)

    assert {"a": 4, "b": 4} == asked(broker)[-1]


@pytest.mark.parametrize(
    ("wait", "pauses"), [(0.7, 0.7), (3600.0, 2.0), (math.inf, 2.0), (0.0, 0.01), (1e-7, 0.01)]
)
async def test_pause_between_looks(
    harness: Harness, broker: FakeBroker, virtual_time: VirtualTime, wait: float, pauses: float
) -> None:
    """It looks again when a task may start, but in time for changed limits, and never at once."""
    intake = harness.intake()
    broker.answer("dequeue", *[held({"default": wait})] * 5)
    while len(asked(broker)) < 5:
        await turn(intake)

    assert rounded([pauses * n for n in range(5)]) == rounded(broker.called_at("dequeue"))


async def test_no_hot_loop(harness: Harness, broker: FakeBroker) -> None:
    """A processor whose only queue is full asks once per interval for minutes on end."""
    processor = harness.processor(5)
    broker.answer("dequeue", *[held({"default": math.inf})] * 1000)
    with anyio.move_on_after(120):
        await processor.run()

    assert 59 <= len(asked(broker)) <= 61


async def test_no_hot_loop_beside_a_busy_queue(harness: Harness, broker: FakeBroker) -> None:
    """A full queue is not asked again with each task of another one."""
    intake = harness.intake({"busy": 1, "full": 1})
    broker.answer("dequeue", held({"full": math.inf}, [attempt("1", "busy")]))
    await intake.fetch(2)
    broker.answer("dequeue", *[found([attempt("x", "busy")]) for _ in range(100)])
    for _ in range(50):
        await intake.fetch(1)
        await asyncio.sleep(0.02)

    assert 1 == sum("full" in quotas for quotas in asked(broker))


async def test_end_of_a_task_opens_a_full_queue(
    harness: Harness, broker: FakeBroker, virtual_time: VirtualTime
) -> None:
    """When a task of a full queue ends here, the queue is asked at once."""
    release = asyncio.Event()

    async def handle(_task: Task, _context: TaskContext) -> None:
        await release.wait()

    harness.handle = handle
    processor = harness.processor(5)
    broker.answer(
        "dequeue", held({"default": math.inf}, [attempt("a")]), *[held({"default": math.inf})] * 50
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(processor.run)
        await asyncio.sleep(0.5)
        assert 1 == len(asked(broker))
        release.set()
        await until(lambda: len(asked(broker)) == 2)
        assert virtual_time.now < 1
        tasks.cancel_scope.cancel()


async def test_end_during_the_question_is_not_missed(
    harness: Harness, broker: FakeBroker, virtual_time: VirtualTime
) -> None:
    """A task that ends while Redis is asked may have come too late for it: it asks again."""
    intake = harness.intake()
    broker.latency = 0.1
    broker.answer("dequeue", held({"default": math.inf}))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(intake.fetch, 1)
        await asyncio.sleep(0.15)
        intake.task_ended("default")
    broker.answer("wait_for_pending", None)
    await intake.fetch(1)

    assert [0.0, 0.2] == rounded(broker.called_at("dequeue"))


async def test_end_in_another_queue_opens_nothing(harness: Harness, broker: FakeBroker) -> None:
    """Only a task of the full queue makes room there; a rate waits for no task."""
    intake = harness.intake({"full": 1, "slow": 1, "other": 1})
    broker.answer("dequeue", held({"full": math.inf, "slow": 1.0}, exhausted=["other"]))
    await intake.fetch(3)
    intake.task_ended("other")
    intake.task_ended("slow")
    await intake.fetch(3)

    assert ["other"] == list(asked(broker)[-1])


async def test_paused_beside_limited(harness: Harness, broker: FakeBroker) -> None:
    """The shorter of the two intervals counts; neither queue is watched."""
    intake = harness.intake({"limited": 1, "off": 1, "free": 1})
    broker.answer("dequeue", held({"limited": 0.5}, exhausted=["off", "free"], paused=["off"]))
    await turn(intake, 9)

    assert [(("free",), 0.5)] == waits(broker)
