"""Schedulers: ticks, the reports of schedulers, and stored schedules."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from headrace._broker.commands import Call, checked
from headrace._broker.keys import (
    QUEUES,
    SCHEDULERS,
    STORED_SCHEDULES,
    scheduler_history_key,
)
from headrace._broker.link import batches
from headrace._broker.writing import answer, when
from headrace._errors import BrokerError
from headrace._message import encode_message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace._broker.commands import Reply
    from headrace._broker.connections import Argument
    from headrace._broker.link import Link
    from headrace._broker.values import Placed, Placement
    from headrace._errors import HeadraceError

__all__ = ["HISTORY_SIZE", "EnqueuedAt", "Schedules", "Tick", "TickReply"]

HISTORY_SIZE = 1_000
HISTORY_SECONDS = 90 * 86_400


@dataclasses.dataclass(frozen=True, slots=True)
class Tick:
    """A tick to be dealt with, and the task that it brings."""

    entry_id: str
    known: str
    """The marker that the entry is known to have."""
    marker: str
    """The one that it gets: the tick, a space, and who dealt with it."""
    keep: int
    """Seconds that the marker is kept."""
    placement: Placement


@dataclasses.dataclass(frozen=True, slots=True)
class TickReply:
    """What became of a tick."""

    now: float
    """Redis's Unix time."""
    marker: str
    """The marker that the entry has; "" for none."""
    outcome: Placed | HeadraceError | None = None
    """None: nothing was written."""


@dataclasses.dataclass(frozen=True, slots=True)
class EnqueuedAt:
    """One enqueue by an entry, for its history."""

    entry_id: str
    event: bytes
    at: float


class Schedules:
    """The scheduler's side."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def first_ticks(self, entries: Sequence[tuple[str, str, int]]) -> list[TickReply]:
        """Find how far entries have come; a new one begins now.

        Args:
            entries: Queue, ID, and seconds that the marker is kept.

        Raises:
            BrokerError: If Redis did not answer.
        """
        found: list[TickReply] = []
        for some in batches(entries):
            calls = [
                Call("first_tick", (self._tick_marker(queue, entry_id),), (self._link.now(), keep))
                for queue, entry_id, keep in some
            ]
            found += [_reply(checked(reply)) for reply in await self._link.commands.run(*calls)]
        return found

    async def tick(self, ticks: Sequence[Tick]) -> list[TickReply | BrokerError]:
        """Write the tasks of ticks that nobody else has dealt with; answer for each.

        Raises:
            BrokerError: If Redis did not answer. The same call again is safe: what an earlier
                try wrote has its marker.
        """
        answers: list[TickReply | BrokerError] = []
        for some in batches(ticks):
            queues = sorted({item.placement.message.queue for item in some})
            known: tuple[Argument, ...] = ("SADD", QUEUES, *queues)
            named, *replies = await self._link.commands.run(known, *map(self._tick_call, some))
            checked(named)
            for item, reply in zip(some, replies, strict=True):
                is_error = isinstance(reply, BrokerError)
                answers.append(reply if is_error else _tick_reply(item.placement, reply))
        self._link.ring()
        return answers

    def _tick_call(self, tick: Tick) -> Call:
        placement, message = tick.placement, tick.placement.message
        keys = self._link.keys(message.queue)
        marker = self._tick_marker(message.queue, tick.entry_id)
        return Call(
            "tick",
            (marker, keys.scheduled, keys.pending, keys.groups),
            (
                *(self._link.now(), tick.known, tick.marker, tick.keep),
                *(keys.task_prefix, keys.group_prefix),
                *(message.id, encode_message(message), message.unique_key),
                *(placement.unique_ttl or 0, *when(placement), message.group_key),
            ),
        )

    def _tick_marker(self, queue: str, entry_id: str) -> str:
        return self._link.keys(queue).tick(entry_id)

    # --- Reports ---------------------------------------------------------------------------

    async def write_scheduler(self, key: str, entries: Sequence[bytes], ttl: float) -> float:
        """Publish a scheduler's entries for *ttl* seconds; return Redis's time."""
        seconds = max(1, round(ttl))
        pieces = list(batches(entries)) or [[]]
        calls = [
            Call("write_scheduler", (key,), (self._link.now(), seconds, int(n > 0), *some))
            for n, some in enumerate(pieces)
        ]
        replies = [checked(reply) for reply in await self._link.reserved.run(*calls)]
        now = float(replies[-1])
        await self._link.reserved.one(("ZADD", SCHEDULERS, int(now) + seconds, key))
        return now

    async def clear_scheduler(self, key: str) -> None:
        """Remove a scheduler's entries from sight."""
        await self._link.reserved.run(("DEL", key), ("ZREM", SCHEDULERS, key))

    async def record_enqueues(self, events: Sequence[EnqueuedAt]) -> None:
        """Add to the history of entries, of which the last 1,000 enqueues are kept.

        Raises:
            BrokerError: If Redis did not answer, or refused some of it.
        """
        for some in batches(events):
            commands: list[tuple[Argument, ...]] = []
            for event in some:
                key = scheduler_history_key(event.entry_id)
                commands += [
                    ("ZADD", key, int(event.at), event.event),
                    ("ZREMRANGEBYRANK", key, 0, -HISTORY_SIZE - 1),
                    ("EXPIRE", key, HISTORY_SECONDS),
                ]
            for reply in await self._link.commands.run(*commands):
                checked(reply)

    # --- Stored schedules ------------------------------------------------------------------

    async def stored_schedules(self) -> dict[str, bytes]:
        """Return the stored schedules by their IDs.

        Raises:
            BrokerError: If Redis did not answer.
        """
        flat = await self._link.commands.one(("HGETALL", STORED_SCHEDULES))
        if isinstance(flat, dict):
            flat = [part for pair in flat.items() for part in pair]
        names, values = flat[::2], flat[1::2]
        return {
            bytes(name).decode("utf-8", "replace"): bytes(value)
            for name, value in zip(names, values, strict=True)
        }

    async def swap_stored_schedule(self, entry_id: str, known: bytes, new: bytes) -> bool:
        """Write a stored schedule if it is as *known*; ``b""`` is none, before or after.

        Raises:
            BrokerError: If Redis did not answer. It may have been written.
        """
        call = Call("swap_field", (STORED_SCHEDULES,), (entry_id, known, new))
        return bool(await self._link.commands.one(call))


def _reply(reply: Reply) -> TickReply:
    return TickReply(float(reply[0]), bytes(reply[1]).decode("utf-8", "replace"))


def _tick_reply(placement: Placement, reply: Reply) -> TickReply:
    found = _reply(reply)
    if len(reply) == 2:  # noqa: PLR2004 - see tick.lua
        return found
    return dataclasses.replace(found, outcome=answer(placement, reply[2]))
