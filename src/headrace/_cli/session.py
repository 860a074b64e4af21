"""One visit to Redis: what a command does between its options and its output."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from headrace._cli.failure import CliError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from headrace import Client, Inspector, StoredSchedules
    from headrace._cli.connection import Connection

__all__ = ["client_session", "inspector_session", "schedules_session"]

T = TypeVar("T")


def inspector_session(connection: Connection, work: Callable[[Inspector], Awaitable[T]]) -> T:
    """Return what *work* makes with an inspector.

    Raises:
        CliError: If a queue is not there; it names those that are.
    """
    from headrace import Inspector, QueueNotFoundError  # noqa: PLC0415 - keeps --help quick

    async def visit() -> T:
        async with Inspector(connection.url) as inspector:
            try:
                return await work(inspector)
            except QueueNotFoundError as error:
                raise await _no_queue(inspector, error.queue) from None

    return asyncio.run(visit())


async def _no_queue(inspector: Inspector, queue: str) -> CliError:
    known = await inspector.queues()
    return CliError(
        f"There is no queue {queue!r}",
        hint=f"The queues are: {', '.join(known)}."
        if known
        else "There are no queues yet: one comes into being with its first task.",
        code=ExitCode.FAILURE,
    )


def client_session(connection: Connection, work: Callable[[Client], Awaitable[T]]) -> T:
    """Return what *work* makes with a client."""
    from headrace import Client  # noqa: PLC0415 - keeps --help quick

    async def visit() -> T:
        # Whoever types a payload of any size means it.
        async with Client(connection.url, max_payload_size=None) as client:
            return await work(client)

    return asyncio.run(visit())


def schedules_session(connection: Connection, work: Callable[[StoredSchedules], Awaitable[T]]) -> T:
    """Return what *work* makes with the stored schedules."""
    from headrace import StoredSchedules  # noqa: PLC0415 - keeps --help quick

    async def visit() -> T:
        async with StoredSchedules(connection.url) as schedules:
            return await work(schedules)

    return asyncio.run(visit())
