"""What keeps entries as a provider of schedules wants them."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, NoReturn

import anyio

from headrace._errors import InvalidOptionError
from headrace._schedule import Schedule
from headrace._scheduling.entry import new_entry

if TYPE_CHECKING:
    from datetime import tzinfo

    from anyio.abc import TaskStatus

    from headrace._log import RateLimitedLog
    from headrace._schedule import ScheduleProvider
    from headrace._scheduling.ticker import Entries

__all__ = ["Sync"]


class Sync:
    """Keeps entries as a provider wants them.

    Args:
        provider: Returns the schedules that are wanted.
        entries: What is enqueued. Those that are there already stay, whatever is wanted.
        location: Time zone of the specs that name none.
        interval: Seconds between calls.
        log: Where failures go.
    """

    def __init__(
        self,
        provider: ScheduleProvider,
        *,
        entries: Entries,
        location: tzinfo,
        interval: float,
        log: RateLimitedLog,
    ) -> None:
        self._provider = provider
        self._entries = entries
        self._fixed = frozenset(entry.id for entry in entries)
        self._location = location
        self._interval = interval
        self._log = log

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> NoReturn:
        """Synchronise until cancelled."""
        task_status.started()
        while True:
            try:
                await self.sync()
            except Exception as error:  # noqa: BLE001 - the user's code: the last answer goes on
                self._log.fault("provider", "The provider of schedules failed", exc=error)
            else:
                self._log.recovered("provider")
            await anyio.sleep(self._interval)

    async def sync(self) -> None:
        """Ask the provider; add what is new, and remove what is wanted no more."""
        answer = self._provider()
        wanted = await answer if inspect.isawaitable(answer) else answer
        new = {}
        for schedule in wanted:
            if not isinstance(schedule, Schedule):
                raise InvalidOptionError("provider", schedule, "it must return Schedule values")
            entry = new_entry(schedule, self._location)
            if entry.id not in self._fixed:
                new[entry.id] = entry  # The same twice is once.
        present = {entry.id: entry for entry in self._entries if entry.id not in self._fixed}
        for entry_id in present.keys() - new.keys():
            self._entries.remove(entry_id)
        for entry_id, entry in new.items():
            known = present.get(entry_id)
            if known is None or known.schedule != entry.schedule:
                self._entries.add(entry)
