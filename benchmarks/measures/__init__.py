"""What is measured: one module for each kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.measures import drain, enqueue, latency, process, recovery, scale

if TYPE_CHECKING:
    from benchmarks.measures.base import Measure
    from benchmarks.sizes import Sizes


def measures(sizes: Sizes) -> list[Measure]:
    """Return all measures, the shortest and most telling first."""
    return [
        *enqueue.MEASURES,
        *drain.MEASURES,
        *latency.MEASURES,
        *process.MEASURES,
        *scale.measures(sizes),
        *recovery.MEASURES,
    ]
