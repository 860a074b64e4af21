"""Listens for tasks to be cancelled."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import anyio

from headrace._errors import BrokerError
from headrace._worker._backoff import Backoff

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from anyio.abc import TaskStatus

    from headrace._broker.base import UpkeepBroker
    from headrace._log import RateLimitedLog

__all__ = ["Subscriber"]

_FAULT = "listen for cancellations"
_LASTING = 5.0


class Subscriber:
    """Hands the IDs of tasks to be cancelled to the server, and reconnects for good.

    Requests that come while it is disconnected are lost to it; the heartbeat finds those
    that were also written to the task.

    Args:
        broker: Where requests come from.
        cancel: Gets the ID of a task, which may well run elsewhere. Must not block.
        log: Where failures go.
        rng: Spreads reconnections.
    """

    def __init__(
        self,
        broker: UpkeepBroker,
        *,
        cancel: Callable[[str], None],
        log: RateLimitedLog,
        rng: random.Random,
    ) -> None:
        self._broker = broker
        self._cancel = cancel
        self._log = log
        self._backoff = Backoff(rng)

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> NoReturn:
        """Listen until cancelled."""
        task_status.started()
        while True:
            connected_at = anyio.current_time()
            try:
                await self.listen()
            except BrokerError as error:
                self._log.fault(_FAULT, "Could not %s", _FAULT, exc=error)
            if anyio.current_time() - connected_at > _LASTING:
                self._backoff.reset()  # That was a connection that worked.
            await anyio.sleep(self._backoff.next())

    async def listen(self) -> None:
        """Hand on requests as long as the connection holds.

        Raises:
            BrokerError: If it broke, or could not be made.
        """
        async for task_id in self._broker.cancellations():
            self._log.recovered(_FAULT)
            self._backoff.reset()
            self._cancel(task_id)
