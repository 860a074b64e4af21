"""``queue limit``: how much of a queue all workers together may run."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated

import typer

from headrace._cli.connection import Connection, connected
from headrace._cli.failure import CliError
from headrace._cli.options import JsonOption, QueueArgument  # noqa: TC001 - typer reads them
from headrace._cli.output import print_json
from headrace._cli.session import inspector_session
from headrace._cli.text import duration_text, plain, plural
from headrace._cli.values import parse_rate

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace import Inspector, QueueLimits

__all__ = ["limit", "limits_text"]

limit: typer.Typer = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")


@limit.callback()
def _limit() -> None:
    """Look at and change what all workers together may run of a queue."""


def limits_text(limits: QueueLimits | None) -> str:
    """Return limits for a person to read."""
    parts = []
    if limits is not None and limits.max_active is not None:
        parts.append(f"{plural(limits.max_active, 'task')} at a time")
    if limits is not None and limits.rate is not None:
        tasks, window = limits.rate
        parts.append(f"{plural(tasks, 'start')} in {duration_text(window)}")
    return ", ".join(parts) or "none"


@limit.command()
@connected
def show(connection: Connection, name: QueueArgument, *, as_json: JsonOption = False) -> None:
    """Show the limits of a queue."""

    async def fetch(inspector: Inspector) -> QueueLimits | None:
        return await inspector.limits(name)

    _print(name, inspector_session(connection, fetch), as_json=as_json)


@limit.command("set")
@connected
def set_(
    connection: Connection,
    name: QueueArgument,
    *,
    max_active: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", show_default=False, help="Tasks at a time."),
    ] = None,
    rate: Annotated[
        str | None,
        typer.Option(
            metavar="TASKS/DURATION",
            show_default=False,
            help="Starts in any span of that length, such as 100/1s or 5/m.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Limit a queue. What is not given stays as it is.

    Headrace's workers notice within a second; what runs goes on. asynq's workers for Go do not
    know of limits.
    """
    if max_active is None and rate is None:
        raise CliError("What is the limit?", hint="Give --max-active, --rate or both.")
    pair = None if rate is None else parse_rate(rate)

    def change(limits: QueueLimits) -> QueueLimits:
        return dataclasses.replace(
            limits,
            max_active=limits.max_active if max_active is None else max_active,
            rate=limits.rate if pair is None else pair,
        )

    _print(name, _changed(connection, name, change), as_json=as_json)


@limit.command()
@connected
def clear(
    connection: Connection,
    name: QueueArgument,
    *,
    max_active: Annotated[
        bool, typer.Option("--max-active", help="Only the limit of tasks at a time.")
    ] = False,
    rate: Annotated[bool, typer.Option("--rate", help="Only the limit of starts.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Lift the limits of a queue: both, unless an option says which."""
    is_both = max_active == rate

    def change(limits: QueueLimits) -> QueueLimits:
        return dataclasses.replace(
            limits,
            max_active=None if max_active or is_both else limits.max_active,
            rate=None if rate or is_both else limits.rate,
        )

    _print(name, _changed(connection, name, change), as_json=as_json)


def _changed(
    connection: Connection, name: str, change: Callable[[QueueLimits], QueueLimits]
) -> QueueLimits | None:
    from headrace import QueueLimits  # noqa: PLC0415 - keeps --help quick

    async def update(inspector: Inspector) -> QueueLimits | None:
        new = change(await inspector.limits(name) or QueueLimits())
        await inspector.set_limits(name, new)
        return new or None

    return inspector_session(connection, update)


def _print(name: str, limits: QueueLimits | None, *, as_json: bool) -> None:
    if as_json:
        print_json({"queue": name, "limits": limits})
    else:
        typer.echo(plain(f"Limits of queue {name!r}: {limits_text(limits)}."))
