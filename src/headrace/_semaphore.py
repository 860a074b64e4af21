"""Limits what handlers do at the same time, over all workers: asynq's rate semaphore."""

from __future__ import annotations

import contextlib
import logging
import math
from typing import TYPE_CHECKING, Final

import anyio

from headrace._broker.redis import RedisBroker
from headrace._connected import Connected
from headrace._context import current_context
from headrace._errors import BrokerError, InvalidOptionError, RateLimitedError
from headrace._validation import check_group, check_task_id, instant, seconds, whole_number

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import AsyncIterator

    from redis.asyncio import Redis, RedisCluster

__all__ = ["RateSemaphore"]

_log = logging.getLogger("headrace.semaphore")

MOST: Final = 2**31 - 1
LAST_CHANCE: Final = 2.0
"""Seconds that giving back a slot may take when the handler was cancelled."""


class RateSemaphore(Connected):
    """So many slots for all workers; a task that holds one gives it back, or loses it.

    It is that of asynq's ``x/rate`` and shares its slots with Go programs that use the same
    scope. A task has one slot of a scope at the most. A slot whose task's worker dies is free
    again after the attempt's deadline, or as soon as the task itself comes back and takes it.

    It connects when it is first used, and belongs to the event loop that uses it.

    Args:
        redis: A URL, or a client of redis.asyncio; see `Client`.
        scope: What is limited, the same name for all who share the slots.
        max_tokens: How many slots there are, at least 1. All who share them should agree: each
            goes by its own number.

    Raises:
        InvalidOptionError: If an argument cannot be used.
    """

    def __init__(self, redis: str | Redis | RedisCluster, scope: str, max_tokens: int) -> None:
        self._scope = check_group("scope", scope)
        self._max_tokens = whole_number("max_tokens", max_tokens, at_least=1, at_most=MOST)
        self._broker = RedisBroker(redis)

    def __repr__(self) -> str:
        return f"<RateSemaphore {self._scope!r} of {self._max_tokens} {self._broker.address}>"

    async def close(self) -> None:
        """Close the connections. A later call opens new ones; slots stay taken."""
        await self._broker.close()

    @property
    def scope(self) -> str:
        """What is limited."""
        return self._scope

    @property
    def max_tokens(self) -> int:
        """How many slots there are."""
        return self._max_tokens

    @contextlib.asynccontextmanager
    async def slot(self, retry_in: float | dt.timedelta = 5.0) -> AsyncIterator[None]:
        """Hold a slot while the block runs, inside a handler.

        Args:
            retry_in: If none is free: seconds after which the task is to run again.

        Raises:
            RateLimitedError: If none is free. Let it escape from the handler: the task then
                runs again after *retry_in* and spends no retry.
            LookupError: If no handler runs here.
            BrokerError: If Redis did not answer.
        """
        delay = seconds("retry_in", retry_in)
        task_id, deadline = _holder(None, None)
        held = True
        try:
            # If no answer comes, it may have been taken all the same.
            held = await self._acquire(task_id, deadline)
            if not held:
                raise RateLimitedError(self._scope, self._max_tokens, delay)
            yield
        finally:
            if held:
                await self._give_back(task_id, deadline)

    async def _give_back(self, task_id: str, deadline: int) -> None:
        """Release a slot, even if the handler was cancelled. The task need not fail for it."""
        with anyio.move_on_after(LAST_CHANCE, shield=True) as scope:
            try:
                await self._broker.release_token(self._scope, task_id, deadline)
            except BrokerError as error:
                _log.warning(
                    "Could not give back a slot of semaphore %r; it is free at the deadline of "
                    "task %s: %s",
                    self._scope,
                    task_id,
                    error,
                )
        if scope.cancelled_caught:
            _log.warning("Redis took too long to give back a slot of semaphore %r", self._scope)

    async def try_acquire(
        self, task_id: str | None = None, deadline: float | dt.datetime | None = None
    ) -> bool:
        """Take a slot; the holder must `release` it.

        A task that has a slot keeps it, with the new deadline.

        Args:
            task_id: Who takes it. None: the task whose handler runs here.
            deadline: When the slot is free again whatever happens, in Unix seconds or as an
                aware datetime. None: the deadline of the attempt that runs here.

        Returns:
            Whether the holder has a slot now.

        Raises:
            LookupError: If something is left out, and no handler runs here.
            BrokerError: If Redis did not answer. The slot may have been taken.
        """
        return await self._acquire(*_holder(task_id, deadline))

    async def _acquire(self, task_id: str, deadline: int) -> bool:
        return await self._broker.acquire_token(self._scope, self._max_tokens, task_id, deadline)

    async def release(self, task_id: str | None = None) -> bool:
        """Give a slot back, whoever took it.

        Args:
            task_id: Whose slot. None: that of the task whose handler runs here.

        Returns:
            False if that task has none.

        Raises:
            LookupError: If *task_id* is left out, and no handler runs here.
            BrokerError: If Redis did not answer. The slot may have been given back.
        """
        holder = current_context().task_id if task_id is None else check_task_id("task_id", task_id)
        return await self._broker.release_token(self._scope, holder)


def _holder(task_id: str | None, deadline: float | dt.datetime | None) -> tuple[str, int]:
    """Return who takes a slot, and until when: whole Unix seconds."""
    context = current_context() if task_id is None or deadline is None else None
    if task_id is None and context is not None:
        task_id = context.task_id
    if deadline is None and context is not None:
        deadline = context.deadline
    if deadline is None:
        raise InvalidOptionError("deadline", None, "without one a lost slot would never be free")
    return check_task_id("task_id", task_id), math.ceil(instant("deadline", deadline))
