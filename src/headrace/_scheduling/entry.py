"""A schedule as a scheduler has it: identified, with its ticks, and what is made up for."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import uuid
from typing import TYPE_CHECKING, Final

from headrace._fleet_message import SchedulerEntry, encode_scheduler_entry
from headrace._schedule import All
from headrace._scheduling.gonotation import enqueue_options
from headrace._task import DEFAULT_QUEUE

if TYPE_CHECKING:
    from datetime import tzinfo

    from headrace._cron import Ticks
    from headrace._schedule import Schedule

__all__ = ["MISSED_AFTER", "Entry", "due_ticks", "new_entry"]

MISSED_AFTER: Final = 10.0
"""Seconds after which a tick that nobody has dealt with was missed, and not merely late."""

_NAMESPACE: Final = uuid.UUID("c7a1f3a2-9d7e-5d0c-8f0e-6b1f6a3f7f11")
_KEEP: Final = 7 * 86_400
_WINDOWS: Final = (60, 3_600, 86_400, 32 * 86_400, 400 * 86_400)


@dataclasses.dataclass(slots=True)
class Entry:
    """One schedule, and how far it has come. Times are Redis's Unix seconds."""

    id: str
    schedule: Schedule
    ticks: Ticks
    marker: str | None = None
    """What Redis holds of the last tick that was dealt with; None: not asked yet."""
    wake_at: float = 0.0
    """When the next tick is due."""
    previous: float = 0.0
    """The last tick that this scheduler saw dealt with; 0: none."""

    @property
    def queue(self) -> str:
        """The queue of its tasks."""
        return self.schedule.options.queue or DEFAULT_QUEUE

    @property
    def last_tick(self) -> int:
        """The last tick that was dealt with."""
        return _tick_of(self.marker)

    def learn(self, marker: str) -> None:
        """Take over what Redis holds of the last tick."""
        before = self.marker
        self.marker = marker
        if before is not None and self.last_tick > _tick_of(before):
            self.previous = self.last_tick

    def due(self, tick: int) -> float:
        """Return when *tick* is dealt with: after its jitter, which all schedulers agree on."""
        jitter = self.schedule.jitter
        following = self.ticks.after(tick)
        if not jitter:
            return tick
        if following is not None:
            jitter = min(jitter, following - tick)
        digest = hashlib.sha256(f"{self.id} {tick}".encode()).digest()
        return tick + jitter * int.from_bytes(digest[:7]) / 2**56

    def next_due(self, now: float) -> float:
        """Return when the first tick is due that is not yet at *now*; infinite: never again."""
        for tick in _newest(self.ticks, self.last_tick, now, 1):  # Its jitter may not have passed.
            if self.due(tick) > now:
                return self.due(tick)
        following = self.ticks.after(max(self.last_tick, now))
        return math.inf if following is None else self.due(following)

    def keep(self, tick: float) -> int:
        """Return for how many seconds the marker of *tick* must be kept at least."""
        first = self.ticks.after(tick)
        second = None if first is None else self.ticks.after(first)
        if first is None or second is None:
            return _KEEP
        return _KEEP + 2 * int(max(first - tick, second - first))

    def encode(self, now: float) -> bytes:
        """Return its report, as asynq writes it."""
        following = self.ticks.after(max(now, self.last_tick))
        return encode_scheduler_entry(
            SchedulerEntry(
                id=self.id,
                spec=self.schedule.spec,
                task_type=self.schedule.task.type,
                task_payload=self.schedule.task.payload,
                enqueue_options=enqueue_options(self.schedule.options),
                next_enqueue_time=following or 0,
                prev_enqueue_time=self.previous,
            )
        )


def new_entry(schedule: Schedule, location: tzinfo) -> Entry:
    """Return *schedule* with its ID: the same for the same schedule, wherever it runs."""
    identity = [
        " ".join(schedule.spec.split()),
        str(location),
        schedule.task.type,
        schedule.task.payload.hex() if schedule.task.has_payload else None,
        enqueue_options(schedule.options),
    ]
    made = str(uuid.uuid5(_NAMESPACE, json.dumps(identity)))
    return Entry(schedule.entry_id or made, schedule, schedule.ticks(location))


def due_ticks(entry: Entry, now: float) -> list[int]:
    """Return the ticks of *entry* to be enqueued at *now*, oldest first.

    A late tick is enqueued; if some were missed, the misfire policy says which are.
    """
    misfire, last = entry.schedule.misfire, entry.last_tick
    first = entry.ticks.after(last)
    if first is None or first > now:
        return []
    limit = misfire.limit if isinstance(misfire, All) else 1
    if now - entry.due(first) <= MISSED_AFTER:
        ticks = _between(entry.ticks, last, now)
    else:
        ticks = _newest(entry.ticks, last, now, limit + 1)
        # One whose jitter has not passed is not due, and does not count.
        ticks = [tick for tick in ticks if entry.due(tick) <= now][-limit:]
        if misfire == "skip":
            ticks = [tick for tick in ticks if now - entry.due(tick) <= MISSED_AFTER]
    return [tick for tick in ticks if entry.due(tick) <= now]


def _newest(ticks: Ticks, last: int, now: float, count: int) -> list[int]:
    """Return the *count* newest ticks after *last* and up to *now*, or all if there are fewer."""
    for window in _WINDOWS:
        begin = now - window
        if begin <= last:
            break
        found = _between(ticks, begin, now)
        if len(found) >= count:
            return found[-count:]
    return _between(ticks, last, now)[-count:]


def _between(ticks: Ticks, begin: float, end: float) -> list[int]:
    found: list[int] = []
    tick = ticks.after(begin)
    while tick is not None and tick <= end:
        found.append(tick)
        tick = ticks.after(tick)
    return found


def _tick_of(marker: str | None) -> int:
    return int((marker or "0").partition(" ")[0])
