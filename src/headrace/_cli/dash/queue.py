"""One queue: its facts, and its tasks by state."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from rich.text import Text
from textual.binding import Binding
from textual.widgets import Static

from headrace import TaskState
from headrace._cli.dash.actions import Queues, Request, Verb
from headrace._cli.dash.formatting import rate_text, spark
from headrace._cli.dash.grid import Grid
from headrace._cli.dash.tasks import TasksView
from headrace._cli.dash.view import Pane
from headrace._cli.text import duration_text, plain, short_count, size_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from textual.binding import BindingType
    from textual.widget import Widget

    from headrace import DailyStats, GroupInfo, QueueLimits
    from headrace._cli.dash.source import Listing, QueueReading

__all__ = ["QueueView"]

# In the order of a task's life. The second name is for narrow terminals.
_TABS: Final = {
    TaskState.PENDING: ("Pending", "Pend"),
    TaskState.ACTIVE: ("Active", "Act"),
    TaskState.SCHEDULED: ("Scheduled", "Sched"),
    TaskState.RETRY: ("Retry", "Retry"),
    TaskState.ARCHIVED: ("Archived", "Arch"),
    TaskState.COMPLETED: ("Completed", "Compl"),
    TaskState.AGGREGATING: ("Aggregating", "Aggr"),
}
_STATES: Final[tuple[TaskState | None, ...]] = (None, *_TABS)
_SHOWN_GROUPS: Final = 8
_NAME: Final = 13


class QueueView(TasksView):
    """A queue: first its facts, then a tab for each state of its tasks.

    Args:
        queue: Its name.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "shift(-1)", show=False),
        Binding("right,l", "shift(1)", show=False),
        Binding("p", "pause", "Pause"),
    ]

    def __init__(self, queue: str) -> None:
        super().__init__(queue, TaskState.PENDING)
        self._tab = 0

    def body(self) -> Iterable[Widget]:
        """Return the widgets between the bars."""
        yield Static(id="tabs", markup=False)
        yield Pane()
        yield Grid(paged=True, shifts=True)

    def on_mount(self) -> None:
        """Begin with the facts."""
        super().on_mount()
        self._show_tab()

    def path(self) -> str:
        """Return where we are."""
        return f"Queues > {self.queue}"

    def status(self) -> str:
        """Return which page this is."""
        paused = self.reading is not None and self.reading.stats.paused
        page = super().status() if self._tab else ""
        return " · ".join(filter(None, ("paused" if paused else "", page)))

    def listing(self) -> Listing | None:
        """Return what is wanted."""
        return super().listing() if self._tab else None

    def show(self, reading: QueueReading) -> None:
        """Show the tabs, and what is on the one that is open."""
        self.query_one("#tabs", Static).update(self._tabs_text())
        if self._tab:
            super().show(reading)
        elif reading.listing is None:
            self.query_one(Pane).fill(_facts_text(reading, self.size.width - 4))

    def _tabs_text(self) -> Text:
        text = Text(no_wrap=True)
        stats = self.reading.stats if self.reading is not None else None
        for number, state in enumerate(_STATES):
            label = " Facts "
            if state is not None:
                name = _TABS[state][0 if self.is_wide else 1]
                count = short_count(getattr(stats, str(state))) if stats is not None else ""
                label = f" {name} {count} "
            text.append(label, style="reverse bold" if number == self._tab else "")
        return text

    def action_shift(self, step: int) -> None:
        """Go to another tab."""
        self._tab = (self._tab + step) % len(_STATES)
        state = _STATES[self._tab]
        if state is not None:
            self.state, self.page = state, 1
        grid = self.query_one(Grid)
        grid.unmark()
        grid.fill((), ())
        self._show_tab()
        self.dash.poller.wake()

    def _show_tab(self) -> None:
        grid, pane = self.query_one(Grid), self.query_one(Pane)
        grid.display, pane.display = bool(self._tab), not self._tab
        (grid if self._tab else pane).focus()
        self.query_one("#tabs", Static).update(self._tabs_text())
        self.refresh_bindings()
        self.draw_bars()

    def on_grid_shifted(self, event: Grid.Shifted) -> None:
        """Go to another tab."""
        self.action_shift(event.step)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether a key works: the facts are no tasks."""
        if not self._tab and action in {"act", "act_all", "mark", "filter"}:
            return False
        return super().check_action(action, parameters)

    def action_pause(self) -> None:
        """Pause this queue, or resume it."""
        if self.reading is not None:
            verb = Verb.RESUME if self.reading.stats.paused else Verb.PAUSE
            self.dash.request(Request(verb, Queues([self.queue])), lambda: None)


def _facts_text(reading: QueueReading, width: int) -> Text:
    stats = reading.stats
    memory = "unknown" if stats.memory_usage is None else size_text(stats.memory_usage)
    lines = [
        ("state", Text("paused", "bold yellow") if stats.paused else Text("open", "green")),
        ("size", Text(f"{stats.size:,} tasks, and {stats.completed:,} completed ones")),
        ("latency", Text(duration_text(stats.latency))),
        ("memory", Text(memory)),
        ("limits", Text(_limits_text(reading.limits))),
        ("groups", Text(_groups_text(reading.groups))),
        ("today", _done_text(stats.processed, stats.failed)),
        ("in all", _done_text(stats.processed_total, stats.failed_total)),
        ("per second", _rates_text(reading.rates, width - _NAME)),
    ]
    text = Text()
    for name, value in lines:
        text.append(f"{name:<{_NAME}}", style="dim").append_text(value).append("\n")
    text.append("\nProcessed by day (UTC), ").append("failed", style="red").append(" among them\n")
    return text.append_text(_history_text(reading.history, width))


def _done_text(processed: int, failed: int) -> Text:
    return Text.assemble(
        f"{processed:,} processed, ", (f"{failed:,} failed", "red" if failed else "")
    )


def _limits_text(limits: QueueLimits | None) -> str:
    if not limits:
        return "none"
    parts = [f"{limits.max_active:,} at a time"] if limits.max_active is not None else []
    if limits.rate is not None:
        tasks, seconds = limits.rate
        parts.append(f"{tasks:,} in {duration_text(seconds)}")
    return ", ".join(parts)


def _groups_text(groups: Sequence[GroupInfo]) -> str:
    if not groups:
        return "none"
    names = [f"{plain(group.name)} ({group.size:,})" for group in groups[:_SHOWN_GROUPS]]
    more = len(groups) - _SHOWN_GROUPS
    return ", ".join(names) + (f" and {more:,} more" if more > 0 else "")


def _rates_text(rates: Sequence[float], width: int) -> Text:
    if not rates:
        return Text("not known yet: the view of all queues takes the samples", style="dim")
    return Text.assemble(f"{rate_text(rates):<6}", (spark(rates, min(40, width - 6)), "cyan"))


def _history_text(history: Sequence[DailyStats], width: int) -> Text:
    """Return a bar for each day, today first."""
    room = max(10, width - 36)
    most = max((day.processed for day in history), default=0)
    text = Text()
    for day in history:
        length = _bar_length(day.processed, most, room)
        failed = min(length, _bar_length(day.failed, most, room))
        text.append(f"{day.date:%a %m-%d}  ", style="dim")
        text.append("█" * (length - failed), style="green").append("█" * failed, style="red")
        text.append(" " * (room - length))
        text.append(f" {short_count(day.processed):>6} ")
        text.append(f"{short_count(day.failed):>6} failed\n", style="red" if day.failed else "dim")
    return text


def _bar_length(count: int, most: int, room: int) -> int:
    return -(-count * room // most) if most else 0
