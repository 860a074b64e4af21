"""Tells the user's function, again and again, whether Redis answers."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, NoReturn

import anyio

from headrace._errors import BrokerError

if TYPE_CHECKING:
    from anyio.abc import TaskStatus

    from headrace._broker.base import UpkeepBroker
    from headrace._config import HealthCheck
    from headrace._log import RateLimitedLog

__all__ = ["Healthchecker"]


class Healthchecker:
    """Pings Redis and hands on what came of it.

    Args:
        broker: What to ping.
        check: Gets None, or the error. It may be a coroutine function. What it raises is
            logged.
        interval: Seconds from the end of one check to the next.
        log: Where failures of *check* go.
    """

    def __init__(
        self, broker: UpkeepBroker, *, check: HealthCheck, interval: float, log: RateLimitedLog
    ) -> None:
        self._broker = broker
        self._check = check
        self._interval = interval
        self._log = log

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> NoReturn:
        """Check until cancelled."""
        task_status.started()
        while True:
            await self.check()
            await anyio.sleep(self._interval)

    async def check(self) -> None:
        """Ping once and report it. Raises nothing of its own."""
        fault: BrokerError | None = None
        try:
            await self._broker.ping()
        except BrokerError as error:  # The user's function decides what it is worth.
            fault = error
        try:
            outcome = self._check(fault)
            if inspect.isawaitable(outcome):
                await outcome
        except Exception as error:  # noqa: BLE001 - the user's code may raise anything
            self._log.fault("health check", "The health check function failed", exc=error)
        else:
            self._log.recovered("health check")
