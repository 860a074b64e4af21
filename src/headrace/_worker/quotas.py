"""How free slots are shared out among queues. Pure: numbers in, numbers out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Collection, Mapping

__all__ = ["share", "share_among_hungry", "share_by_priority"]


def share(slots: int, weights: Mapping[str, int], rng: random.Random) -> dict[str, int]:
    """Share *slots* out in proportion to the weights.

    What does not come out even is drawn by lot, by weight, so that over many rounds each
    queue gets its proportion, be there only one slot at a time.

    Returns:
        The queues that get something, those with the largest weight first.
    """
    total = sum(weights.values())
    quotas = {queue: slots * weight // total for queue, weight in weights.items()}
    rest = slots - sum(quotas.values())
    candidates = dict(weights)
    while rest > 0 and candidates:
        [queue] = rng.choices(list(candidates), list(candidates.values()))
        del candidates[queue]  # At most one each: the rest is smaller than their number.
        quotas[queue] += 1
        rest -= 1
    order = sorted(weights, key=lambda queue: -weights[queue])
    return {queue: quotas[queue] for queue in order if quotas[queue]}


def share_among_hungry(
    slots: int, weights: Mapping[str, int], hungry: Collection[str], rng: random.Random
) -> dict[str, int]:
    """Share *slots* out, but no more than one to each queue that seems to be empty.

    Args:
        slots: How many there are.
        weights: Of all queues that are to be asked.
        hungry: Those that had no less than they were asked for the last time.
        rng: Draws lots.
    """
    probes = [queue for queue in weights if queue not in hungry]
    if not probes or len(probes) == len(weights) or slots < len(weights):
        return share(slots, weights, rng)
    quotas = share(
        slots - len(probes), {queue: weights[queue] for queue in weights if queue in hungry}, rng
    )
    return quotas | dict.fromkeys(probes, 1)


def share_by_priority(slots: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Give all *slots* to the queue with the largest weight."""
    return {max(weights, key=lambda queue: weights[queue]): slots}
