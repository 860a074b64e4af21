"""How slots are shared out among queues."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace._worker.quotas import share, share_among_hungry, share_by_priority
from tests.support.randomness import seeded

WEIGHTS = st.dictionaries(st.text(min_size=1), st.integers(1, 1_000), min_size=1, max_size=12)
SLOTS = st.integers(1, 2_000)


@given(SLOTS, WEIGHTS, st.integers())
def test_every_slot_is_given_once(slots: int, weights: dict[str, int], seed: int) -> None:
    """All slots are given, to queues of the mapping, and none of them gets a zero."""
    quotas = share(slots, weights, seeded(seed))

    assert slots == sum(quotas.values())
    assert set(quotas) <= set(weights)
    assert all(quota > 0 for quota in quotas.values())


@given(SLOTS, WEIGHTS, st.integers())
def test_no_share_is_off_by_more_than_one(slots: int, weights: dict[str, int], seed: int) -> None:
    """Each queue gets its proportion, rounded down or up."""
    quotas = share(slots, weights, seeded(seed))
    total = sum(weights.values())

    for queue, weight in weights.items():
        assert quotas.get(queue, 0) in {slots * weight // total, slots * weight // total + 1}


def test_single_slots_are_drawn_by_weight() -> None:
    """Over many rounds with one slot each queue gets its proportion: none starves."""
    rng = seeded()
    counts = Counter(next(iter(share(1, {"a": 6, "b": 3, "c": 1}, rng))) for _ in range(5_000))

    assert pytest.approx(3_000, rel=0.1) == counts["a"]
    assert pytest.approx(1_500, rel=0.1) == counts["b"]
    assert pytest.approx(500, rel=0.2) == counts["c"]


def test_heavier_queues_come_first() -> None:
    """Queues are asked in the order of their weights."""
    assert ["b", "c", "a"] == list(share(100, {"a": 1, "b": 5, "c": 3}, seeded()))


@given(SLOTS, WEIGHTS, st.data(), st.integers())
def test_queues_that_seem_empty_get_one_slot(
    slots: int, weights: dict[str, int], data: st.DataObject, seed: int
) -> None:
    """While others are hungry, a queue that seems empty gets one slot, not its share."""
    hungry = data.draw(st.sets(st.sampled_from(sorted(weights))))
    quotas = share_among_hungry(slots, weights, hungry, seeded(seed))

    assert slots == sum(quotas.values())
    if 0 < len(hungry) < len(weights) <= slots:
        assert all(quotas[queue] == 1 for queue in set(weights) - hungry)


def test_strict_priority_gives_all_to_the_heaviest() -> None:
    """With strict priority the heaviest queue is asked for everything."""
    assert {"b": 7} == share_by_priority(7, {"a": 1, "b": 5, "c": 3})
