"""Polls again and again: never twice at a time, and on through any outage of Redis."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from headrace import HeadraceError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import NoReturn

__all__ = ["INTERVALS", "Poller"]

INTERVALS: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""Seconds among which the keys choose."""


class Poller:
    """Calls *read* every so often, and *tell* after each call.

    Args:
        read: One poll.
        tell: Told the error of the poll; None if it went well.
        interval: Seconds between the end of a poll and the start of the next one.
    """

    def __init__(
        self,
        read: Callable[[], Awaitable[None]],
        tell: Callable[[HeadraceError | None], None],
        *,
        interval: float,
    ) -> None:
        self._read = read
        self._tell = tell
        self._interval = interval
        self._polling = asyncio.Lock()
        self._woken = asyncio.Event()

    @property
    def interval(self) -> float:
        """Seconds between the end of a poll and the start of the next one."""
        return self._interval

    async def run(self) -> NoReturn:
        """Poll until cancelled."""
        while True:
            self._woken.clear()
            await self.poll()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._interval):
                    await self._woken.wait()

    async def poll(self) -> None:
        """Poll now; if a poll is under way, as soon as it has ended."""
        async with self._polling:
            error: HeadraceError | None = None
            try:
                await self._read()
            except HeadraceError as caught:  # The next poll tries again.
                error = caught
            self._tell(error)

    def wake(self) -> None:
        """Have `run` poll at once, or once more after the poll that is under way."""
        self._woken.set()

    def change_interval(self, steps: int) -> None:
        """Poll less often by so many steps of `INTERVALS`; more often if below zero."""
        if steps > 0:
            slower = [one for one in INTERVALS if one > self._interval]
            self._interval = slower[0] if slower else self._interval
        else:
            faster = [one for one in INTERVALS if one < self._interval]
            self._interval = faster[-1] if faster else self._interval
        self.wake()
