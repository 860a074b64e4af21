"""What the demo shows: a progress bar, then tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from headrace._cli.console import error_console, output_console
from headrace._cli.text import plain, plural, size_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from rich.progress import Task as Bar

    from headrace._cli.demo.report import Totals

__all__ = ["Screen", "show_failures", "show_summary"]

MAX_EXTENSIONS = 20
MAX_FAILURES = 10


class _RateColumn(ProgressColumn):
    """Files and bytes a second, over the whole run."""

    def render(self, task: Bar) -> Text:
        """Return the column's text."""
        elapsed = task.finished_time or task.elapsed
        if not elapsed or not task.completed:
            return Text("")
        rate = task.completed / elapsed
        speed = size_text(task.fields["bytes"] / elapsed)
        return Text(f"{rate:,.0f} files/s  {speed}/s", style="progress.data.speed")


class Screen:
    """A live progress bar on standard error; nothing where that is no terminal."""

    def __init__(self, files: int) -> None:
        console = error_console()
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            _RateColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
            expand=True,
        )
        self._bar = self._progress.add_task("Examining files", total=files, bytes=0)
        self._bytes = 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def examined(self, size: int) -> None:
        """Count a file of *size* bytes."""
        self._bytes += size
        self._progress.update(self._bar, advance=1, bytes=self._bytes)


def show_failures(failures: Sequence[tuple[bytes, str]]) -> None:
    """Name the files that could not be read, on standard error."""
    if not failures:
        return
    console = error_console()
    console.print(f"Could not read {plural(len(failures), 'path')}:", style="yellow")
    for path, reason in failures[:MAX_FAILURES]:
        shown = path.decode("utf-8", "backslashreplace")
        console.print(f"  {plain(shown)}: {plain(reason)}", markup=False, soft_wrap=True)
    if len(failures) > MAX_FAILURES:
        console.print(f"  ... and {len(failures) - MAX_FAILURES:,} more", style="dim")


def show_summary(
    by_extension: Mapping[str, Totals], totals: Totals, *, digest: str, seconds: float, where: str
) -> None:
    """Print the sums per extension, the totals and the throughput, on standard output."""
    console = output_console()
    if by_extension:
        console.print(_extension_table(by_extension, totals))
        console.print()
    rate = totals.files / seconds if seconds else 0.0
    speed = size_text(totals.bytes / seconds if seconds else 0.0)
    work = (plural(totals.files, "file"), size_text(totals.bytes), plural(totals.lines, "line"))
    retried = plural(totals.retried, "retry", "retries")
    for line in (
        f"{', '.join(work)}, in {seconds:.2f} s: {rate:,.0f} files/s, {speed}/s",
        f"{retried}, {totals.failed:,} failed, through {where}",
        f"SHA-256 of the list of hashes: {digest}",
    ):
        console.print(line, markup=False, soft_wrap=True)


def _extension_table(by_extension: Mapping[str, Totals], totals: Totals) -> Table:
    table = Table(header_style="bold", box=None, pad_edge=False, show_footer=True)
    table.add_column("EXTENSION", footer="total", overflow="fold")
    sums = (totals.files, totals.bytes, totals.lines, totals.retried, totals.failed)
    names = ("FILES", "SIZE", "LINES", "RETRIED", "FAILED")
    for name, cell in zip(names, _cells(*sums), strict=True):
        table.add_column(name, footer=cell, justify="right")
    shown = list(by_extension.items())
    for kind, part in shown[:MAX_EXTENSIONS]:
        cells = _cells(part.files, part.bytes, part.lines, part.retried, part.failed)
        table.add_row(plain(kind), *cells)
    if len(shown) > MAX_EXTENSIONS:
        table.add_row(f"[dim]... {len(shown) - MAX_EXTENSIONS:,} more extensions[/]")
    return table


def _cells(files: int, size: int, lines: int, retried: int, failed: int) -> tuple[str, ...]:
    return (f"{files:,}", size_text(size), f"{lines:,}", f"{retried:,}", f"{failed:,}")
