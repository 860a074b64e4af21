"""What the tests of queue limits have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.broker.helpers import LEASE, new

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace._broker.redis import RedisBroker
    from headrace._broker.values import Dequeued

__all__ = ["ask", "count", "fill"]


async def ask(broker: RedisBroker, quotas: Mapping[str, int]) -> Dequeued:
    """Dequeue, and return all that is said of it."""
    return await broker.dequeue(quotas, token="token", lease_duration=LEASE)


async def fill(broker: RedisBroker, count: int, queue: str = "q") -> None:
    """Enqueue so many tasks."""
    await broker.enqueue([new(f"{queue}{n:05}", queue=queue) for n in range(count)])


def count(got: Dequeued) -> int:
    """Return how many tasks were taken."""
    return len(got.attempts)
