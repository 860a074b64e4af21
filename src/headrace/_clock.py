"""The two sources of the outside world: wall time and randomness.

Everything that Headrace decides by time or chance comes through here, so that a test can
replace both. Waiting uses the event loop's own (monotonic) time instead.
"""

from __future__ import annotations

import random
import time
import uuid
from typing import Protocol

__all__ = ["SYSTEM_CLOCK", "SYSTEM_RANDOM", "Clock", "SystemClock", "new_uuid"]


class Clock(Protocol):
    """Tells the wall time. Scripts do not use it: they ask Redis."""

    def time(self) -> float:
        """Return the Unix time in seconds."""
        ...


class SystemClock:
    """The operating system's wall clock."""

    def time(self) -> float:
        """Return the Unix time in seconds."""
        return time.time()

    def __repr__(self) -> str:
        return "SystemClock()"


SYSTEM_CLOCK: Clock = SystemClock()
# Reads the kernel's generator: two forks of a process never draw the same task ID.
SYSTEM_RANDOM: random.Random = random.SystemRandom()


def new_uuid(rng: random.Random) -> str:
    """Return a random (version 4) UUID drawn from *rng*."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))
