"""``check``: look for damage in Redis, and repair it."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from headrace._cli.complete import complete_queue
from headrace._cli.confirm import confirm
from headrace._cli.connection import Connection, connected
from headrace._cli.console import output_console
from headrace._cli.failure import ExitCode
from headrace._cli.options import JsonOption  # noqa: TC001 - typer reads it
from headrace._cli.output import Column, make_table, print_json
from headrace._cli.progress import progress_bar
from headrace._cli.text import plain, plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from headrace import AuditProgress, Finding

__all__ = ["check"]

_SHOWN = 200
"""Rows of the table. The counts below it are of all."""


@connected
def check(
    connection: Connection,
    *,
    queue: Annotated[
        list[str] | None,
        typer.Option(
            "--queue",
            "-q",
            metavar="NAME",
            show_default=False,
            autocompletion=complete_queue,
            help="Check this queue only. May be repeated.",
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
    if repair and not dry_run:
        confirm("Repair what is found?", yes=yes)
    found = asyncio.run(_audit(connection.url, queue or None, repair=repair and not dry_run))
    if as_json:
        print_json(found)
    else:
        _show(found)
    if any(not finding.repaired for finding in found):
        raise typer.Exit(ExitCode.FAILURE)


async def _audit(redis: str, queues: Sequence[str] | None, *, repair: bool) -> list[Finding]:
    from headrace import Auditor  # noqa: PLC0415 - keeps --help quick

    async with Auditor(redis) as auditor:
        with progress_bar("Checking") as show:

            def progress(now: AuditProgress) -> None:
                show(now.done, now.total)

            findings = auditor.audit(queues, repair=repair, progress=progress)
            return [finding async for finding in findings]


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
    rows = [
        (
            *(str(finding.invariant), finding.queue, finding.subject, finding.problem),
            _repair_text(finding),
        )
        for finding in found
    ]
    rule = Column("RULE", is_number=True)
    return make_table([rule, "QUEUE", "TASK OR KEY", "PROBLEM", "REPAIR"], rows)


def _repair_text(finding: Finding) -> Text:
    if not finding.repair:
        return Text("left to you", style="yellow")
    done = Text(plain(finding.repair), style="green" if finding.repaired else "")
    return done if finding.repaired else Text.assemble(("would be ", "dim"), done)
