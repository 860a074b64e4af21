"""The entries of schedulers, and what each of them enqueued."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from rich.text import Text
from textual.widgets import Static

from headrace import SchedulerEntry
from headrace._cli.dash.formatting import ago, due_in, preview, time_text
from headrace._cli.dash.grid import Column, Grid, Row
from headrace._cli.dash.source import EVENTS, EntryReading, entry_queue
from headrace._cli.dash.task import TaskView
from headrace._cli.dash.view import View
from headrace._cli.text import plain, plural

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.widget import Widget
    from textual.widgets import DataTable

    from headrace._cli.dash.source import Source

__all__ = ["EntryView", "SchedulersView"]

_COLUMNS: Final = (
    Column("SPEC", 22),
    Column("TYPE", weight=2),
    Column("QUEUE", 14),
    Column("NEXT", 6, right=True),
    Column("PREV", 6, right=True),
    Column("PAYLOAD", weight=2),
)


class SchedulersView(View[Sequence[SchedulerEntry]]):
    """The entries of all schedulers, the next to be due first."""

    def body(self) -> Iterable[Widget]:
        """Return the widgets between the bars."""
        yield Grid()

    def path(self) -> str:
        """Return where we are."""
        return "Scheduler entries"

    def status(self) -> str:
        """Return how many there are."""
        return "" if self.reading is None else plural(len(self.reading), "entry", "entries")

    async def read(self, source: Source) -> Sequence[SchedulerEntry]:
        """Read the entries."""
        return await source.entries()

    def show(self, reading: Sequence[SchedulerEntry]) -> None:
        """Show a row for each entry."""
        now = self.dash.source.now()
        rows = [
            Row(entry.id, _entry_cells(entry, now))
            for entry in reading
            if self.holds(entry.id, entry.spec, entry.task_type, entry_queue(entry))
        ]
        self.query_one(Grid).fill(_COLUMNS, rows)

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Open the entry under the cursor."""
        event.stop()
        chosen = self.query_one(Grid).current
        if chosen is not None:
            self.app.push_screen(EntryView(chosen))


class EntryView(View[EntryReading]):
    """What an entry enqueued, the latest first.

    Args:
        entry_id: Which entry.
    """

    def __init__(self, entry_id: str) -> None:
        super().__init__()
        self.entry_id: str = entry_id
        self._queue = "default"

    def body(self) -> Iterable[Widget]:
        """Return the widgets between the bars."""
        yield Static(id="selected", markup=False)
        yield Grid()

    def path(self) -> str:
        """Return where we are."""
        return f"Scheduler entries > {self.entry_id}"

    def status(self) -> str:
        """Return how much is shown."""
        if self.reading is None:
            return ""
        count = len(self.reading.events)
        return f"the last {count:,}" if count == EVENTS else f"{count:,} enqueued"

    async def read(self, source: Source) -> EntryReading:
        """Read the entry."""
        return await source.entry(self.entry_id)

    def show(self, reading: EntryReading) -> None:
        """Show a row for each task that was enqueued."""
        now = self.dash.source.now()
        if reading.entry is not None:
            self._queue = entry_queue(reading.entry)
        self.query_one("#selected", Static).update(_entry_text(reading.entry, now))
        rows = [
            Row(event.task_id, [time_text(event.enqueue_time, now), plain(event.task_id)])
            for event in reading.events
            if self.holds(event.task_id)
        ]
        self.query_one(Grid).fill([Column("ENQUEUED", 38), Column("TASK ID")], rows)

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Open the task under the cursor."""
        event.stop()
        chosen = self.query_one(Grid).current
        if chosen is not None:
            self.app.push_screen(TaskView(self._queue, chosen))


def _entry_cells(entry: SchedulerEntry, now: float) -> Sequence[Text | str]:
    return [
        plain(entry.spec),
        plain(entry.task_type),
        plain(entry_queue(entry)),
        due_in(entry.next_enqueue_time or None, now),
        ago(entry.prev_enqueue_time or None, now),
        preview(entry.task_payload),
    ]


def _entry_text(entry: SchedulerEntry | None, now: float) -> Text:
    if entry is None:
        return Text("No living scheduler has this entry.", style="yellow")
    options = ", ".join(plain(option) for option in entry.enqueue_options)
    return Text.assemble(
        (plain(entry.task_type), "bold"),
        f"  {plain(entry.spec)}  next {time_text(entry.next_enqueue_time, now)}",
        f"\n{options}" if options else "",
    )
