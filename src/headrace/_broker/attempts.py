"""The life of an attempt: dequeued, its lease extended, finished."""

from __future__ import annotations

import logging
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from headrace._broker.commands import Call, checked
from headrace._broker.link import batches
from headrace._broker.values import (
    Applied,
    Archive,
    Attempt,
    Complete,
    Dequeued,
    Done,
    Extended,
    Finish,
    Lease,
    Requeue,
    Retry,
)
from headrace._errors import BrokerError, MessageDecodeError
from headrace._message import decode_message

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace._broker.commands import Reply
    from headrace._broker.connections import Argument
    from headrace._broker.keys import QueueKeys
    from headrace._broker.link import Link
    from headrace._message import TaskMessage

__all__ = ["Attempts"]

_log = logging.getLogger("headrace.broker")

_APPLIED: Final = {int(code): code for code in Applied}
ARCHIVE_SIZE: Final = 10_000
ARCHIVE_SECONDS: Final = 90 * 86_400


class Attempts:
    """The processor's, the finisher's and the heartbeater's scripts."""

    def __init__(self, link: Link) -> None:
        self._link = link

    # --- Dequeue ---------------------------------------------------------------------------

    async def dequeue(
        self, quotas: Mapping[str, int], *, token: str, lease_duration: float
    ) -> Dequeued:
        """Take up to ``quotas[queue]`` tasks of each queue. See `ProcessorBroker.dequeue`."""
        asked = [(queue, size) for queue, quota in quotas.items() for size in _sizes(quota)]
        if not asked:
            return Dequeued((), 0.0)
        replies = await self._link.commands.run(
            *(self._dequeue_call(queue, size, token, lease_duration) for queue, size in asked)
        )
        if all(isinstance(reply, BrokerError) for reply in replies):
            checked(replies[0])
        attempts: list[Attempt] = []
        exhausted, paused, limited = set(), set(), {}
        now = 0.0
        for (queue, size), reply in zip(asked, replies, strict=True):
            if isinstance(reply, BrokerError):  # The others' tasks are taken all the same.
                fault = "Could not dequeue from queue %r"
                self._link.log.fault(("dequeue", queue), fault, queue, exc=reply)
                exhausted.add(queue)
                continue
            self._link.log.recovered(("dequeue", queue))
            moment, is_paused, dropped, taken, wait = reply
            now = float(moment)
            _report_dropped(queue, dropped)
            if len(taken) // 2 + len(dropped) < size:
                exhausted.add(queue)
            if is_paused:
                paused.add(queue)
            if wait:
                limited[queue] = float(wait)
            attempts += await self._attempts(queue, token, taken)
        return Dequeued(attempts, now, frozenset(exhausted), frozenset(paused), limited)

    def _dequeue_call(self, queue: str, size: int, token: str, lease_duration: float) -> Call:
        keys = self._link.keys(queue)
        return Call(
            "dequeue",
            (keys.pending, keys.active, keys.lease, keys.paused, keys.limits, keys.starts),
            (self._link.now(), size, token, repr(lease_duration), keys.task_prefix),
        )

    async def taken_by(self, queues: Sequence[str], *, token: str) -> Dequeued:
        """Find what a dequeue with *token* took whose answer was lost."""
        attempts: list[Attempt] = []
        now = 0.0
        for queue in queues:
            keys = self._link.keys(queue)
            start, length = 0, 1
            while start < length:
                # Newer ones push it down meanwhile; pages overlap, and attempts are unique.
                reply = await self._link.commands.one(
                    Call(
                        "taken_by",
                        (keys.active,),
                        (self._link.now(), token, start, start + 99, keys.task_prefix),
                    )
                )
                moment, length, taken = reply
                now = float(moment)
                attempts += await self._attempts(queue, token, taken)
                start += 50
        unique = {attempt.lease: attempt for attempt in attempts}
        return Dequeued(list(unique.values()), now)

    async def _attempts(self, queue: str, token: str, taken: Reply) -> list[Attempt]:
        attempts = []
        for raw_id, data in zip(taken[::2], taken[1::2], strict=True):
            lease = Lease(queue, raw_id.decode("utf-8", "surrogateescape"), token)
            try:
                message = decode_for(queue, lease.task_id, data)
            except MessageDecodeError as error:
                await self._quarantine(lease, data, error)
            else:
                attempts.append(Attempt(message, data, lease))
        return attempts

    async def _quarantine(self, lease: Lease, data: bytes, error: MessageDecodeError) -> None:
        """Archive a task that cannot be run, its bytes kept for a person to look at."""
        _log.error(
            "Task %r in queue %r cannot be read and is archived as it is: %s",
            lease.task_id,
            lease.queue,
            error,
            extra={"task_id": lease.task_id, "queue": lease.queue},
        )
        key = self._link.keys(lease.queue).task(lease.task_id)
        try:
            await self.annotate(lease, "hr:error", str(error).encode())
            lock = await self._link.commands.one(("HGET", key, "unique_key"))
            await self.finish([Finish(lease, Archive(data), lock or "")])
        except BrokerError as failure:
            # Those that came with it must run. This one comes back when its lease has ended.
            _log.error("Could not archive task %r: %s", lease.task_id, failure)

    # --- Finish ----------------------------------------------------------------------------

    async def finish(self, finishes: Sequence[Finish], *, repeat: bool = False) -> list[Applied]:
        """Apply the ends of attempts; answer for each. See `FinisherBroker.finish`."""
        kinds: defaultdict[tuple[str, type], list[int]] = defaultdict(list)
        for index, finish in enumerate(finishes):
            kinds[finish.lease.queue, type(finish.transition)].append(index)
        plan: list[tuple[Call, list[int]]] = []
        for (queue, kind), indexes in kinds.items():
            in_order = list(batches(indexes))
            # What is given back goes to the very front: what has to be first comes last.
            for some in reversed(in_order) if kind is Requeue else in_order:
                items = [finishes[index] for index in some]
                plan.append((self._finish_call(queue, items, repeat=repeat), some))
        trims = [trim_call(self._link, queue, 100) for queue, kind in kinds if kind is Archive]
        replies = await self._link.commands.run(*(call for call, _ in plan), *trims)

        applied = [Applied.LOST] * len(finishes)
        for (_, indexes), reply in zip(plan, replies, strict=False):
            for index, code in zip(indexes, checked(reply), strict=True):
                applied[index] = _APPLIED[code]
        if any(kind is Requeue for _, kind in kinds):
            self._link.ring()
        return applied

    def _finish_call(self, queue: str, items: Sequence[Finish], *, repeat: bool) -> Call:
        keys = self._link.keys(queue)
        script, more_keys = _finish_script(items[0], keys)
        args: list[Argument] = [self._link.now(), int(repeat), keys.task_prefix]
        for item in items:
            args += (item.lease.task_id, item.lease.token, *_finish_args(item))
        return Call(script, (keys.active, keys.lease, *more_keys), args)

    async def annotate(self, lease: Lease, field: str, value: bytes) -> bool:
        """Write a field of a running task's hash; False if the lease is lost."""
        keys = self._link.keys(lease.queue)
        reply = await self._link.commands.one(
            Call(
                "annotate",
                (keys.lease,),
                (keys.task_prefix, lease.task_id, lease.token, field, value),
            )
        )
        return bool(reply == 1)

    # --- Extend ----------------------------------------------------------------------------

    async def extend(self, leases: Sequence[Lease], duration: float) -> Extended:
        """Extend leases to *duration* seconds from now. See `HeartbeatBroker.extend`."""
        plan = extend_calls(self._link, leases, duration)
        replies = await self._link.reserved.run(*(call for call, _ in plan))
        lost: set[Lease] = set()
        cancelled: set[Lease] = set()
        for (_, some), reply in zip(plan, replies, strict=True):
            for lease, code in zip(some, checked(reply), strict=True):
                if code == Applied.LOST:
                    lost.add(lease)
                elif code == 2:  # noqa: PLR2004 - extend.lua's contract
                    cancelled.add(lease)
        return Extended(frozenset(lost), frozenset(cancelled))


