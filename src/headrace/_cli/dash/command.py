"""``dash``: the command."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from headrace._cli.connection import Connection, connected
from headrace._cli.failure import CliError, ExitCode
from headrace._cli.text import masked_url

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from headrace import Inspector

__all__ = ["dash"]

_EXTRA = "textual"


@connected
def dash(
    connection: Connection,
    *,
    interval: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="How long to wait between two polls.")
    ] = 2.0,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Only look: no key changes anything.")
    ] = False,
) -> None:
    """Watch queues, tasks, servers and schedulers live, and act on them.

    The key ? shows all keys. Nothing is changed without a confirmation.
    """
    _check_extra()
    _check_terminal()
    code = asyncio.run(_run(connection.url, interval=interval, read_only=read_only))
    if code:
        raise typer.Exit(code)


def _check_extra() -> None:
    try:
        import textual  # noqa: F401, PLC0415 - an extra
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != _EXTRA:
            raise
        raise CliError(
            "dash needs another package",
            hint='Install it: pip install "headrace[dash]"',
            code=ExitCode.FAILURE,
        ) from None


def _check_terminal() -> None:
    # Textual draws on standard error.
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        raise CliError(
            "dash needs a terminal", hint="headrace stats --json tells programs the numbers."
        )


@contextlib.asynccontextmanager
async def _connected(redis: str) -> AsyncIterator[tuple[Inspector, str]]:
    """Connect; yield an inspector, and where it looks, fit to be shown.

    Raises:
        InvalidOptionError: If *redis* cannot be used.
        BrokerError: If Redis does not answer.
    """
    from headrace import Inspector  # noqa: PLC0415 - keeps --help quick

    async with Inspector(redis) as inspector:
        await inspector.ping()
        yield inspector, masked_url(redis)


async def _run(redis: str, *, interval: float, read_only: bool) -> int:
    """Show the dashboard until the user quits; return the exit code."""
    from headrace._cli.dash.app import DashApp, NoticeHandler  # noqa: PLC0415 - an extra

    async with _connected(redis) as (inspector, where):
        app = DashApp(inspector, where=where, interval=interval, read_only=read_only)
        handler = NoticeHandler(app)
        logging.getLogger().addHandler(handler)
        try:
            await app.run_async()
        finally:
            logging.getLogger().removeHandler(handler)
        return app.return_code or ExitCode.OK
