"""How many tasks a second end in each queue: differences between the polls."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace import QueueStats

__all__ = ["Throughput"]

KEPT: Final = 240
"""Samples of a queue: a sparkline as wide as the widest terminal."""


class Throughput:
    """What was processed per second, sampled once a poll."""

    def __init__(self) -> None:
        self._last: dict[str, QueueStats] = {}
        self._rates: dict[str, deque[float]] = {}
        self._total: deque[float] = deque(maxlen=KEPT)

    def add(self, found: Sequence[QueueStats]) -> None:
        """Take a sample of all queues. Those that are gone are forgotten."""
        rates = [
            rate
            for stats in found
            if (rate := _rate(self._last.get(stats.queue), stats)) is not None
        ]
        self._rates = {stats.queue: self._of(stats) for stats in found}
        self._last = {stats.queue: stats for stats in found}
        if rates:
            self._total.append(sum(rates))

    def _of(self, stats: QueueStats) -> deque[float]:
        rates = self._rates.get(stats.queue, deque(maxlen=KEPT))
        rate = _rate(self._last.get(stats.queue), stats)
        if rate is not None:
            rates.append(rate)
        return rates

    def of(self, queue: str) -> Sequence[float]:
        """Return the samples of a queue, tasks per second, the latest last."""
        return self._rates.get(queue, ())

    def total(self) -> Sequence[float]:
        """Return the samples of all queues together, the latest last."""
        return self._total


def _rate(before: QueueStats | None, now: QueueStats) -> float | None:
    """Return tasks per second; None if it cannot be told yet."""
    if before is None or now.timestamp <= before.timestamp:
        return None
    # Below zero if somebody deleted the queue and made it anew: then nothing is known.
    done = max(0, now.processed_total - before.processed_total)
    return done / (now.timestamp - before.timestamp)
