"""Enqueues the tasks of schedules when they are due, by Redis's clock."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Final, NoReturn

import anyio

from headrace._broker.schedules import EnqueuedAt, Tick
from headrace._broker.values import Placed
from headrace._errors import BrokerError
from headrace._fleet_message import SchedulerEnqueueEvent, encode_scheduler_event
from headrace._message import task_info
from headrace._placement import placement
from headrace._scheduling.entry import due_ticks
from headrace._task import TaskState
from headrace._worker._backoff import Backoff

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from anyio.abc import TaskStatus

    from headrace._broker.schedules import Schedules, TickReply
    from headrace._broker.values import Placement
    from headrace._log import RateLimitedLog
    from headrace._scheduling.entry import Entry
    from headrace._scheduling.hooks import Hooks
    from headrace._worker._redisclock import RedisClock

__all__ = ["Entries", "Ticker"]

_AFTER_THE_SECOND: Final = 0.002
_LONGEST_SLEEP: Final = 10.0
"""Seconds after which the clocks are compared again."""
_ANY_TIME: Final = 1_700_000_000
"""How long the marker of a new entry is kept follows from its ticks, at whatever time."""


class Entries:
    """The entries of one scheduler, which may change while it runs."""

    def __init__(self) -> None:
        self._by_id: dict[str, Entry] = {}
        self._changed = asyncio.Event()

    def __iter__(self) -> Iterator[Entry]:
        return iter(list(self._by_id.values()))

    def __contains__(self, entry_id: str) -> bool:
        return entry_id in self._by_id

    def __len__(self) -> int:
        return len(self._by_id)

    def add(self, entry: Entry) -> None:
        """Add an entry, or replace the one with its ID."""
        self._by_id[entry.id] = entry
        self._changed.set()

    def remove(self, entry_id: str) -> bool:
        """Remove an entry; return whether there was one."""
        self._changed.set()
        return self._by_id.pop(entry_id, None) is not None

    def holds(self, entry: Entry) -> bool:
        """Whether *entry* is still the one with its ID."""
        return self._by_id.get(entry.id) is entry

    async def wait(self, seconds: float) -> None:
        """Return when an entry was added or removed, or *seconds* have passed."""
        with anyio.move_on_after(seconds):
            await self._changed.wait()
        self._changed.clear()


class Ticker:
    """One of any number of schedulers that have the same entries.

    Each of them tries to deal with each tick; Redis lets the first one.

    Args:
        broker: Where the tasks go.
        entries: What to enqueue, and when.
        clock: Redis's, told from its answers.
        hooks: What the user wants to be told.
        name: Who it is, among all schedulers.
        log: Where failures go.
        rng: Draws IDs, and spreads the tries while Redis does not answer.
    """

    def __init__(
        self,
        broker: Schedules,
        *,
        entries: Entries,
        clock: RedisClock,
        hooks: Hooks,
        name: str,
        log: RateLimitedLog,
        rng: random.Random,
    ) -> None:
        self._broker = broker
        self._entries = entries
        self._clock = clock
        self._hooks = hooks
        self._log = log
        self._rng = rng
        self._backoff = Backoff(rng, cap=1.0)
        self._pending: dict[str, Tick] = {}
        self._name = name

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> NoReturn:
        """Enqueue what is due until cancelled."""
        task_status.started()
        while True:
            try:
                pause = await self.tick()
            except BrokerError as error:
                # What is due stays due: its misfire policy says for how long.
                self._log.fault("schedule", "Could not enqueue scheduled tasks", exc=error)
                await anyio.sleep(self._backoff.next())
            else:
                self._log.recovered("schedule")
                self._backoff.reset()
                await self._entries.wait(pause)

    async def tick(self) -> float:
        """Enqueue what is due; return the seconds until something is.

        Raises:
            BrokerError: If Redis did not answer.
        """
        await self._find_new()
        if not self._entries:
            return _LONGEST_SLEEP
        while due := self._due():
            await self._deal_with(due)
        wake_at = min((entry.wake_at for entry in self._entries), default=math.inf)
        return min(max(0.0, wake_at - self._clock.time()) + _AFTER_THE_SECOND, _LONGEST_SLEEP)

    async def _find_new(self) -> None:
        """Ask how far entries have come that are new here."""
        new = [entry for entry in self._entries if entry.marker is None]
        if not new:
            return
        asked = anyio.current_time()
        replies = await self._broker.first_ticks(
            [(entry.queue, entry.id, entry.keep(_ANY_TIME)) for entry in new]
        )
        self._clock.observe(asked, anyio.current_time(), replies[-1].now)
        for entry, reply in zip(new, replies, strict=True):
            entry.learn(reply.marker)

    def _due(self) -> list[tuple[Entry, int]]:
        """Return the first tick of each entry that is due."""
        now = self._clock.time()
        found = []
        for entry in self._entries:
            if entry.marker is None or entry.wake_at > now:
                continue
            if ticks := due_ticks(entry, now):
                found.append((entry, ticks[0]))
            else:
                self._pending.pop(entry.id, None)
                entry.wake_at = entry.next_due(now)
        return found

    async def _deal_with(self, due: list[tuple[Entry, int]]) -> None:
        calls = [await self._call(entry, tick) for entry, tick in due]
        asked = anyio.current_time()
        replies = await self._broker.tick(calls)
        answered = anyio.current_time()
        events: list[EnqueuedAt] = []
        failed: BrokerError | None = None
        for (entry, _), call, reply in zip(due, calls, replies, strict=True):
            if not isinstance(reply, BrokerError):
                self._clock.observe(asked, answered, reply.now)
                events += await self._take_in(entry, call, reply)
            elif reply.retryable:
                failed = reply
            else:
                await self._refused(entry, reply)
        await self._record(events)
        if failed is not None:
            raise failed

    async def _call(self, entry: Entry, tick: int) -> Tick:
        """Return the call for a tick; the same as before, if its answer was lost."""
        marker = f"{tick} {self._name}"
        before = self._pending.get(entry.id)
        if before is not None and (before.marker, before.known) == (marker, entry.marker):
            return before
        schedule = entry.schedule
        await self._hooks.before(schedule.task)
        call = Tick(
            entry.id,
            entry.marker or "",
            marker,
            entry.keep(tick),
            placement(schedule.task, schedule.options, rng=self._rng),
        )
        self._pending[entry.id] = call
        return call

    async def _take_in(self, entry: Entry, call: Tick, reply: TickReply) -> list[EnqueuedAt]:
        """Note what became of a tick; return what is to be recorded of it."""
        if reply.outcome is None and reply.marker == call.known:
            # Redis's clock has not come to the tick: ours, which is mended, was ahead.
            entry.wake_at = float(call.marker.partition(" ")[0])
            return []
        self._pending.pop(entry.id, None)
        if not reply.marker:
            entry.marker = None  # Somebody deleted it: begin anew.
            return []
        entry.learn(reply.marker)
        if reply.marker != call.marker:
            return []  # Another scheduler was first.
        task, message = entry.schedule.task, call.placement.message
        if isinstance(reply.outcome, Exception):
            self._log.fault(
                ("refused", entry.id),
                "Schedule %s could not enqueue %s",
                *(entry.schedule.spec, message.type),
                exc=reply.outcome,
            )
            await self._hooks.after(task, None, reply.outcome)
            return []
        self._log.recovered(("refused", entry.id))
        placed = reply.outcome or _placed(call.placement)  # Of an earlier try, no answer came.
        at = placed.process_at or None
        await self._hooks.after(task, task_info(message, placed.state, next_process_at=at), None)
        event = encode_scheduler_event(SchedulerEnqueueEvent(message.id, reply.now))
        return [EnqueuedAt(entry.id, event, reply.now)]

    async def _refused(self, entry: Entry, error: BrokerError) -> None:
        """Leave a tick alone that Redis will not have, now or later."""
        self._pending.pop(entry.id, None)
        self._log.fault(
            ("refused", entry.id), "Redis refused schedule %s", entry.schedule.spec, exc=error
        )
        entry.wake_at = entry.next_due(self._clock.time())
        await self._hooks.after(entry.schedule.task, None, error)

    async def _record(self, events: list[EnqueuedAt]) -> None:
        if not events:
            return
        try:
            await self._broker.record_enqueues(events)
        except BrokerError as error:  # The tasks are enqueued; that counts.
            self._log.fault("history", "Could not write the history of schedules", exc=error)
        else:
            self._log.recovered("history")


def _placed(placement: Placement) -> Placed:
    """Return where a task went that was written, as far as can be told from here."""
    if placement.process_at is not None or placement.process_in is not None:
        return Placed(TaskState.SCHEDULED, placement.process_at or 0.0)
    grouped = bool(placement.message.group_key)
    return Placed(TaskState.AGGREGATING if grouped else TaskState.PENDING, 0.0)
