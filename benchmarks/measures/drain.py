"""Draining a queue, with Redis beside the worker and with Redis 1 ms away."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Final

from benchmarks.measures.base import Figures, Measure, WrongCountError
from benchmarks.stand import SETTLED

if TYPE_CHECKING:
    from benchmarks.catalog import System
    from benchmarks.programs import Numbers
    from benchmarks.stand import Stand


def drain(stand: Stand, system: System, *, kind: str, delayed: bool) -> Figures:
    """Run tasks that are all pending when the worker starts."""
    sizes = stand.sizes
    count = sizes.tasks if kind == "noop" else sizes.resting
    url = stand.delayed().url if delayed else stand.url
    stand.fill(system, kind, count)
    redis_cpu = stand.redis_cpu()
    with stand.worker(system, total=count, url=url) as worker:
        done = worker.take("done", sizes.limit)
        # The last tasks have run, and are still to be finished in Redis.
        time.sleep(SETTLED)
        redis_cpu = stand.redis_cpu() - redis_cpu
        started_at = worker.started_at
    if done["distinct"] != count:
        raise WrongCountError(f"ran {done['tasks']} tasks, but {done['distinct']} of {count}")
    return {
        **rates(done),
        "redis_cpu_us": redis_cpu / count * 1e6,
        "seconds_from_start": (done["last"] - started_at) / 1e9,
    }


def rates(done: Numbers) -> dict[str, float]:
    """Return what a worker's report says: from the first handler's start to the last one's end."""
    tasks, seconds = done["tasks"], (done["last"] - done["first"]) / 1e9
    return {
        "tasks": tasks,
        "tasks_per_s": tasks / seconds,
        "worker_cpu_us": done["cpu_s"] / tasks * 1e6,
    }


MEASURES: Final = [
    Measure(
        f"drain_{kind}" + ("_delayed" if delayed else ""),
        f"drain {what} that are pending" + (", with Redis 1 ms away" if delayed else ""),
        functools.partial(drain, kind=kind, delayed=delayed),
    )
    for delayed in (False, True)
    for kind, what in [("noop", "no-op tasks"), ("rest", "tasks that sleep for 10 ms")]
]
