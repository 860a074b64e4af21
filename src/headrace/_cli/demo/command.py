"""``demo``: hash the files of a directory in the background."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headrace._cli.connection import Connection, connected
from headrace._cli.failure import CliError, ExitCode
from headrace._cli.logs import LogLevel, configure_logging
from headrace._cli.options import JsonOption  # noqa: TC001 - typer reads it
from headrace._cli.output import print_json
from headrace._cli.text import masked_url

if TYPE_CHECKING:
    from headrace._cli.demo.files import Listing
    from headrace._cli.demo.report import Report

__all__ = ["demo"]

DEFAULT_CONCURRENCY = 100


@connected
def demo(
    connection: Connection,
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH",
            exists=True,
            file_okay=False,
            show_default="the current directory",
            help="The directory whose files are examined, with all below it.",
        ),
    ] = Path(),
    *,
    concurrency: Annotated[
        int, typer.Option("--concurrency", "-c", min=1, help="Files at a time.")
    ] = DEFAULT_CONCURRENCY,
    as_json: JsonOption = False,
) -> None:
    """Hash every file under PATH in the background, and report by extension.

    One task per file computes its SHA-256, size and line count in a thread. The results are
    aggregated per extension. The first attempt of every hundredth file fails on purpose and is
    retried. Without --redis the tasks go through the broker inside this process.

    Files that cannot be read are named, and counted as failed; the exit code is 0 all the same.
    """
    from headrace._cli.demo.files import find_files  # noqa: PLC0415 - keeps --help quick

    redis = connection.given_url
    began = time.perf_counter()
    listing = find_files(os.fsencode(path))
    report = _run(listing, redis, concurrency)
    if report.problem:
        raise CliError(report.problem, code=ExitCode.FAILURE)
    _show(listing, report, time.perf_counter() - began, redis, as_json=as_json)


def _run(listing: Listing, redis: str | None, concurrency: int) -> Report:
    from headrace._cli.demo.runner import run_demo  # noqa: PLC0415 - keeps --help quick
    from headrace._cli.demo.screen import Screen  # noqa: PLC0415

    _configure_logging()
    # As Ctrl+C: what is left on Redis is deleted first.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    with Screen(len(listing.paths)) as screen:
        return asyncio.run(
            run_demo(listing, redis=redis, concurrency=concurrency, on_examined=screen.examined)
        )


def _configure_logging() -> None:
    """Show warnings, but for the failures that are meant to be."""
    from headrace._cli.demo.files import StoppedError  # noqa: PLC0415
    from headrace._cli.demo.tasks import PlannedFailureError  # noqa: PLC0415

    def unplanned(record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, (PlannedFailureError, StoppedError))

    configure_logging(LogLevel.WARNING)
    for handler in logging.getLogger().handlers:
        handler.addFilter(unplanned)


def _show(
    listing: Listing, report: Report, seconds: float, redis: str | None, *, as_json: bool
) -> None:
    from headrace._cli.demo.screen import show_failures, show_summary  # noqa: PLC0415

    totals = report.totals()
    totals.failed += len(listing.unreadable)
    show_failures([*report.failures(), *listing.unreadable])
    if as_json:
        summary = {
            "files": totals.files,
            "bytes": totals.bytes,
            "lines": totals.lines,
            "retried": totals.retried,
            "digest": report.digest(),
            "seconds": round(seconds, 3),
            "failed": totals.failed,
        }
        print_json(summary)
        return
    show_summary(
        report.by_extension(),
        totals,
        digest=report.digest(),
        seconds=seconds,
        where=masked_url(redis) if redis else "the embedded broker",
    )
