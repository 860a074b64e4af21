"""All queues."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from rich.text import Text
from textual.binding import Binding
from textual.widgets import Static

from headrace._cli.dash.actions import Queues, Request, Verb
from headrace._cli.dash.formatting import count_text, rate_text, short_duration, spark
from headrace._cli.dash.grid import Column, Grid, Row
from headrace._cli.dash.queue import QueueView
from headrace._cli.dash.source import Overview
from headrace._cli.dash.view import View
from headrace._cli.text import duration_text, plain, plural, short_count, size_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from textual.binding import BindingType
    from textual.widget import Widget
    from textual.widgets import DataTable

    from headrace import QueueStats
    from headrace._cli.dash.source import Source

__all__ = ["QueuesView"]

_NARROW: Final = ("size", "pending", "active", "scheduled", "retry", "archived")
_WIDE: Final = (*_NARROW, "completed", "aggregating")
_LABELS: Final = {
    "size": "SIZE",
    "pending": "PEND",
    "active": "ACT",
    "scheduled": "SCHED",
    "retry": "RETRY",
    "archived": "ARCH",
    "completed": "COMPL",
    "aggregating": "AGGR",
}
_STYLES: Final = {"active": "green", "retry": "yellow", "archived": "red"}


class QueuesView(View[Overview]):
    """A row for each queue."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "pause", "Pause/resume"),
        Binding("space", "mark", "Mark", key_display="␣"),
    ]

    def body(self) -> Iterable[Widget]:
        """Return the widgets between the bars."""
        yield Static(id="total", markup=False)
        yield Grid()
        yield Static(id="selected", markup=False)

    def path(self) -> str:
        """Return where we are."""
        return "Queues"

    async def read(self, source: Source) -> Overview:
        """Count all queues."""
        return await source.overview()

    def show(self, reading: Overview) -> None:
        """Show the queues, their sum, and more of the one under the cursor."""
        rows = [
            Row(stats.queue, self._cells(stats, reading), "‖" if stats.paused else "")
            for stats in reading.queues
            if self.holds(stats.queue)
        ]
        self.query_one(Grid).fill(self._columns(), rows)
        self.query_one("#total", Static).update(_total_text(reading, self.size.width - 2))
        self._show_selected()

    def _columns(self) -> Sequence[Column]:
        counts = _WIDE if self.is_wide else _NARROW
        return [
            Column("QUEUE", weight=2 if self.is_wide else 1),
            *(Column(_LABELS[name], 6, right=True) for name in counts),
            Column("LAT", 6, right=True),
            *([Column("MEMORY", 11, right=True)] if self.is_wide else []),
            Column("PROC", 6, right=True),
            Column("FAIL", 6, right=True),
            Column("/S", 6, right=True),
            Column("", 24 if self.is_wide else 6),
        ]

    def _cells(self, stats: QueueStats, reading: Overview) -> Sequence[Text | str]:
        counts = _WIDE if self.is_wide else _NARROW
        rates = reading.throughput.of(stats.queue)
        memory = "-" if stats.memory_usage is None else size_text(stats.memory_usage)
        late = short_duration(stats.latency) if stats.latency else ""
        return [
            Text(plain(stats.queue), style="yellow" if stats.paused else ""),
            *(count_text(getattr(stats, each), _STYLES.get(each, "")) for each in counts),
            late,
            *([memory] if self.is_wide else []),
            count_text(stats.processed),
            count_text(stats.failed, "red"),
            rate_text(rates),
            Text(spark(rates, 23 if self.is_wide else 5), style="cyan"),
        ]

    def _show_selected(self) -> None:
        stats = self._selected()
        place = self.query_one("#selected", Static)
        place.display = stats is not None
        if stats is None:
            return
        memory = "unknown" if stats.memory_usage is None else size_text(stats.memory_usage)
        facts = [
            f"completed {stats.completed:,}",
            f"aggregating {stats.aggregating:,} in {plural(stats.groups, 'group')}",
            f"memory {memory}",
            f"latency {duration_text(stats.latency)}",
            f"{short_count(stats.processed_total)} processed in all",
            f"{short_count(stats.failed_total)} failed",
        ]
        head = Text(plain(stats.queue), style="bold")
        if stats.paused:
            head.append(" (paused)", style="yellow")
        place.update(Text.assemble(head, "  ", " · ".join(facts)))

    def _selected(self) -> QueueStats | None:
        name = self.query_one(Grid).current
        queues = self.reading.queues if self.reading is not None else ()
        return next((stats for stats in queues if stats.queue == name), None)

    def on_data_table_row_highlighted(self) -> None:
        """Show more of the queue under the cursor."""
        self._show_selected()

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Open the queue under the cursor."""
        event.stop()
        name = self.query_one(Grid).current
        if name is not None:
            self.app.push_screen(QueueView(name))

    def action_pause(self) -> None:
        """Pause the queues that are chosen; resume them if the one under the cursor is paused."""
        grid, selected = self.query_one(Grid), self._selected()
        if selected is None:
            return
        verb = Verb.RESUME if selected.paused else Verb.PAUSE
        self.dash.request(Request(verb, Queues(grid.chosen())), grid.unmark)


def _total_text(reading: Overview, width: int) -> Text:
    """Return the sum of all queues, and how their throughput went."""
    if not reading.queues:
        return Text("No queues yet: a queue comes into being with its first task.", style="dim")
    size = sum(stats.size for stats in reading.queues)
    rates = reading.throughput.total()
    text = Text(f"{plural(len(reading.queues), 'queue')}, {plural(size, 'task')}")
    text.append(f"   {rate_text(rates) or '-'}/s processed ")
    text.append(spark(rates, width - text.cell_len), style="cyan")
    text.truncate(max(1, width))
    return text
