"""Shell completion of what only Redis knows. It fails in silence: the shell shows nothing."""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
from typing import TYPE_CHECKING

import typer  # noqa: TC002 - typer reads the annotations

if TYPE_CHECKING:
    from headrace._cli.connection import Connection

__all__ = ["complete_queue"]

PATIENCE = 1.0
"""Seconds after which a Redis that does not answer is left alone."""


def complete_queue(context: typer.Context, incomplete: str) -> list[str]:
    """Return the names of queues that begin with *incomplete*; none if Redis is out of reach."""
    from headrace._cli.connection import resolve  # noqa: PLC0415 - it imports what uses this

    logging.disable()
    # Nothing but names may reach the command line that is being typed.
    with contextlib.suppress(Exception), contextlib.redirect_stderr(io.StringIO()):
        names = asyncio.run(_queues(resolve(context)))
        return [name for name in names if name.startswith(incomplete)]
    return []


async def _queues(connection: Connection) -> list[str]:
    from headrace import Inspector  # noqa: PLC0415 - only once there is something to complete

    async with asyncio.timeout(PATIENCE), Inspector(connection.url) as inspector:
        return await inspector.queues()
