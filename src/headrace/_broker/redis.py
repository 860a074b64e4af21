"""The broker on Redis: every part of it behind one object."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Final

from headrace._broker.admin import Admin
from headrace._broker.attempts import Attempts
from headrace._broker.auditing.mixin import Auditing
from headrace._broker.connect import connector
from headrace._broker.faults import FOREIGN_ERRORS, broker_error
from headrace._broker.fleet import Fleet
from headrace._broker.groups import Groups
from headrace._broker.inspect import Inspection
from headrace._broker.limits import Limits
from headrace._broker.link import Link
from headrace._broker.listing import Listing
from headrace._broker.schedules import Schedules
from headrace._broker.upkeep import Upkeep
from headrace._broker.waiting import Waiting
from headrace._broker.writing import Writing
from headrace._clock import SYSTEM_CLOCK
from headrace._errors import BrokerUnsuitableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from headrace._clock import Clock

__all__ = ["RedisBroker"]

_log = logging.getLogger("headrace.broker")

MINIMUM_VERSION: Final = (6, 2)


class RedisBroker(
    Writing,
    Attempts,
    Upkeep,
    Groups,
    Listing,
    Inspection,
    Fleet,
    Admin,
    Limits,
    Schedules,
    Auditing,
):
    """Everything that Headrace asks of Redis.

    Args:
        target: A URL, or a client of redis.asyncio, which is not closed by us.
        clock: Tells the time where no script can.
        now: Overrides Redis's time in every script; None: Redis's own. For tests.

    Raises:
        InvalidOptionError: If *target* cannot be used.
    """

    def __init__(
        self,
        target: object,
        *,
        clock: Clock = SYSTEM_CLOCK,
        now: Callable[[], float] | None = None,
    ) -> None:
        link = Link(connector(target), clock=clock, now=now)
        super().__init__(link)
        self._waiting = Waiting(link)

    @property
    def address(self) -> str:
        """Where Redis is, without credentials."""
        return self._link.connector.address

    def __repr__(self) -> str:
        return f"<RedisBroker {self.address}>"

    async def wait_for_pending(
        self, queues: Sequence[str], *, timeout: float, poll_interval: float
    ) -> None:
        """Return when one of *queues* may hold a task. See `ProcessorBroker`."""
        await self._waiting.wait_for_pending(queues, timeout=timeout, poll_interval=poll_interval)

    async def check_server(self, *, allow_eviction: bool) -> None:
        """Refuse a Redis that cannot keep the promises. See `Broker.check_server`."""
        if self._link.connector.bell is not None:
            return
        info = await self._info()
        version = info.get("redis_version", "unknown")
        numbers = re.match(r"(\d+)\.(\d+)", version)
        if numbers is None or (int(numbers[1]), int(numbers[2])) < MINIMUM_VERSION:
            raise BrokerUnsuitableError(
                f"Redis at {self.address} is version {version}; Headrace needs 6.2 or later, for "
                f"BLMOVE and for what its scripts use",
                retryable=False,
            )
        policy = info.get("maxmemory_policy", "noeviction")
        if policy != "noeviction" and not allow_eviction:
            raise BrokerUnsuitableError(
                f"Redis at {self.address} has maxmemory-policy {policy}: when memory is short it "
                f"deletes tasks without a word. Set it to noeviction, or pass "
                f"allow_eviction=True if you accept that",
                retryable=False,
            )
        if info.get("aof_enabled") == "0":
            _log.warning(
                "Redis at %s has its append-only file off: tasks of the last minutes are lost "
                "when it restarts. Set appendonly yes.",
                self.address,
            )

    async def redis_info(self) -> dict[str, str]:
        """Return what Redis tells of itself; nothing from the embedded one."""
        return {} if self._link.connector.bell is not None else await self._info()

    async def _info(self) -> dict[str, str]:
        """Return INFO's fields. On a cluster: those of the node that answers."""
        try:
            reply = await self._link.commands.one(("INFO",))
        except FOREIGN_ERRORS as error:
            raise broker_error(error) from error
        if isinstance(reply, dict):  # redis-py parses it where it knows the command.
            return {key: str(value) for key, value in reply.items()}
        text = bytes(reply).decode()
        return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)

    async def close(self) -> None:
        """Close every connection that this broker opened. It may be used again."""
        await self._waiting.close()
        await self._link.close()
