"""The two sources of the outside world: wall time and randomness.

Everything that Headrace decides by time or chance comes through here, so that a test can
replace both. Waiting uses the event loop's own (monotonic) time instead.
"""

from __future__ import annotations

import random
import time
from typing import Final, Protocol

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


# The bits of a UUID that are fixed, and what they are: version 4, variant 0b10.
_UUID_MASK: Final = 0xF << 76 | 0x3 << 62
_UUID_VERSION_4: Final = 0x4 << 76 | 0x2 << 62


def new_uuid(rng: random.Random) -> str:
    """Return a random (version 4) UUID drawn from *rng*.

    What `uuid.UUID` does (RFC 9562, 5.4), at a third of the time: each task takes one.
    """
    bits = rng.getrandbits(128) & ~_UUID_MASK | _UUID_VERSION_4
    text = f"{bits:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
