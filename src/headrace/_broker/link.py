"""What every part of the Redis broker holds in common."""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, TypeVar

from headrace._broker.commands import Commands
from headrace._broker.keys import QueueKeys
from headrace._broker.values import MAX_ITEMS
from headrace._clock import SYSTEM_CLOCK
from headrace._log import RateLimitedLog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from headrace._broker.single import Connector
    from headrace._clock import Clock

__all__ = ["Link", "batches"]

T = TypeVar("T")


def batches(items: Sequence[T]) -> Iterator[list[T]]:
    """Yield *items* in pieces that one script call may handle."""
    for start in range(0, len(items), MAX_ITEMS):
        yield list(items[start : start + MAX_ITEMS])


class Link:
    """The connections of one broker, opened when they are first needed.

    Args:
        connector: Makes them.
        clock: Tells the time where a message, which no script can encode, must hold it.
        now: Overrides Redis's time in every script; None: Redis's own. For tests.
    """

    def __init__(
        self,
        connector: Connector,
        *,
        clock: Clock = SYSTEM_CLOCK,
        now: Callable[[], float] | None = None,
    ) -> None:
        self.connector = connector
        self.clock = clock
        self._now = now
        self.keys = functools.cache(QueueKeys)
        self.log = RateLimitedLog(logging.getLogger("headrace.broker"))

    @functools.cached_property
    def commands(self) -> Commands:
        """For everything that waits for nothing."""
        return Commands(self.connector.commands())

    @functools.cached_property
    def reserved(self) -> Commands:
        """For the heartbeat, which must not queue behind the rest."""
        return Commands(self.connector.reserved())

    def now(self) -> str:
        """Return the scripts' argument for the time: "" asks Redis."""
        return "" if self._now is None else repr(self._now())

    def ring(self) -> None:
        """Wake the processors of this process that wait for a task in memory."""
        if self.connector.bell is not None:
            self.connector.bell.ring()

    async def close(self) -> None:
        """Close the connections that were opened."""
        for name in ("commands", "reserved"):
            commands = self.__dict__.pop(name, None)
            if commands is not None:
                await commands.close()
