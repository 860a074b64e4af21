"""How tasks are shown: a table whose columns suit their state, and one task in full."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from rich.text import Text

from headrace._cli.output import (
    Column,
    ago_text,
    bytes_text,
    in_text,
    print_facts,
    print_table,
    time_text,
)
from headrace._cli.text import duration_text, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from headrace import TaskInfo
    from headrace._cli.options import State

    Cell = Callable[[TaskInfo, float], Text | str]

__all__ = ["show_task", "show_tasks"]

_ID: Final = Column("ID", is_whole=True)
_TYPE: Final = Column("TYPE")
_PAYLOAD: Final = Column("PAYLOAD", lines=False)


def _tries(info: TaskInfo, _now: float) -> str:
    return f"{info.retried}/{info.max_retry}"


def _expiry(info: TaskInfo, now: float) -> Text:
    return in_text((info.completed_at or 0) + info.retention, now)


# State -> what is shown beside ID, type and payload.
_COLUMNS: Final[dict[str, tuple[tuple[Column, Cell], ...]]] = {
    "active": (
        (Column("TRIES", is_number=True), _tries),
        (Column("WORKER"), lambda info, _: "lost" if info.is_orphaned else "alive"),
    ),
    "pending": ((Column("TRIES", is_number=True), _tries),),
    "scheduled": ((Column("DUE"), lambda info, now: in_text(info.next_process_at, now)),),
    "retry": (
        (Column("DUE"), lambda info, now: in_text(info.next_process_at, now)),
        (Column("TRIES", is_number=True), _tries),
        (Column("LAST ERROR", lines=False), lambda info, _: info.last_error),
    ),
    "archived": (
        (Column("FAILED"), lambda info, now: ago_text(info.last_failed_at, now)),
        (Column("LAST ERROR", lines=False), lambda info, _: info.last_error),
    ),
    "completed": (
        (Column("COMPLETED"), lambda info, now: ago_text(info.completed_at, now)),
        (Column("DELETED"), _expiry),
        (Column("RESULT", lines=False), lambda info, _: bytes_text(info.result)),
    ),
    "aggregating": ((Column("GROUP"), lambda info, _: info.group or ""),),
}


def show_tasks(tasks: Sequence[TaskInfo], state: State, *, empty: str) -> None:
    """Print a table of *tasks*, all of one state, or the sentence *empty*."""
    now, more = time.time(), _COLUMNS[state]
    rows = [
        [info.id, info.type, bytes_text(info.payload), *(cell(info, now) for _, cell in more)]
        for info in tasks
    ]
    print_table([_ID, _TYPE, _PAYLOAD, *(column for column, _ in more)], rows, empty=empty)


def show_task(info: TaskInfo) -> None:
    """Print all that is known of a task."""
    state = Text(str(info.state))
    if info.is_orphaned:
        state.append(" (its worker is lost; another one will take it back)", style="yellow")
    facts: dict[str, Text | str] = {
        "ID": info.id,
        "Queue": info.queue,
        "Type": info.type,
        "State": state,
        "Payload": bytes_text(info.payload),
        "Headers": "\n".join(f"{plain(k)}={plain(v)}" for k, v in info.headers.items()) or "-",
        "Group": info.group or "-",
        "Due": time_text(info.next_process_at),
        "Retried": f"{info.retried} of {info.max_retry}",
        "Timeout": duration_text(info.timeout) if info.timeout else "-",
        "Deadline": time_text(info.deadline),
        "Last failed": time_text(info.last_failed_at),
        "Last error": info.last_error or "-",
        "Retention": duration_text(info.retention) if info.retention else "-",
        "Completed": time_text(info.completed_at),
        "Result": bytes_text(info.result),
    }
    print_facts(facts)
