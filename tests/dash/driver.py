"""Drives a dashboard without a terminal. The test makes the polls: nothing waits for time."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from headrace._cli.dash.app import DashApp
from headrace._cli.dash.grid import Grid

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from textual.notifications import SeverityLevel
    from textual.pilot import Pilot

    from headrace import Inspector

__all__ = ["Driver", "dashboard"]

NEVER = 10_000.0
"""Seconds between two polls, so that there are those of the test only."""


class WatchedApp(DashApp):
    """Remembers its notices, which leave the screen after some seconds."""

    notices: tuple[str, ...] = ()

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = True,
    ) -> None:
        """Show a notice, and remember it."""
        assert not markup, "a notice may hold text from outside"
        self.notices += (message,)
        super().notify(message, title=title, severity=severity, timeout=timeout, markup=markup)


class Driver:
    """The user's fingers and eyes."""

    def __init__(self, app: WatchedApp, pilot: Pilot[None]) -> None:
        self.app = app
        self._pilot = pilot

    async def press(self, *keys: str) -> None:
        """Press keys, each once what the one before brought about is over."""
        for key in keys:
            await self._pilot.press(key)
            await self.poll()

    async def poll(self) -> None:
        """Read again, and wait until it is shown."""
        await self._pilot.pause()
        await self.app.poller.poll()
        await self._pilot.pause()

    async def confirm(self) -> None:
        """Answer a dialog with yes, and wait until it is done."""
        await self._pilot.press("y")
        actions = [worker for worker in self.app.workers if worker.group == "actions"]
        if actions:
            await self.app.workers.wait_for_complete(actions)
        await self.poll()

    @property
    def screen(self) -> str:
        """What is seen: all lines of the terminal. Behind a dialog, nothing is."""
        strips = self.app.screen._compositor.render_strips()
        return "\n".join(strip.text.rstrip() for strip in strips)

    @property
    def rows(self) -> list[list[str]]:
        """The words of each row of the table."""
        grid = self.app.screen.query_one(Grid)
        return [
            " ".join(cell.plain for cell in grid.get_row_at(row)).split()
            for row in range(grid.row_count)
        ]

    @property
    def column(self) -> list[str]:
        """The first word of each row."""
        return [row[0] for row in self.rows]

    @property
    def notices(self) -> list[str]:
        """The notices so far."""
        return list(self.app.notices)


@contextlib.asynccontextmanager
async def dashboard(
    inspector: Inspector, *, size: tuple[int, int] = (80, 24), read_only: bool = False
) -> AsyncIterator[Driver]:
    """Open a dashboard for the time of the block."""
    app = WatchedApp(inspector, where="redis://here:6379/0", interval=NEVER, read_only=read_only)
    async with app.run_test(size=size) as pilot:
        driver = Driver(app, pilot)
        await driver.poll()
        yield driver