def extend_calls(
    link: Link, leases: Sequence[Lease], duration: float
) -> list[tuple[Call, list[Lease]]]:
    """Return the calls that extend *leases*, each with those that it extends."""
    by_queue: defaultdict[str, list[Lease]] = defaultdict(list)
    for lease in leases:
        by_queue[lease.queue].append(lease)
    plan = []
    for queue, held in by_queue.items():
        keys = link.keys(queue)
        for some in batches(held):
            args: list[Argument] = [link.now(), repr(duration), keys.task_prefix]
            for lease in some:
                args += (lease.task_id, lease.token)
            plan.append((Call("extend", (keys.lease,), args), some))
    return plan


def trim_call(link: Link, queue: str, limit: int) -> Call:
    """Return the call that deletes up to *limit* tasks beyond the archive's bounds."""
    keys = link.keys(queue)
    return Call(
        "trim_archive",
        (keys.archived,),
        (link.now(), limit, keys.task_prefix, ARCHIVE_SIZE, ARCHIVE_SECONDS),
    )


def _sizes(quota: int) -> list[int]:
    """Split a quota into what one script call may take."""
    return [len(some) for some in batches(range(quota))]


def decode_for(queue: str, task_id: str, data: bytes) -> TaskMessage:
    """Return the message in *data*.

    Raises:
        MessageDecodeError: If it is no message, or that of another task.
    """
    message = decode_message(data)
    if (message.id, message.queue) != (task_id, queue):
        raise MessageDecodeError(
            f"the message is of task {message.id!r} in queue {message.queue!r}"
        )
    return message


def _report_dropped(queue: str, dropped: Reply) -> None:
    if dropped:
        _log.error(
            "Dropped IDs from queue %r because no task is behind them: %r",
            queue,
            dropped,
            extra={"queue": queue},
        )


def _finish_script(finish: Finish, keys: QueueKeys) -> tuple[str, tuple[str, ...]]:
    """Return the script of a transition, and its keys behind active and lease."""
    match finish.transition:
        case Done():
            return "done", (keys.processed,)
        case Complete():
            return "complete", (keys.processed, keys.completed)
        case Retry():
            return "retry", (keys.processed, keys.failed, keys.retry)
        case Archive():
            return "archive", (keys.processed, keys.failed, keys.archived)
        case Requeue():
            return "requeue", (keys.pending,)


def _finish_args(finish: Finish) -> tuple[Argument, ...]:
    """Return a script's arguments for one task, behind its ID and token."""
    match finish.transition:
        case Done():
            return (finish.unique_key,)
        case Complete(data, retention, result):
            has_result = int(result is not None)
            return (finish.unique_key, data, retention, has_result, result or b"")
        case Retry(data, delay, is_failure):
            return (data, repr(delay), int(is_failure))
        case Archive(data):
            return (finish.unique_key, data)
        case Requeue():
            return ()
