"""How much may run at a time: the limits of queues, and the tokens of semaphores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace._broker.commands import Call, checked
from headrace._broker.keys import QUEUES, semaphore_key
from headrace._errors import BrokerError, InvalidOptionError
from headrace._limits import QueueLimits

if TYPE_CHECKING:
    from headrace._broker.commands import Reply
    from headrace._broker.connections import Argument
    from headrace._broker.link import Link

__all__ = ["Limits"]


class Limits:
    """Writes the limits that dequeue.lua keeps, and serves the semaphores."""

    def __init__(self, link: Link) -> None:
        self._link = link

    # --- Queues ----------------------------------------------------------------------------

    async def set_limits(self, queue: str, limits: QueueLimits | None) -> None:
        """Limit what workers take from *queue*. See `LimitsBroker.set_limits`."""
        fields: list[Argument] = []
        if limits is not None and limits.max_active is not None:
            fields += ("max_active", limits.max_active)
        if limits is not None and limits.rate is not None:
            tasks, seconds = limits.rate
            fields += ("rate_tasks", tasks, "rate_seconds", repr(seconds))
        call = Call("set_limits", (self._link.keys(queue).limits,), fields)
        # Tools shall show a queue that is limited, though nothing was ever enqueued there.
        known: tuple[Argument, ...] = ("SADD", QUEUES, queue)
        applied, *named = await self._link.commands.run(call, *([known] if fields else []))
        checked(applied)
        for reply in named:
            if not (isinstance(reply, BrokerError) and reply.code == "OOM"):
                checked(reply)  # A full Redis must not keep a server from starting to drain it.

    async def limits(self, queue: str) -> QueueLimits | None:
        """Return what limits *queue*; None: nothing.

        Raises:
            BrokerError: If Redis did not answer, or holds what are no limits.
        """
        key = self._link.keys(queue).limits
        fields = ("max_active", "rate_tasks", "rate_seconds")
        reply = await self._link.commands.one(("HMGET", key, *fields))
        try:
            return _limits(reply)
        except (ValueError, InvalidOptionError) as error:
            raise BrokerError(
                f"{key} holds what are no limits ({error}): set them again", retryable=False
            ) from error

    # --- Semaphores ------------------------------------------------------------------------

    async def acquire_token(self, scope: str, tokens: int, holder: str, deadline: int) -> bool:
        """Take one of so many *tokens* for *holder*, until *deadline* at the latest.

        Args:
            scope: Names the semaphore.
            tokens: How many there are.
            holder: The ID of the task that takes it.
            deadline: Whole Unix seconds. In the second after it the token is free again.

        Returns:
            Whether the holder has a token now.
        """
        args = (self._link.now(), tokens, holder, deadline)
        return bool(await self._link.commands.one(Call("acquire", (semaphore_key(scope),), args)))

    async def release_token(self, scope: str, holder: str, deadline: int | None = None) -> bool:
        """Give a token back; False if *holder* has none.

        Args:
            scope: Names the semaphore.
            holder: The ID of the task that has it.
            deadline: What it was taken with; None: any. One that was taken anew is kept.
        """
        args = (holder, "" if deadline is None else deadline)
        call = Call("release_token", (semaphore_key(scope),), args)
        return bool(await self._link.commands.one(call))


def _limits(reply: Reply) -> QueueLimits | None:
    active, tasks, seconds = reply
    limits = QueueLimits(
        max_active=None if active is None else int(active),
        rate=None if tasks is None or seconds is None else (int(tasks), float(seconds)),
    )
    return limits or None
