"""What a measure is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from benchmarks.catalog import System
    from benchmarks.stand import Stand

Figures: TypeAlias = Mapping[str, float]


class WrongCountError(Exception):
    """A worker did not run exactly the tasks that it was to run."""


@dataclasses.dataclass(frozen=True, slots=True)
class Measure:
    """One thing to measure.

    Attributes:
        name: Its name.
        about: What is measured, for people.
        take: Measures a system once.
        only: The names of the systems that it is for; empty: all.
        once: Whether one repetition is enough of it: it lasts long, or has many samples itself.
    """

    name: str
    about: str
    take: Callable[[Stand, System], Figures]
    only: tuple[str, ...] = ()
    once: bool = False


def percentiles(values: list[float], unit: str) -> dict[str, float]:
    """Return the median, the 95th and the 99th percentile, and both ends."""
    ordered = sorted(values)

    def at(part: float) -> float:
        return ordered[min(len(ordered) - 1, int(part * len(ordered)))]

    return {
        f"min_{unit}": ordered[0],
        f"p50_{unit}": at(0.50),
        f"p95_{unit}": at(0.95),
        f"p99_{unit}": at(0.99),
        f"max_{unit}": ordered[-1],
        "samples": len(ordered),
    }
