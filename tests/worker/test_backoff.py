"""Delays between tries."""

from __future__ import annotations

import random
from itertools import pairwise

from headrace._worker._backoff import Backoff, jittered
from tests.support.randomness import seeded


class HighestDraw(random.Random):
    """Always draws the upper end of a range."""

    def uniform(self, a: float, b: float) -> float:
        """Return the upper end."""
        return max(a, b)


def test_ceiling_doubles_up_to_the_cap() -> None:
    """The longest possible delay doubles from a tenth of a second to five seconds."""
    backoff = Backoff(HighestDraw())

    assert [backoff.next() for _ in range(8)] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


def test_delays_stay_between_floor_and_ceiling() -> None:
    """No delay is so short that tries would spin, and the whole range is used."""
    backoff = Backoff(seeded())
    delays = [backoff.next() for _ in range(1000)]

    assert all(0.05 <= delay <= 5.0 for delay in delays)
    assert min(delays[10:]) < 0.5
    assert max(delays) > 4.5


def test_reset_begins_again() -> None:
    """After a success the delays are short again."""
    backoff = Backoff(HighestDraw())
    for _ in range(20):
        backoff.next()
    backoff.reset()

    assert backoff.next() == 0.1


def test_cap_below_the_floor_wins() -> None:
    """A lease of milliseconds is tried for within milliseconds."""
    assert Backoff(HighestDraw(), cap=0.01).next() == 0.01


def test_same_seed_same_delays() -> None:
    """All randomness comes from the injected source."""
    first, second = Backoff(seeded(1)), Backoff(seeded(1))

    assert [first.next() for _ in range(9)] == [second.next() for _ in range(9)]


def test_jitter_keeps_within_a_quarter() -> None:
    """Regular passes come about as often as configured, but never in step."""
    rng = seeded()
    intervals = [jittered(8.0, rng) for _ in range(100)]

    assert all(6.0 <= interval <= 10.0 for interval in intervals)
    assert all(first != second for first, second in pairwise(intervals))
