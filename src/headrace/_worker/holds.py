"""Queues that a limit holds back: which are left alone, and until when."""

from __future__ import annotations

import asyncio
import math

__all__ = ["Holds"]

SHORTEST_HOLD = 0.01
"""How long a queue is left alone at the least, however soon its next task may start."""
_DUST = 1e-6  # A timer of asyncio may be early by as much.


class Holds:
    """Remembers what dequeues said of limits.

    Args:
        longest: Seconds that a queue is left alone at the most: its limits may change.
    """

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._until: dict[str, float] = {}  # In the event loop's time.
        self._full: set[str] = set()
        """Those of them of which one task may start as soon as another one has ended."""
        self._ended: set[str] = set()
        """Queues of which a task has ended here since Redis was asked."""

    def __contains__(self, queue: str) -> bool:
        return queue in self._until

    def asking(self) -> None:
        """Begin to ask Redis: what ends from now on may have come too late for its answer."""
        self._ended.clear()

    def hold(self, queue: str, wait: float) -> None:
        """Leave *queue* alone for *wait* seconds; infinity: until one of its tasks has ended."""
        if math.isinf(wait):
            if queue in self._ended:
                return
            self._full.add(queue)
        wait = max(SHORTEST_HOLD, min(wait, self._longest))
        self._until[queue] = asyncio.get_running_loop().time() + wait

    def let_go(self) -> None:
        """Forget the queues that were left alone for long enough."""
        if self._until:
            now = asyncio.get_running_loop().time() + _DUST
            self._until = {queue: until for queue, until in self._until.items() if until > now}
            self._full &= self._until.keys()

    def task_ended(self, queue: str) -> bool:
        """Let *queue* go if it was full, since one of its tasks has ended; return whether."""
        self._ended.add(queue)
        if queue not in self._full:
            return False
        self._full.discard(queue)
        del self._until[queue]
        return True

    def remaining(self) -> float:
        """Return the seconds until the next queue is to be let go; infinity if there is none."""
        if not self._until:
            return math.inf
        return max(0.0, min(self._until.values()) - asyncio.get_running_loop().time())
