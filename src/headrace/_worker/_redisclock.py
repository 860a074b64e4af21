"""Redis's clock, which decides when anything is due."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from headrace._log import RateLimitedLog

__all__ = ["RedisClock"]

_MAX_DRIFT = 0.001
_JUMP = 0.5


class RedisClock:
    """Redis's clock, told from the event loop's.

    Redis read its clock some time between question and answer, so each answer bounds the
    difference of the clocks from both sides; the bounds of several answers narrow it down
    further than the best of them, and a slow answer does no harm.
    """

    def __init__(self, log: RateLimitedLog) -> None:
        self._log = log
        self._low, self._high, self._observed_at = -math.inf, math.inf, 0.0

    def observe(self, asked: float, answered: float, redis_time: float) -> None:
        """Take in an answer: *asked* and *answered* in loop time, *redis_time* in Unix time."""
        low, high = redis_time - answered, redis_time - asked
        drift = _MAX_DRIFT * (answered - self._observed_at)
        known_low, known_high = self._low - drift, self._high + drift
        jump = max(low - known_high, known_low - high)
        if jump > 0:  # One of the clocks was set: what was known is worth nothing.
            if jump > _JUMP:
                self._log.logger.warning(
                    "Redis's clock and this process's moved by %.1f s against each other",
                    jump,
                    extra={"seconds": jump},
                )
            self._low, self._high = low, high
        else:
            self._low, self._high = max(low, known_low), min(high, known_high)
        self._observed_at = answered

    def time(self) -> float:
        """Return Redis's Unix time. Only after an answer."""
        return anyio.current_time() + (self._low + self._high) / 2
