"""One task, with everything that is known of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from rich.text import Text

from headrace import QueueNotFoundError, TaskNotFoundError
from headrace._cli.dash.actions import Request, Tasks, Verb
from headrace._cli.dash.formatting import body_text, time_text
from headrace._cli.dash.view import ACTION_KEYS, Pane, View
from headrace._cli.text import duration_text, plain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.binding import BindingType
    from textual.widget import Widget

    from headrace import TaskInfo
    from headrace._cli.dash.source import Source

__all__ = ["TaskView", "task_text"]

_NAME: Final = 13


class TaskView(View["TaskInfo"]):
    """A task.

    Args:
        queue: Its queue.
        task_id: Its ID.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        *ACTION_KEYS,
    ]

    def __init__(self, queue: str, task_id: str) -> None:
        super().__init__()
        self.queue: str = queue
        self.task_id: str = task_id
        self._is_gone = False

    def body(self) -> Iterable[Widget]:
        """Return the widgets between the bars."""
        yield Pane()

    def path(self) -> str:
        """Return where we are."""
        return f"Queues > {self.queue} > {self.task_id}"

    def status(self) -> str:
        """Return whether it is still there."""
        return "no longer there" if self._is_gone else ""

    async def poll(self, source: Source) -> None:
        """Read it. What was known of it stays on the screen when it is gone."""
        try:
            await super().poll(source)
            self._is_gone = False
        except (TaskNotFoundError, QueueNotFoundError) as error:
            self._is_gone = True
            if self.reading is None:
                self.query_one(Pane).fill(Text(plain(str(error))))

    async def read(self, source: Source) -> TaskInfo:
        """Read the task."""
        return await source.task(self.queue, self.task_id)

    def show(self, reading: TaskInfo) -> None:
        """Show the task."""
        self.query_one(Pane).fill(task_text(reading, self.dash.source.now()))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether a key works: there are no rows to filter."""
        return False if action == "filter" else super().check_action(action, parameters)

    def action_act(self, verb: str) -> None:
        """Do something to the task."""
        if self.reading is not None and not self._is_gone:
            target = Tasks([(self.queue, self.task_id)], self.reading.state)
            self.dash.request(Request(Verb(verb), target), lambda: None)


def task_text(info: TaskInfo, now: float) -> Text:
    """Return everything that is known of a task, safe to print."""
    text = Text()
    for name, value in _facts(info, now).items():
        text.append(f"{name:<{_NAME}}", style="dim").append(f"{value}\n")
    if info.last_error:
        text.append("\nLast error\n", style="bold")
        text.append(plain(info.last_error, keep="\n"), style="red").append("\n")
    if info.headers:
        text.append("\nHeaders\n", style="bold")
        for name, value in sorted(info.headers.items()):
            text.append(f"{plain(name)}: {plain(value)}\n")
    text.append(f"\nPayload ({len(info.payload):,} bytes)\n", style="bold")
    text.append(f"{body_text(info.payload)}\n")
    if info.result is not None:
        text.append(f"\nResult ({len(info.result):,} bytes)\n", style="bold")
        text.append(f"{body_text(info.result)}\n")
    return text


def _progress_text(info: TaskInfo) -> str:
    if info.progress is None:
        return ""
    return f"{info.progress.fraction:.0%} {plain(info.progress.note)}".rstrip()


def _facts(info: TaskInfo, now: float) -> dict[str, str]:
    orphaned = ", orphaned: no living worker holds it" if info.is_orphaned else ""
    facts = {
        "ID": plain(info.id),
        "type": plain(info.type),
        "queue": plain(info.queue),
        "state": f"{info.state}{orphaned}",
        "group": "" if info.group is None else plain(info.group),
        "tries": f"{info.retried} of {info.max_retry} retries used",
        "progress": _progress_text(info),
        "due": time_text(info.next_process_at, now),
        "timeout": "-" if info.timeout is None else duration_text(info.timeout),
        "deadline": time_text(info.deadline, now),
        "last failed": time_text(info.last_failed_at, now),
        "completed": time_text(info.completed_at, now),
        "retention": duration_text(info.retention) if info.retention else "-",
    }
    return {name: value for name, value in facts.items() if value}
