"""How long to wait before the next try, and before the next regular pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

__all__ = ["Backoff", "jittered"]

_FIRST_CEILING = 0.1


class Backoff:
    """Random delays below a ceiling that doubles with every failure.

    The whole range is random, so that the workers which an outage cut off together do not
    come back together.

    Args:
        rng: The source of randomness.
        floor: The shortest delay, in seconds.
        cap: The longest delay, in seconds.
    """

    def __init__(self, rng: random.Random, *, floor: float = 0.05, cap: float = 5.0) -> None:
        self._rng = rng
        self._cap = cap
        self._floor = min(floor, cap)
        self._ceiling = _FIRST_CEILING

    def next(self) -> float:
        """Return the seconds to wait after one more failure."""
        delay = self._rng.uniform(self._floor, max(self._floor, min(self._ceiling, self._cap)))
        self._ceiling = min(self._ceiling * 2, self._cap)
        return delay

    def reset(self) -> None:
        """Begin again with short delays: a try succeeded."""
        self._ceiling = _FIRST_CEILING


def jittered(interval: float, rng: random.Random) -> float:
    """Return *interval* give or take a quarter, so that replicas do not run in step."""
    return interval * rng.uniform(0.75, 1.25)
