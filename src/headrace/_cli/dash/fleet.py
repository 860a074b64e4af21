"""Servers, and the tasks that they run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import Binding

from headrace import ServerStatus, TaskState
from headrace._cli.dash.actions import Request, Tasks, Verb
from headrace._cli.dash.formatting import ago, due_in, preview
from headrace._cli.dash.grid import Column, Grid, Row
from headrace._cli.dash.source import Running
from headrace._cli.dash.task import TaskView
from headrace._cli.dash.view import View
from headrace._cli.text import plain, plural

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.binding import BindingType
    from textual.widget import Widget
    from textual.widgets import DataTable

    from headrace._cli.dash.source import Source

__all__ = ["RunningView", "ServersView"]


class RunningView(View[Sequence[Running]]):
    """The tasks that run, the oldest first.

    Args:
        server: The ID of their server; None: all servers.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "act('cancel')", "Cancel"),
        Binding("space", "mark", "Mark", key_display="␣"),
    ]

    def __init__(self, server: ServerStatus | None = None) -> None:
        super().__init__()
        self._server = server
        self._places: dict[str, tuple[str, str]] = {}

    def body(self) -> Iterable[Widget]:
        """Return the widgets between the bars."""
        yield Grid()

    def path(self) -> str:
        """Return where we are."""
        if self._server is None:
            return "Running tasks"
        return f"Servers > {self._server.host}:{self._server.pid}"

    def status(self) -> str:
        """Return how many there are."""
        return "" if self.reading is None else f"{len(self.reading):,} running"

    async def read(self, source: Source) -> Sequence[Running]:
        """Read the servers."""
        found = await source.running()
        if self._server is None:
            return found
        return [one for one in found if one.server.id == self._server.id]

    def show(self, reading: Sequence[Running]) -> None:
        """Show a row for each task."""
        now = self.dash.source.now()
        grid = self.query_one(Grid)
        self._places = {key: self._places[key] for key in grid.marked}
        rows = []
        for one in reading:
            task = one.task
            key = f"{task.queue}\0{task.task_id}"
            self._places[key] = (task.queue, task.task_id)
            if self.holds(task.queue, task.task_id, task.task_type, one.server.host):
                rows.append(Row(key, self._cells(one, now)))
        grid.fill(self._columns(), rows)

    def _columns(self) -> Sequence[Column]:
        return [
            Column("ID", 37 if self.is_wide else 10),
            Column("TYPE", weight=2),
            Column("QUEUE", 14),
            Column("FOR", 6, right=True),
            Column("LEFT", 6, right=True),
            Column("SERVER", 20 if self.is_wide else 12),
            Column("PAYLOAD", weight=2),
        ]

    def _cells(self, one: Running, now: float) -> Sequence[Text | str]:
        task, server = one.task, one.server
        return [
            plain(task.task_id),
            plain(task.task_type),
            plain(task.queue),
            ago(task.started_at, now),
            due_in(task.deadline, now),
            plain(f"{server.host}:{server.pid}"),
            preview(task.payload),
        ]

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Open the task under the cursor."""
        event.stop()
        key = self.query_one(Grid).current
        if key is not None:
            self.app.push_screen(TaskView(*self._places[key]))

    def action_act(self, verb: str) -> None:
        """Do something to the tasks that are chosen."""
        grid = self.query_one(Grid)
        chosen = [self._places[key] for key in grid.chosen()]
        self.dash.request(Request(Verb(verb), Tasks(chosen, TaskState.ACTIVE)), grid.unmark)


class ServersView(View[Sequence[ServerStatus]]):
    """The servers that live."""

    def body(self) -> Iterable[Widget]:
        """Return the widgets between the bars."""
        yield Grid()

    def path(self) -> str:
        """Return where we are."""
        return "Servers"

    def status(self) -> str:
        """Return how much is in use."""
        if self.reading is None:
            return ""
        running = sum(server.active_worker_count for server in self.reading)
        slots = sum(server.concurrency for server in self.reading)
        return f"{plural(len(self.reading), 'server')}: {running:,} of {slots:,} slots in use"

    async def read(self, source: Source) -> Sequence[ServerStatus]:
        """Read the servers."""
        return await source.servers()

    def show(self, reading: Sequence[ServerStatus]) -> None:
        """Show a row for each server."""
        now = self.dash.source.now()
        rows = [
            Row(server.id, _server_cells(server, now))
            for server in reading
            if self.holds(server.host, str(server.pid), *server.queues)
        ]
        columns = [
            Column("HOST", weight=2),
            Column("PID", 9, right=True),
            Column("STATUS", 8),
            Column("RUNS", 6, right=True),
            Column("OF", 6, right=True),
            Column("UP", 6, right=True),
            Column("QUEUES", weight=3),
        ]
        self.query_one(Grid).fill(columns, rows)

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Open the server under the cursor."""
        event.stop()
        chosen = self.query_one(Grid).current
        for server in self.reading or ():
            if server.id == chosen:
                self.app.push_screen(RunningView(server))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether a key works: nothing is done to servers."""
        return False if action == "mark" else super().check_action(action, parameters)


def _server_cells(server: ServerStatus, now: float) -> Sequence[Text | str]:
    queues = [f"{plain(name)}={weight}" for name, weight in sorted(server.queues.items())]
    strict = " (strict)" if server.strict_priority else ""
    return [
        plain(server.host),
        str(server.pid),
        Text(plain(server.status), style="green" if server.status == "active" else "yellow"),
        f"{server.active_worker_count:,}",
        f"{server.concurrency:,}",
        ago(server.started_at, now),
        " ".join(queues) + strict,
    ]
