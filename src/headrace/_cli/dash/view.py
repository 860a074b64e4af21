"""What all views have in common: the bars, the banner, the filter, and the way back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, Protocol, TypeVar, cast

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import Footer, Input, Static

from headrace._cli.dash.grid import Grid
from headrace._cli.text import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from textual.app import ComposeResult
    from textual.widget import Widget

    from headrace import HeadraceError
    from headrace._cli.dash.actions import Request
    from headrace._cli.dash.poller import Poller
    from headrace._cli.dash.source import Source

__all__ = ["ACTION_KEYS", "WIDE", "Dash", "Pane", "View"]

T = TypeVar("T")
WIDE = 120
"""Columns of a terminal from which on tables show more."""
ACTION_KEYS: Final[tuple[BindingType, ...]] = (
    Binding("r", "act('run')", "Run"),
    Binding("a", "act('archive')", "Archive"),
    Binding("d", "act('delete')", "Delete"),
    Binding("c", "act('cancel')", "Cancel"),
)
VIEWS: Final = {
    "queues": "1 Queues",
    "running": "2 Running",
    "servers": "3 Servers",
    "cron": "4 Cron",
}


class Dash(Protocol):
    """What a view asks of the application."""

    source: Source
    poller: Poller
    where: str
    read_only: bool
    trouble: HeadraceError | None
    busy: str
    current_mode: str

    def request(self, request: Request, on_done: Callable[[], None]) -> None:
        """Do something, once the user confirmed it; *on_done* is called if it was done."""


class Pane(VerticalScroll, can_focus=True):
    """Text to scroll through."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", show=False),
        Binding("k", "scroll_up", show=False),
        Binding("g", "scroll_home", show=False),
        Binding("G", "scroll_end", show=False),
        Binding("ctrl+f", "page_down", show=False),
        Binding("ctrl+b", "page_up", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._content = Static(markup=False)

    def compose(self) -> ComposeResult:
        """Make what it is made of."""
        yield self._content

    def fill(self, text: Text) -> None:
        """Show *text*, scrolled as before."""
        self._content.update(text)


class View(Screen[None], Generic[T]):
    """A screen of the dashboard.

    A subclass says in `body` what it is made of, in `read` what it needs of Redis, and in `show`
    how it looks.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace", "back", "Back", key_display="esc", show=False),
        Binding("slash", "filter", "Filter", key_display="/"),
    ]
    AUTO_FOCUS = "Grid, Pane"

    def __init__(self) -> None:
        super().__init__()
        self.filter: str = ""
        self.reading: T | None = None
        """What was read last; None: nothing yet."""
        self.read_at: float | None = None

    @property
    def dash(self) -> Dash:
        """The application."""
        return cast("Dash", self.app)

    @property
    def is_wide(self) -> bool:
        """Whether there is room for more columns."""
        return self.size.width >= WIDE

    def compose(self) -> ComposeResult:
        """Make what all views have around the body."""
        yield Static(id="top", markup=False)
        yield Static(id="heading", markup=False)
        yield Static(id="banner", markup=False)
        yield from self.body()
        yield Input(id="filter", placeholder="Show only what holds this text. Esc: show all")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Begin without a filter."""
        self.query_one("#filter").display = False
        self.query_one("#banner").display = False
        self.draw_bars()

    # --- What a subclass says ---------------------------------------------------------------

    def body(self) -> Iterable[Widget]:
        """Return the widgets between the bars."""
        raise NotImplementedError

    async def read(self, source: Source) -> T:
        """Read what this view shows."""
        raise NotImplementedError

    def show(self, reading: T) -> None:
        """Show what was read."""
        raise NotImplementedError

    def path(self) -> str:
        """Return where we are, for the heading."""
        raise NotImplementedError

    def status(self) -> str:
        """Return what else the heading says."""
        return ""

    # --- Polling ----------------------------------------------------------------------------

    async def poll(self, source: Source) -> None:
        """Read, and show it if this view is still there."""
        reading = await self.read(source)
        if self.is_attached:
            self.reading, self.read_at = reading, time.time()
            self.show(reading)
            self.draw_bars()

    def show_again(self) -> None:
        """Show what was read last in another way."""
        if self.reading is not None:
            self.show(self.reading)
        self.draw_bars()

    def draw_bars(self) -> None:
        """Draw what is above the body."""
        if not self.is_mounted:
            return
        width = self.size.width
        self.query_one("#top", Static).update(_top_text(self.dash, width))
        notes = [self.status()]
        marked = sum(len(grid.marked) for grid in self.query(Grid))
        notes += [f"{marked:,} marked"] if marked else []
        notes += [f"filter: {plain(self.filter)}"] if self.filter else []
        notes += [self.dash.busy]
        heading = Text(f" {plain(self.path())}", style="bold")
        self.query_one("#heading", Static).update(
            _two_sides(heading, Text(" · ".join(filter(None, notes)) + " "), width)
        )
        self._draw_banner()

    def _draw_banner(self) -> None:
        banner, trouble = self.query_one("#banner", Static), self.dash.trouble
        banner.display = trouble is not None
        if trouble is not None:
            old = time.strftime("%X", time.localtime(self.read_at)) if self.read_at else ""
            since = f" What is shown is from {old}." if old else ""
            again = f"Trying again every {self.dash.poller.interval:g} s."
            reason = plain(str(trouble)).rstrip(".")
            banner.update(Text(f" {reason}. {again}{since}"))

    # --- Keys -------------------------------------------------------------------------------

    def action_back(self) -> None:
        """Take the filter away; if there is none, leave this view."""
        field = self.query_one("#filter", Input)
        if field.display or self.filter:
            field.value = ""
            self._close_filter(field)
        elif len(self.app.screen_stack) > 1:
            self.app.pop_screen()
            self.dash.poller.wake()

    def action_filter(self) -> None:
        """Ask for a text that rows must hold."""
        field = self.query_one("#filter", Input)
        field.display = True
        field.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while the user types."""
        self.filter = event.value
        self.filter_changed()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep the filter, and go back to the rows."""
        self._close_filter(event.input)

    def _close_filter(self, field: Input) -> None:
        field.display = False
        for widget in self.query("Grid, Pane"):
            if widget.display:
                widget.focus()
                break

    def filter_changed(self) -> None:
        """Use another filter."""
        self.show_again()

    def holds(self, *texts: str) -> bool:
        """Whether a row with these texts passes the filter."""
        return any(self.filter.lower() in text.lower() for text in texts)

    def action_mark(self) -> None:
        """Mark the row under the cursor, or take its mark away."""
        self.query_one(Grid).mark()
        self.draw_bars()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether a key works: without the right to change anything, some do not."""
        if self.dash.read_only and action in {"act", "act_all", "mark", "pause"}:
            return False
        return super().check_action(action, parameters)

    def on_screen_resume(self) -> None:
        """Show the present, not what was read when this view was last seen."""
        self.dash.poller.wake()
        self.draw_bars()

    def on_resize(self) -> None:
        """Use the new size."""
        self.call_after_refresh(self.show_again)


def _top_text(dash: Dash, width: int) -> Text:
    """Return the bar with the views, where Redis is, and how often it is asked."""
    text = Text(" Headrace ", style="bold")
    for mode, label in VIEWS.items():
        text.append(f" {label} ", style="reverse" if mode == dash.current_mode else "")
    state = f"every {dash.poller.interval:g} s "
    if dash.read_only:
        state = f"read-only · {state}"
    where = Text(plain(dash.where.removeprefix("redis://")))
    where.truncate(max(0, width - text.cell_len - len(state) - 4), overflow="ellipsis")
    right = Text.assemble(where, " · " if where.plain else "", state)
    return _two_sides(text, right, width)


def _two_sides(left: Text, right: Text, width: int) -> Text:
    left.truncate(max(10, width - right.cell_len - 1), overflow="ellipsis")
    gap = max(1, width - left.cell_len - right.cell_len)
    whole = Text.assemble(left, " " * gap, right, no_wrap=True)
    whole.truncate(width)
    return whole


AnyView = View[Any]
