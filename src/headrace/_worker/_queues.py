"""Regular passes over several queues, of which one that fails does not hold up the others."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NoReturn, TypeVar

import anyio

from headrace._errors import BrokerError
from headrace._worker._backoff import Backoff, jittered

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable, Sequence

    from headrace._log import RateLimitedLog

__all__ = ["each_queue", "repeat_passes"]

T = TypeVar("T")


async def repeat_passes(
    one_pass: Callable[[], Awaitable[object]], *, interval: float, rng: random.Random
) -> NoReturn:
    """Call *one_pass* again and again until cancelled.

    Args:
        one_pass: A BrokerError that it raises, and has logged, makes the next pass come soon.
        interval: Seconds between passes, give or take a quarter.
        rng: Keeps the replicas of a server out of step.
    """
    backoff = Backoff(rng)
    while True:
        try:
            await one_pass()
        except BrokerError:  # What it left undone is still in Redis.
            await anyio.sleep(backoff.next())
        else:
            backoff.reset()
            await anyio.sleep(jittered(interval, rng))


async def each_queue(
    queues: Sequence[str],
    action: Callable[[str], Awaitable[T]],
    *,
    duty: str,
    log: RateLimitedLog,
    at_once: int = 8,
) -> list[T]:
    """Run *action* for each of *queues*, and return the results of those that succeeded.

    Args:
        queues: Names.
        action: Gets a queue's name. A BrokerError that it raises is logged.
        duty: What the log says could not be done, such as ``"forward due tasks"``.
        log: Where failures go.
        at_once: How many queues are served at a time: connections are shared.

    Raises:
        BrokerError: If all of the queues failed; it is logged already.
    """
    results: list[T] = []
    errors: list[BrokerError] = []
    slots, text = asyncio.Semaphore(at_once), f"Could not {duty} of queue %r"

    async def serve(queue: str) -> None:
        try:
            async with slots:
                results.append(await action(queue))
        except BrokerError as error:
            errors.append(error)
            log.fault((duty, queue), text, queue, exc=error, extra={"queue": queue})
        else:
            log.recovered((duty, queue))

    async with anyio.create_task_group() as tasks:
        for queue in queues:
            tasks.start_soon(serve, queue)
    if errors and not results:
        raise errors[0]
    return results
