"""Enqueueing: one by one, 100 at a time, in bulk."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final

from benchmarks.measures.base import Figures, Measure

if TYPE_CHECKING:
    from benchmarks.catalog import System
    from benchmarks.stand import Stand

WARM_UP: Final = 20


def enqueue(stand: Stand, system: System, *, mode: str) -> Figures:
    """Enqueue no-op tasks over a connection that has been used before."""
    count = stand.sizes.enqueued // (4 if mode == "one" else 1)
    with stand.producer(system) as producer:
        producer.ask("one", "noop", WARM_UP)
        producer.take("added", stand.sizes.limit)
        stand.redis.flushall()
        redis_cpu = stand.redis_cpu()
        producer.ask(mode, "noop", count)
        added = producer.take("added", stand.sizes.limit)
        redis_cpu = stand.redis_cpu() - redis_cpu
    return {
        "tasks": count,
        "tasks_per_s": count / added["seconds"],
        "producer_cpu_us": added["cpu_s"] / count * 1e6,
        "redis_cpu_us": redis_cpu / count * 1e6,
    }


MEASURES: Final = [
    Measure(f"enqueue_{mode}", f"enqueue no-op tasks {how}", functools.partial(enqueue, mode=mode))
    for mode, how in [
        ("one", "one by one"),
        ("concurrent", "100 at a time"),
        ("bulk", "in bulk"),
    ]
]
