"""One pass over several queues, of which one that fails does not hold up the others."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

import anyio

from headrace._errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from headrace._log import RateLimitedLog

__all__ = ["each_queue"]

T = TypeVar("T")


async def each_queue(
    queues: Sequence[str],
    action: Callable[[str], Awaitable[T]],
    *,
    duty: str,
    log: RateLimitedLog,
    at_once: int = 8,
) -> list[T]:
    """Run *action* for every one of *queues*, and return the results of those that succeeded.

    Args:
        queues: Their names.
        action: Gets a queue's name. A BrokerError that it raises is logged.
        duty: What the log says could not be done, such as ``"forward due tasks"``.
        log: Where failures go.
        at_once: How many queues are served at a time: connections are shared.

    Raises:
        BrokerError: If all of the queues failed; it is logged already.
    """
    results: list[T] = []
    errors: list[BrokerError] = []
    slots = asyncio.Semaphore(at_once)

    async def serve(queue: str) -> None:
        try:
            async with slots:
                results.append(await action(queue))
        except BrokerError as error:
            errors.append(error)
            extra = {"queue": queue}
            log.fault((duty, queue), f"Could not {duty} of queue %r", queue, exc=error, extra=extra)
        else:
            log.recovered((duty, queue))

    async with anyio.create_task_group() as tasks:
        for name in queues:
            tasks.start_soon(serve, name)
    if errors and not results:
        raise errors[0]
    return results
