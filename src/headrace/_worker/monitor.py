"""Watches the event loop: how late it is, and that it runs at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import anyio

if TYPE_CHECKING:
    from anyio.abc import TaskStatus

    from headrace._events import Events
    from headrace._health import Vitals

__all__ = ["LoopMonitor"]


class LoopMonitor:
    """Wakes up now and then, and looks by how much too late.

    Args:
        vitals: Learns that the loop runs.
        events: Learns how late it was.
    """

    def __init__(self, vitals: Vitals, events: Events) -> None:
        self._vitals = vitals
        self._events = events

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> NoReturn:
        """Watch until cancelled."""
        task_status.started()
        while True:
            await anyio.sleep(self._vitals.tick)
            self.look()

    def look(self) -> None:
        """Take note of one wake-up."""
        late = self._vitals.ticked()
        if self._events.observers:
            self._events.tell(lambda observer: observer.loop_late(late))
