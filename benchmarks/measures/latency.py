"""How soon an idle worker runs a task, and how punctually a scheduled one."""

from __future__ import annotations

import math
import random
import time
from typing import TYPE_CHECKING, Final

from benchmarks.measures.base import Figures, Measure, percentiles

if TYPE_CHECKING:
    from benchmarks.catalog import System
    from benchmarks.stand import Stand

PAUSE: Final = (0.01, 0.51)
"""Seconds between two samples, at random: a worker that polls is met at any point of its pause."""
HORIZON: Final = 5
"""Whole seconds ahead, at most, for which tasks are scheduled."""


def pick_up(stand: Stand, system: System) -> Figures:
    """Time from before the call that enqueues to the handler's start.

    And how much too late the runner's own pauses ended: no system can be better than the
    machine, on which that takes microseconds if nobody else uses it.
    """
    rng = random.Random(1)  # noqa: S311 - the same pauses for all
    waits, overslept = [], []
    with stand.idle_worker(system) as (producer, worker):
        for _ in range(stand.sizes.samples):
            pause = rng.uniform(*PAUSE)
            began = time.perf_counter()
            time.sleep(pause)
            overslept.append((time.perf_counter() - began - pause) * 1e3)
            producer.ask("now", "clock")
            ran = worker.take("clock", stand.sizes.limit)
            waits.append((ran["at"] - ran["argument"]) / 1e6)
    machine = {f"machine_{name}": late for name, late in percentiles(overslept, "ms").items()}
    return {**machine, **percentiles(waits, "ms")}


def punctuality(stand: Stand, system: System) -> Figures:
    """Time from the whole second for which a task is scheduled to its handler's start."""
    late = []
    with stand.idle_worker(system, schedules=True) as (producer, worker):
        # Enqueueing must be over before the first is due.
        start = math.ceil(time.time() + 0.5)
        dues = [start + 1 + n % HORIZON for n in range(stand.sizes.scheduled)]
        producer.ask("later", "clock", dues=dues)
        producer.take("added", stand.sizes.limit)
        for _ in dues:
            ran = worker.take("clock", stand.sizes.limit)
            late.append((ran["at"] - ran["argument"]) / 1e6)
    return percentiles(late, "ms")


MEASURES: Final = [
    Measure("pick_up", "time until an idle worker runs a task", pick_up, once=True),
    Measure("punctuality", "lateness of tasks scheduled 1-5 s ahead", punctuality),
]
