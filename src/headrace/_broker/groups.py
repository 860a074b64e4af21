"""Groups: from waiting tasks to an aggregation set to one aggregated task."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from headrace._broker.attempts import decode_for
from headrace._broker.commands import Call
from headrace._broker.link import batches
from headrace._broker.values import SET_LIFETIME, AggregationSet
from headrace._broker.writing import answer, when
from headrace._errors import BrokerError, HeadraceError, MessageDecodeError
from headrace._message import encode_message

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from headrace._broker.connections import Argument
    from headrace._broker.link import Link
    from headrace._broker.values import GroupLimits, Placed, Placement
    from headrace._message import TaskMessage

__all__ = ["Groups"]

_log = logging.getLogger("headrace.broker")

SET_SIZE: Final = 1_000
"""How many tasks a set holds at the most. They are moved and deleted by Redis's own commands
for many items, which is why it is more than a script may handle one by one."""
RECLAIM_ITEMS: Final = 100


class Groups:
    """The aggregator's scripts."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def groups(self, queue: str) -> Sequence[str]:
        """Return the names of the groups that hold tasks."""
        names = await self._link.commands.one(("SMEMBERS", self._link.keys(queue).groups))
        return sorted(bytes(name).decode("utf-8", "surrogateescape") for name in names)

    async def check_group(
        self, queue: str, group: str, set_id: str, limits: GroupLimits
    ) -> AggregationSet | None:
        """Take a ripe group's tasks into a new set; None if the group is not ripe."""
        keys = self._link.keys(queue)
        reply = await self._link.commands.one(
            Call(
                "aggregation_check",
                (
                    keys.group(group),
                    keys.groups,
                    keys.aggregation_sets,
                    keys.aggregation_set(group, set_id),
                ),
                (
                    self._link.now(),
                    group,
                    limits.max_size,
                    repr(limits.max_delay),
                    repr(limits.grace_period),
                    int(SET_LIFETIME),
                    SET_SIZE,
                    keys.task_prefix,
                ),
            )
        )
        if not reply:
            return None
        deadline, tasks = reply
        messages, bad = _decode(queue, tasks[::2], tasks[1::2])
        if bad:
            await self._drop(queue, group, set_id, bad)
        return AggregationSet(queue, group, set_id, messages, float(deadline))

    async def _drop(self, queue: str, group: str, set_id: str, bad: Sequence[bytes]) -> None:
        keys = self._link.keys(queue)
        set_key = keys.aggregation_set(group, set_id)
        more_keys = (keys.aggregation_sets, keys.archived, keys.processed, keys.failed)
        archived = 0
        for ids in batches(bad):
            args: tuple[Argument, ...] = (self._link.now(), keys.task_prefix, *ids)
            archived += await self._link.commands.one(
                Call("drop_member", (set_key, *more_keys), args)
            )
        _log.error(
            "%d tasks of group %r in queue %r cannot be read (%d of them archived as they are): %r",
            len(bad),
            group,
            queue,
            archived,
            bad[:10],
            extra={"queue": queue},
        )

    async def aggregate(
        self, taken: AggregationSet, placement: Placement, *, repeat: bool = False
    ) -> Placed | HeadraceError:
        """Write the aggregated task and delete the set with its tasks, in one step."""
        keys = self._link.keys(taken.queue)
        message = placement.message
        reply = await self._link.commands.one(
            Call(
                "aggregate",
                (
                    keys.aggregation_set(taken.group, taken.set_id),
                    keys.aggregation_sets,
                    keys.pending,
                    keys.scheduled,
                ),
                (
                    self._link.now(),
                    int(repeat),
                    keys.task_prefix,
                    message.id,
                    encode_message(message),
                    message.unique_key,
                    placement.unique_ttl or 0,
                    *when(placement),
                    *_locks(taken),
                ),
            )
        )
        self._link.ring()
        if reply == 0:
            return BrokerError(
                f"The aggregation of group {taken.group!r} in queue {taken.queue!r} took longer "
                f"than {SET_LIFETIME:g} s: its tasks went back into the group",
                code="OVERDUE",
            )
        return answer(placement, reply)

    async def reclaim(self, queue: str) -> int:
        """Put tasks of sets past their deadline back into their groups; return how many."""
        keys = self._link.keys(queue)
        return int(
            await self._link.commands.one(
                Call(
                    "reclaim",
                    (keys.aggregation_sets, keys.groups),
                    (self._link.now(), RECLAIM_ITEMS, keys.group_prefix),
                )
            )
        )


def _decode(
    queue: str, ids: Sequence[bytes], datas: Sequence[bytes]
) -> tuple[list[TaskMessage], list[bytes]]:
    """Return the messages, and the IDs of those that cannot be read."""
    messages, bad = [], []
    for task_id, data in zip(ids, datas, strict=True):
        try:
            messages.append(decode_for(queue, task_id.decode("utf-8", "surrogateescape"), data))
        except MessageDecodeError:
            bad.append(task_id)
    return messages, bad


def _locks(taken: AggregationSet) -> Iterator[str]:
    """Yield the ID and the lock's key of each member that has a lock."""
    for member in taken.messages:
        if member.unique_key:
            yield member.id
            yield member.unique_key
