"""Writes the ends of attempts, many in one round trip."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace._errors import BrokerError
from headrace._groupcommit import GroupCommit

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from headrace._broker.base import FinisherBroker
    from headrace._broker.values import Applied, Finish
    from headrace._events import Events
    from headrace._log import RateLimitedLog
    from headrace._worker.syncer import Syncer

__all__ = ["Finisher"]


class Finisher:
    """Commits the ends of attempts in groups. What it cannot write goes to the syncer.

    Args:
        broker: Where to write.
        syncer: Takes over what could not be written.
        log: Where failures go.
        events: Tells how many were written at once; None: nobody asks.
    """

    def __init__(
        self,
        broker: FinisherBroker,
        syncer: Syncer,
        *,
        log: RateLimitedLog,
        events: Events | None = None,
    ) -> None:
        self._broker = broker
        self._syncer = syncer
        self._log = log
        self._events = events
        self._commit: GroupCommit[tuple[Finish, float], Applied | None] = GroupCommit(self._write)

    def finish(self, finish: Finish, lease_until: float) -> asyncio.Future[Applied | None]:
        """Write the end of an attempt, whether the answer is waited for or not.

        Args:
            finish: What to write.
            lease_until: When its lease ends, in the event loop's time.

        Returns:
            What became of it; None if Redis did not answer, and the syncer tries on.
        """
        return self._commit.submit((finish, lease_until))

    async def drain(self) -> None:
        """Return when everything was written, or handed to the syncer."""
        await self._commit.drain()

    async def _write(
        self, group: Sequence[tuple[Finish, float]]
    ) -> Sequence[Applied | Exception | None]:
        try:
            answers = await self._broker.finish([finish for finish, _ in group])
        except BrokerError as error:
            self._log.fault("finish", "Could not write the ends of tasks", exc=error)
            for finish, lease_until in group:
                self._syncer.add([finish], lease_until)
            return [None] * len(group)
        self._log.recovered("finish")
        if self._events is not None and self._events.observers:
            self._events.tell(lambda observer: observer.ends_written(len(group)))
        return answers
