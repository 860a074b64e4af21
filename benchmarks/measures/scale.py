"""How throughput and Redis's work change with what is pending and what is active."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Final

from benchmarks.catalog import ASYNQ, BY_NAME, HEADRACE
from benchmarks.measures.base import Figures, Measure
from benchmarks.measures.drain import rates
from benchmarks.stand import CONCURRENCY

if TYPE_CHECKING:
    from benchmarks.catalog import System
    from benchmarks.sizes import Sizes
    from benchmarks.stand import Stand

PAUSED: Final = "asynq:{default}:paused"
"""The key that pauses the queue, for either system."""
FOREVER: Final = 3600.0
"""Seconds: longer than a measurement lasts."""


def with_pending(stand: Stand, system: System, *, behind: int) -> Figures:
    """Drain tasks behind which others stay pending."""
    count = stand.sizes.scaled
    # asynq reads what Headrace enqueues, and has no call for so many.
    stand.fill(BY_NAME[HEADRACE], "noop", behind + count)
    redis_cpu = stand.redis_cpu()
    with stand.worker(system, total=count, arguments=behind + count) as worker:
        done = worker.take("done", stand.sizes.limit)
        # The worker runs on, so that what it does now is counted, and so is that in the cost.
        redis_cpu = stand.redis_cpu() - redis_cpu
    return {**rates(done), "redis_cpu_us": redis_cpu / count * 1e6}


def with_active(stand: Stand, system: System, *, beside: int) -> Figures:
    """Drain tasks beside which others stay active, in slots of their own."""
    count = stand.sizes.lasting
    stand.fill(BY_NAME[HEADRACE], "hold", beside)
    slots = beside + CONCURRENCY
    with stand.worker(system, total=count, concurrency=slots, hold=FOREVER) as worker:
        for _ in range(beside):
            worker.take("start", stand.sizes.limit)
        # Paused, so that it finds them all pending and does not wait for the producer.
        stand.redis.set(PAUSED, 1)
        stand.add(BY_NAME[HEADRACE], "noop", count)
        time.sleep(stand.sizes.settle)
        redis_cpu = stand.redis_cpu()
        stand.redis.delete(PAUSED)
        done = worker.take("done", stand.sizes.limit)
        redis_cpu = stand.redis_cpu() - redis_cpu
    return {**rates(done), "redis_cpu_us": redis_cpu / count * 1e6}


def measures(sizes: Sizes) -> list[Measure]:
    """Return the measures for the numbers of *sizes*."""
    return [
        Measure(
            f"pending_{behind}",
            f"drain no-op tasks behind which {behind:,} stay pending",
            functools.partial(with_pending, behind=behind),
            only=(HEADRACE, ASYNQ),
        )
        for behind in sizes.pending
    ] + [
        Measure(
            f"active_{beside}",
            f"drain no-op tasks beside which {beside:,} stay active",
            functools.partial(with_active, beside=beside),
            only=(HEADRACE, ASYNQ),
        )
        for beside in sizes.active
    ]
