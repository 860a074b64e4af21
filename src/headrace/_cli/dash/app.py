"""The application: its views, its poll, and how actions are asked for and done."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import work
from textual.app import App
from textual.binding import Binding

from headrace._cli.dash.actions import notice, perform, question, refusal
from headrace._cli.dash.dialogs import Confirm, Help
from headrace._cli.dash.fleet import RunningView, ServersView
from headrace._cli.dash.poller import Poller
from headrace._cli.dash.queues import QueuesView
from headrace._cli.dash.schedulers import SchedulersView
from headrace._cli.dash.source import Source
from headrace._cli.dash.view import View
from headrace._cli.text import plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.binding import BindingType
    from textual.screen import Screen

    from headrace import HeadraceError, Inspector
    from headrace._cli.dash.actions import Request
    from headrace._cli.dash.view import AnyView

__all__ = ["DashApp", "NoticeHandler"]


class DashApp(App[None]):
    """The dashboard.

    Args:
        inspector: What it looks and acts with; whoever made it closes it.
        where: Which Redis that is, for a person. Without credentials.
        interval: Seconds between two polls.
        read_only: Whether nothing may be changed.
    """

    CSS_PATH = Path(__file__).with_name("dash.tcss")
    ENABLE_COMMAND_PALETTE = False
    DEFAULT_MODE = "queues"
    MODES: ClassVar[dict[str, str | Callable[[], Screen[Any]]]] = {
        "queues": QueuesView,
        "running": RunningView,
        "servers": ServersView,
        "cron": SchedulersView,
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1", "view('queues')", show=False),
        Binding("2", "view('running')", show=False),
        Binding("3", "view('servers')", show=False),
        Binding("4", "view('cron')", show=False),
        Binding("f5", "poll", show=False),
        Binding("plus,equals_sign", "interval(-1)", show=False),
        Binding("minus", "interval(1)", show=False),
        Binding("t", "toggle_theme", show=False),
        Binding("question_mark", "help", "Help", key_display="?"),
        Binding("q", "quit", "Quit"),
    ]

    def __init__(
        self, inspector: Inspector, *, where: str, interval: float = 2.0, read_only: bool = False
    ) -> None:
        super().__init__()
        self.source: Source = Source(inspector)
        self.poller: Poller = Poller(self._read, self._tell, interval=interval)
        self.where: str = where
        self.read_only: bool = read_only
        self.trouble: HeadraceError | None = None
        """Why the last poll failed; None: it did not."""
        self.busy: str = ""
        """What is being done."""

    def on_mount(self) -> None:
        """Begin to poll."""
        self.run_worker(self.poller.run(), group="poll")

    @property
    def view(self) -> AnyView | None:
        """The view that is seen, perhaps behind a dialog; None while there is none."""
        views = [screen for screen in self.screen_stack if isinstance(screen, View)]
        return views[-1] if views else None

    async def _read(self) -> None:
        if self.view is not None:
            await self.view.poll(self.source)

    def _tell(self, trouble: HeadraceError | None) -> None:
        self.trouble = trouble
        if self.view is not None:
            self.view.draw_bars()

    # --- Keys -------------------------------------------------------------------------------

    async def action_view(self, mode: str) -> None:
        """Go to a view; to its beginning if it is seen already."""
        if mode != self.current_mode:
            await self.switch_mode(mode)
            return
        while len(self.screen_stack) > 1:
            await self.pop_screen()

    def action_poll(self) -> None:
        """Read again now."""
        self.poller.wake()

    def action_interval(self, steps: int) -> None:
        """Read more often, or less."""
        self.poller.change_interval(steps)
        if self.view is not None:
            self.view.draw_bars()

    def action_toggle_theme(self) -> None:
        """Go from dark to light, or back."""
        self.theme = "textual-light" if self.current_theme.dark else "textual-dark"

    def action_help(self) -> None:
        """Show all keys."""
        self.push_screen(Help())

    # --- Actions ----------------------------------------------------------------------------

    def request(self, request: Request, on_done: Callable[[], None]) -> None:
        """Do something, once the user confirmed it; *on_done* is called if it was done."""
        reason = refusal(request)
        if reason:
            self.tell(reason, is_bad=True)
        else:
            self._act(request, on_done)

    @work(group="actions")
    async def _act(self, request: Request, on_done: Callable[[], None]) -> None:
        if not await self.push_screen_wait(Confirm(*question(request))):
            return
        self._show_progress(request, 0)
        outcome = await perform(
            request, self.source.inspector, lambda done: self._show_progress(request, done)
        )
        self.busy = ""
        self.tell(notice(request, outcome), is_bad=bool(outcome.problems))
        on_done()
        self.poller.wake()

    def _show_progress(self, request: Request, done: int) -> None:
        self.busy = f"{request.verb}: {done:,} so far"
        if self.view is not None:
            self.view.draw_bars()

    def tell(self, text: str, *, is_bad: bool = False) -> None:
        """Show a notice."""
        self.notify(
            plain(text, keep="\n"),
            severity="warning" if is_bad else "information",
            timeout=10 if is_bad else 5,
            markup=False,
        )


class NoticeHandler(logging.Handler):
    """Shows what the inspector logs as notices: on standard error it would break the screen."""

    def __init__(self, app: DashApp) -> None:
        super().__init__(logging.WARNING)
        self._app = app

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record."""
        if self._app.is_running:
            self._app.tell(record.getMessage(), is_bad=True)
