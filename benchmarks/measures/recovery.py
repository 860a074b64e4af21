"""What becomes of the tasks of a worker that is killed."""

from __future__ import annotations

import collections
import time
from typing import TYPE_CHECKING, Final

from benchmarks.measures.base import Figures, Measure
from benchmarks.programs import ProgramFailedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.catalog import System
    from benchmarks.programs import Event, Program
    from benchmarks.stand import Stand

AFTER_THE_LAST: Final = 3.0
"""Seconds that tasks get beyond their own time to run twice."""


def recovery(stand: Stand, system: System) -> Figures:
    """Kill a worker in the middle of tasks; another starts at once and has to run them again."""
    sizes = stand.sizes
    count = min(sizes.held, system.concurrency)
    stand.fill(system, "hold", count)
    with stand.worker(system, hold=sizes.hold) as worker:
        interrupted = {worker.take("start", sizes.limit)["argument"] for _ in range(count)}
        worker.kill()
    killed_at = time.time_ns()
    again: dict[float, float] = {}
    ends: collections.Counter[float] = collections.Counter()
    with stand.worker(system, hold=sizes.hold) as worker:
        for event in _events(worker, interrupted, sizes.recovery_limit, sizes.hold):
            argument = event.numbers["argument"]
            if event.name == "start":
                again.setdefault(argument, (event.numbers["at"] - killed_at) / 1e9)
            else:
                ends[argument] += 1
    figures: dict[str, float] = {
        "tasks": count,
        "recovered": len(again),
        "limit_s": sizes.recovery_limit,
        "ended_twice": sum(times > 1 for times in ends.values()),
    }
    if again:
        figures |= {"first_s": min(again.values()), "last_s": max(again.values())}
    return figures


def _events(worker: Program, expected: set[float], limit: float, hold: float) -> Iterator[Event]:
    """Yield what a worker says until all *expected* tasks have run, or *limit* seconds are over."""
    until = time.monotonic() + limit
    missing = set(expected)
    while True:
        try:
            event = worker.next(until)
        except ProgramFailedError:
            return  # The time is over.
        yield event
        if event.name == "start" and event.numbers["argument"] in missing:
            missing.discard(event.numbers["argument"])
            if not missing:
                until = time.monotonic() + hold + AFTER_THE_LAST


MEASURES: Final = [
    Measure("recovery", "time from kill -9 until its tasks run again", recovery, once=True)
]
