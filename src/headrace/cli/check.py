"""``check``: look for damage in Redis, and repair it."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from headrace.cli.console import error_console, output_console
from headrace.cli.failure import ExitCode, explained
from headrace.cli.options import JsonOption, RedisOption  # noqa: TC001 - typer reads them
from headrace.cli.text import plain, plural

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.table import Table

    from headrace import AuditProgress, Finding

__all__ = ["check"]

DEFAULT_REDIS = "redis://localhost:6379"
_SHOWN = 200
"""Rows of the table. The counts below it are of all."""


@explained
def check(
    *,
    redis: RedisOption = None,
    queue: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", show_default=False, help="Check this queue only. May be repeated."
        ),
    ] = None,
    repair: Annotated[bool, typer.Option("--repair", help="Put right what is found.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --repair: only show what it would do.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Repair without asking.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Look for tasks, locks and groups that are damaged, while workers run.

    Nothing that is merely in motion is reported, or touched. The exit code is 0 if nothing is
    wrong, or all of it was repaired, and 1 if something is left.
    """
    url = redis or DEFAULT_REDIS
    wanted = queue or None
    if repair and not dry_run and not yes:
        typer.confirm("Repair what is found?", abort=True, err=True)
    found = asyncio.run(_audit(url, wanted, repair=repair and not dry_run, quiet=as_json))
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(finding) for finding in found]))
    else:
        _show(found)
    if any(not finding.repaired for finding in found):
        raise typer.Exit(ExitCode.FAILURE)


async def _audit(
    redis: str, queues: Sequence[str] | None, *, repair: bool, quiet: bool
) -> list[Finding]:
    from rich.progress import Progress  # noqa: PLC0415 - keeps --help quick

    from headrace import Auditor  # noqa: PLC0415

    console = error_console()
    show = console.is_terminal and not quiet
    async with Auditor(redis) as auditor:
        with Progress(console=console, transient=True, disable=not show) as bar:
            progress = _shown_in(bar)
            findings = auditor.audit(queues, repair=repair, progress=progress)
            return [finding async for finding in findings]


def _shown_in(bar: object) -> Callable[[AuditProgress], None]:
    from rich.progress import Progress  # noqa: PLC0415 - keeps --help quick

    assert isinstance(bar, Progress)  # noqa: S101 - for the type checker
    task = bar.add_task("Checking", total=None)

    def update(progress: AuditProgress) -> None:
        bar.update(task, completed=progress.done, total=progress.total)

    return update


def _show(found: Sequence[Finding]) -> None:
    console = output_console()
    if not found:
        console.print("Nothing is wrong.")
        return
    console.print(_table(found[:_SHOWN]))
    if len(found) > _SHOWN:
        console.print(f"... and {len(found) - _SHOWN:,} more; --json lists all.", style="dim")
    repaired = sum(finding.repaired for finding in found)
    counts = Counter(finding.invariant for finding in found)
    kinds = ", ".join(f"{number:,} of rule {rule}" for rule, number in sorted(counts.items()))
    console.print(f"\n{plural(len(found), 'finding')} ({kinds}): {repaired:,} repaired.")
    left = len(found) - repaired
    if any(finding.repair and not finding.repaired for finding in found):
        console.print("headrace check --repair puts right what can be.", style="dim")
    elif left:
        console.print(f"{left:,} left for you to look at.", style="dim")


def _table(found: Sequence[Finding]) -> Table:
    from rich.table import Table  # noqa: PLC0415 - keeps --help quick

    table = Table(header_style="bold", box=None, pad_edge=False)
    table.add_column("RULE", justify="right", no_wrap=True)
    for heading in ("QUEUE", "TASK OR KEY", "PROBLEM", "REPAIR"):
        table.add_column(heading, overflow="fold")
    for finding in found:
        table.add_row(
            Text(str(finding.invariant)),
            Text(plain(finding.queue)),
            Text(plain(finding.subject)),
            Text(plain(finding.problem)),
            _repair_text(finding),
        )
    return table


def _repair_text(finding: Finding) -> Text:
    if not finding.repair:
        return Text("left to you", style="yellow")
    done = Text(plain(finding.repair), style="green" if finding.repaired else "")
    return done if finding.repaired else Text.assemble(("would be ", "dim"), done)
