"""Audits queues, and repairs them, while workers run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from headrace._broker.redis import RedisBroker
from headrace._connected import Connected
from headrace._validation import check_queue, seconds

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from redis.asyncio import Redis, RedisCluster

    from headrace._audit import AuditProgress, Finding

__all__ = ["Auditor"]

DEFAULT_REDIS: Final = "redis://localhost:6379"


class Auditor(Connected):
    """Looks for damage in Redis. What is merely in motion is none.

    It connects when it is first used, and belongs to the event loop that uses it.

    Args:
        redis: A URL, or a client of redis.asyncio; see `Client`.
        settle: Seconds, or a timedelta: how long a janitor has to delete what it should, once
            the audit has come upon it.

    Raises:
        InvalidOptionError: If an argument cannot be used.
    """

    def __init__(
        self, redis: str | Redis | RedisCluster = DEFAULT_REDIS, *, settle: float = 12.0
    ) -> None:
        self._settle = seconds("settle", settle)
        self._broker = RedisBroker(redis)

    def audit(
        self,
        queues: Iterable[str] | None = None,
        *,
        repair: bool = False,
        progress: Callable[[AuditProgress], None] | None = None,
    ) -> AsyncIterator[Finding]:
        """Yield everything that is wrong, each thing once.

        It works in small steps, none of which holds Redis up. Whatever looks wrong is looked at
        again by a script that sees all of it at one instant and, with *repair*, puts it right
        in the same step: so nothing is reported, or touched, that is merely in motion.

        Args:
            queues: Names of the queues to look at. None: all, and the keys that belong to none.
            repair: Put right what can be.
            progress: Called now and then with how far it is.

        Raises:
            InvalidOptionError: If a name cannot be a queue's.
            BrokerError: If Redis did not answer.
        """
        names = None if queues is None else {check_queue("queues", name) for name in queues}
        return self._broker.audit(
            queues=names, repair=repair, settle=self._settle, progress=progress
        )
