"""Lists of tasks: their columns, their pages, and what can be done to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from rich.text import Text
from textual.binding import Binding

from headrace import TaskState
from headrace._cli.dash.actions import AllTasks, Request, Tasks, Verb
from headrace._cli.dash.formatting import ago, count_text, due_in, preview, short_duration
from headrace._cli.dash.grid import Column, Grid, Row
from headrace._cli.dash.source import SEARCHED, Listing, QueueReading
from headrace._cli.dash.task import TaskView
from headrace._cli.dash.view import ACTION_KEYS, View
from headrace._cli.text import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from textual.binding import BindingType
    from textual.widget import Widget
    from textual.widgets import DataTable

    from headrace import GroupInfo, TaskInfo
    from headrace._cli.dash.source import Source

__all__ = ["GroupView", "TasksView", "group_rows", "task_columns", "task_row"]

_ALL_KEYS: Final[tuple[BindingType, ...]] = (
    Binding("R", "act_all('run')", show=False),
    Binding("A", "act_all('archive')", show=False),
    Binding("D", "act_all('delete')", show=False),
    Binding("C", "act_all('cancel')", show=False),
)
_ID_WIDTH: Final = 10
_WIDE_ID: Final = 37
_FIRST_SIZE: Final = 20
"""Tasks of a page while the table has no size yet."""


def _kept(info: TaskInfo, now: float) -> str:
    """Return how much longer a completed task is kept."""
    if info.completed_at is None:
        return ""
    return short_duration(info.completed_at + info.retention - now)


# State -> the columns that it has beside ID and type, each with what fills it.
_Fact = tuple[Column, "Callable[[TaskInfo, float], Text | str]"]
_TRIED: Final[_Fact] = (
    Column("TRIES", 7, right=True),
    lambda info, _: f"{info.retried}/{info.max_retry}",
)
_DUE: Final[_Fact] = (
    Column("DUE", 6, right=True),
    lambda info, now: due_in(info.next_process_at, now),
)
_PAYLOAD: Final[_Fact] = (Column("PAYLOAD", weight=3), lambda info, _: preview(info.payload))
_ERROR: Final[_Fact] = (
    Column("LAST ERROR", weight=3),
    lambda info, _: Text(plain(" ".join(info.last_error.split())), style="red"),
)
_FAILED: Final[_Fact] = (
    Column("FAILED", 7, right=True),
    lambda info, now: ago(info.last_failed_at, now),
)
_COLUMNS: Final[dict[TaskState, tuple[_Fact, ...]]] = {
    TaskState.PENDING: (_TRIED, _PAYLOAD),
    TaskState.ACTIVE: (
        _TRIED,
        (
            Column("WORKER", 9),
            lambda info, _: Text("orphaned", "bold red") if info.is_orphaned else "alive",
        ),
        _PAYLOAD,
    ),
    TaskState.SCHEDULED: (_DUE, _PAYLOAD),
    TaskState.RETRY: (_DUE, _TRIED, _ERROR),
    TaskState.ARCHIVED: (_FAILED, _TRIED, _ERROR),
    TaskState.COMPLETED: (
        (Column("DONE", 6, right=True), lambda info, now: ago(info.completed_at, now)),
        (Column("KEPT", 6, right=True), _kept),
        (Column("RESULT", weight=3), lambda info, _: preview(info.result or b"")),
    ),
    TaskState.AGGREGATING: (_PAYLOAD,),
}


def task_columns(state: TaskState, *, is_wide: bool) -> Sequence[Column]:
    """Return the columns of tasks in a state."""
    return [
        Column("ID", _WIDE_ID if is_wide else _ID_WIDTH),
        Column("TYPE", weight=2),
        *(column for column, _ in _COLUMNS[state]),
    ]


def task_row(info: TaskInfo, now: float) -> Row:
    """Return the row of a task."""
    facts = [fact(info, now) for _, fact in _COLUMNS[info.state]]
    return Row(info.id, [plain(info.id), plain(info.type), *facts])


def group_rows(groups: Sequence[GroupInfo]) -> tuple[Sequence[Column], Sequence[Row]]:
    """Return a table of groups."""
    columns = [Column("GROUP"), Column("TASKS", 8, right=True)]
    return columns, [
        Row(group.name, [plain(group.name), count_text(group.size)]) for group in groups
    ]


class TasksView(View[QueueReading]):
    """The tasks of one state, or of a group, a page at a time.

    Args:
        queue: Their queue.
        state: Their state.
        group: Their group; None shows the groups, where *state* is aggregating.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        *ACTION_KEYS,
        *_ALL_KEYS,
        Binding("space", "mark", "Mark", key_display="␣"),
    ]

    def __init__(self, queue: str, state: TaskState, group: str | None = None) -> None:
        super().__init__()
        self.queue: str = queue
        self.state: TaskState = state
        self.group: str | None = group
        self.page: int = 1

    @property
    def lists_groups(self) -> bool:
        """Whether the rows are groups."""
        return self.state is TaskState.AGGREGATING and self.group is None

    @property
    def count(self) -> int:
        """How many tasks there were when they were last counted."""
        if self.reading is None:
            return 0
        if self.group is not None:
            return next((one.size for one in self.reading.groups if one.name == self.group), 0)
        total: int = getattr(self.reading.stats, str(self.state))
        return total

    @property
    def pages(self) -> int:
        """How many pages there are; with a filter, of those that it lets through."""
        found = self.reading.found if self.filter and self.reading is not None else None
        count = self.count if found is None else found
        return max(1, -(-count // self._page_size))

    @property
    def _page_size(self) -> int:
        height = self.query_one(Grid).size.height - 1
        return height if height > 0 else _FIRST_SIZE

    def body(self) -> Iterable[Widget]:
        """Return the widgets between the bars."""
        yield Grid(paged=True)

    def path(self) -> str:
        """Return where we are."""
        return " > ".join(filter(None, ("Queues", self.queue, str(self.state), self.group)))

    def status(self) -> str:
        """Return which page this is."""
        if self.lists_groups:
            return ""
        if not self.count:
            return "" if self.reading is None else f"no {self.state} tasks"
        page = f"page {self.page:,} of {self.pages:,}"
        if self.filter and self.count > SEARCHED:
            page += f" (among the first {SEARCHED})"
        return page

    def listing(self) -> Listing | None:
        """Return what is wanted; None: the facts of the queue."""
        return Listing(self.state, self.group, self.page, self._page_size, self.filter)

    async def read(self, source: Source) -> QueueReading:
        """Read the page."""
        return await source.queue(self.queue, self.listing())

    def show(self, reading: QueueReading) -> None:
        """Show the page, unless another one is wanted by now."""
        if reading.listing is None or reading.listing != self.listing():
            self.dash.poller.wake()
            return
        grid = self.query_one(Grid)
        if self.lists_groups:
            grid.fill(*group_rows(reading.groups))
            return
        if self.page > self.pages:  # Tasks went away.
            self._turn_to(self.pages)
            return
        now = self.dash.source.now()
        columns = task_columns(self.state, is_wide=self.is_wide)
        grid.fill(columns, [task_row(info, now) for info in reading.tasks])

    def filter_changed(self) -> None:
        """Look for other tasks."""
        self._turn_to(1)

    def _turn_to(self, page: int) -> None:
        self.page = page
        self.dash.poller.wake()
        self.draw_bars()

    def on_grid_turned(self, event: Grid.Turned) -> None:
        """Show another page."""
        page = min(max(1, self.page + event.step), self.pages)
        grid = self.query_one(Grid)
        if page != self.page:
            grid.move_cursor(row=0)
            self._turn_to(page)
        elif event.step > 0:
            grid.action_scroll_bottom()
        else:
            grid.action_scroll_top()

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Open the task, or the group, under the cursor."""
        event.stop()
        key = self.query_one(Grid).current
        if key is None:
            return
        if self.lists_groups:
            self.app.push_screen(GroupView(self.queue, self.state, key))
        else:
            self.app.push_screen(TaskView(self.queue, key))

    def action_act(self, verb: str) -> None:
        """Do something to the tasks that are chosen, or to those of the group."""
        grid = self.query_one(Grid)
        if self.lists_groups:
            if grid.current is not None:
                self._act_on_all(verb, grid.current)
            return
        chosen = [(self.queue, task_id) for task_id in grid.chosen()]
        self.dash.request(Request(Verb(verb), Tasks(chosen, self.state)), grid.unmark)

    def action_act_all(self, verb: str) -> None:
        """Do something to all tasks of the state, or of the group."""
        self._act_on_all(verb, self.group)

    def _act_on_all(self, verb: str, group: str | None) -> None:
        count = self.count
        if group is not None and self.reading is not None:
            count = next((one.size for one in self.reading.groups if one.name == group), 0)
        grid = self.query_one(Grid)
        target = AllTasks(self.queue, self.state, count, group, filtered=bool(self.filter))
        self.dash.request(Request(Verb(verb), target), grid.unmark)


class GroupView(TasksView):
    """The tasks of a group."""
