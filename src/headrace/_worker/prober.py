"""Reports tasks that change state to the user's prober."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from typing import TYPE_CHECKING, NoReturn

import anyio

if TYPE_CHECKING:
    from anyio.abc import TaskStatus

    from headrace._config import TaskStateProber
    from headrace._log import RateLimitedLog
    from headrace._task import TaskInfo

__all__ = ["StateProber"]

_MAX_WAITING = 10_000


class StateProber:
    """Collects reports, and hands them to the user's function one after another.

    The worker does not wait for that function. If it is too slow for good, the oldest
    reports are dropped, which is logged.

    Args:
        prober: What to report and to whom; None: nothing.
        log: Where failures of the user's function go.

    Attributes:
        active: Whether anything is to be reported. Check it before you build a `TaskInfo`.
    """

    def __init__(self, prober: TaskStateProber | None = None, *, log: RateLimitedLog) -> None:
        self._log = log
        self._waiting: deque[tuple[TaskStateProber, dict[str, object]]] = deque()
        self._reported = asyncio.Event()
        self._turn = asyncio.Lock()
        self._prober: TaskStateProber | None = None
        self.active = False
        self.set(prober)

    def set(self, prober: TaskStateProber | None) -> None:
        """Report to *prober* from now on; None: to nobody."""
        self._prober = prober
        self.active = prober is not None and bool(prober.probers)

    def report(self, info: TaskInfo) -> None:
        """Take note that a task has changed to the state that *info* shows."""
        prober = self._prober
        if prober is None:
            return
        what = prober.probers.get(str(info.state)) or prober.probers.get("*")
        if what is None:
            return
        if len(self._waiting) >= _MAX_WAITING:
            self._waiting.popleft()
            self._log.fault(
                "prober is slow",
                "The state prober does not keep up: more than %d reports wait, and the oldest "
                "are dropped",
                _MAX_WAITING,
            )
        self._waiting.append((prober, _selected(what, info)))
        self._reported.set()

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> NoReturn:
        """Deliver reports until cancelled."""
        task_status.started()
        while True:
            await self._reported.wait()
            self._reported.clear()
            await self.deliver()

    async def deliver(self) -> None:
        """Hand over every report that waits, and return when the last is delivered."""
        async with self._turn:
            while self._waiting:
                prober, report = self._waiting.popleft()
                try:
                    outcome = prober.handler(report)
                    if inspect.isawaitable(outcome):
                        await outcome
                except Exception as error:  # noqa: BLE001 - the user's code may raise anything
                    extra = {"queue": report["queue"], "task_id": report["task_id"]}
                    self._log.fault("prober", "The state prober failed", exc=error, extra=extra)


def _selected(what: str, info: TaskInfo) -> dict[str, object]:
    report: dict[str, object] = {
        "task_id": info.id,
        "queue": info.queue,
        "state": str(info.state),
    }
    if what == "next":
        report["next"] = info.next_process_at
    elif what == "result":
        report["result"] = info.result
    else:
        report["task"] = info
    return report
