"""Enqueue: new tasks into Redis."""

from __future__ import annotations

import logging
from collections import defaultdict
from typing import TYPE_CHECKING

from headrace._broker.commands import Call
from headrace._broker.keys import QUEUES
from headrace._broker.link import batches
from headrace._broker.values import Placed, Placement
from headrace._errors import BrokerError, DuplicateTaskError, HeadraceError, TaskIdConflictError
from headrace._message import encode_message
from headrace._task import TaskState

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from headrace._broker.commands import Reply
    from headrace._broker.connections import Argument
    from headrace._broker.link import Link

__all__ = ["Writing"]

_log = logging.getLogger("headrace.broker")


class Writing:
    """The client's writes."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def enqueue(
        self, placements: Sequence[Placement], *, repeat: bool = False
    ) -> list[Placed | HeadraceError]:
        """Write tasks; answer for each. See `EnqueueBroker.enqueue`.

        Args:
            placements: The tasks.
            repeat: An earlier try of the same call may have been applied.
        """
        if not placements:
            return []
        answers: list[Placed | HeadraceError | None] = [None] * len(placements)
        plan = list(self._plan(placements, repeat=repeat))
        queues = sorted({placement.message.queue for placement in placements})
        # First, so that no queue holds a task without being known.
        known: tuple[Argument, ...] = ("SADD", QUEUES, *queues)
        named, *replies = await self._link.commands.run(known, *(call for call, _ in plan))
        _check_named(named, replies)
        for (_, indexes), reply in zip(plan, replies, strict=True):
            if isinstance(reply, BrokerError):
                for index in indexes:
                    answers[index] = reply
                continue
            for index, item in zip(indexes, reply, strict=True):
                answers[index] = answer(placements[index], item)
        self._link.ring()
        return [item for item in answers if item is not None]

    def _plan(
        self, placements: Sequence[Placement], *, repeat: bool
    ) -> Iterator[tuple[Call, list[int]]]:
        """Yield script calls, each with the indexes of its tasks."""
        kinds: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        for index, placement in enumerate(placements):
            kinds[placement.message.queue, _script(placement)].append(index)
        for (queue, script), indexes in kinds.items():
            for some in batches(indexes):
                items = [placements[index] for index in some]
                yield self._call(queue, script, items, repeat=repeat), some

    def _call(self, queue: str, script: str, items: Sequence[Placement], *, repeat: bool) -> Call:
        keys = self._link.keys(queue)
        args: list[Argument] = [self._link.now(), int(repeat), keys.task_prefix]
        if script != "enqueue":
            args.append(keys.group_prefix)
        for item in items:
            message = item.message
            args += (message.id, encode_message(message), message.unique_key, item.unique_ttl or 0)
            if script == "schedule":
                args += (*when(item), message.group_key)
            elif script == "add_to_group":
                args.append(message.group_key)
        by_script = {
            "enqueue": (keys.pending,),
            "schedule": (keys.scheduled, keys.pending, keys.groups),
            "add_to_group": (keys.groups,),
        }
        return Call(script, by_script[script], args)


def _check_named(named: Reply, replies: Sequence[Reply]) -> None:
    """Raise the error that kept the queues' names from being written, if it is worth it."""
    if not isinstance(named, BrokerError):
        return
    if all(isinstance(reply, BrokerError) for reply in replies):
        raise named
    if named.retryable:
        named.ambiguous = True  # The tasks have been written, or some of them.
        raise named
    _log.error("Could not write the names of queues, which hides them from tools: %s", named)


def _script(placement: Placement) -> str:
    if placement.process_at is not None or placement.process_in is not None:
        return "schedule"
    return "add_to_group" if placement.message.group_key else "enqueue"


def when(placement: Placement) -> tuple[Argument, Argument]:
    """Return a script's arguments process_at and process_in; "" for the one not given."""
    at, delay = placement.process_at, placement.process_in
    return "" if at is None else repr(at), "" if delay is None else repr(delay)


def answer(placement: Placement, reply: Reply) -> Placed | HeadraceError:
    """Return what a script's reply for one task means."""
    message = placement.message
    if isinstance(reply, int):
        if reply > 1:
            return Placed(TaskState.SCHEDULED, float(reply))
        state = TaskState.AGGREGATING if message.group_key else TaskState.PENDING
        return Placed(state, 0.0)
    kind, detail = (bytes(part).decode("utf-8", "replace") for part in reply)
    if kind == "repeated":
        return Placed(TaskState.from_name(detail), placement.process_at or 0.0)
    if kind == "conflict":
        return TaskIdConflictError(message.queue, message.id, detail)
    if kind == "duplicate":
        return DuplicateTaskError(message.queue, message.type, message.unique_key, detail)
    return BrokerError(
        f"Redis refused task {message.id!r}: a key that it needs holds something else ({detail})",
        retryable=False,
        code="WRONGTYPE",
    )
