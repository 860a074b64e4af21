"""Options and arguments that several commands take."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import typer

from headrace._cli.complete import complete_queue
from headrace._cli.values import parse_duration, parse_headers, parse_instant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace import TaskOptions

__all__ = [
    "DeadlineOption",
    "GroupOption",
    "HeaderOption",
    "JsonOption",
    "NewGroupOption",
    "PageOption",
    "PayloadOption",
    "QueueArgument",
    "QueueOption",
    "QueuesArgument",
    "RetentionOption",
    "RetryOption",
    "SizeOption",
    "State",
    "TaskIdArgument",
    "TaskIdsArgument",
    "TaskQueueOption",
    "TimeoutOption",
    "TypeArgument",
    "UniqueOption",
    "common_options",
    "duration_option",
    "instant_option",
]

State: TypeAlias = Literal[
    "active", "pending", "scheduled", "retry", "archived", "completed", "aggregating"
]


def duration_option(flag: str, text: str) -> Any:  # noqa: ANN401 - typer's own type for options
    """Return an option that takes a duration and gives seconds."""
    return typer.Option(
        flag, parser=parse_duration, metavar="DURATION", show_default=False, help=text
    )


def instant_option(flag: str, text: str) -> Any:  # noqa: ANN401 - as above
    """Return an option that takes an instant in ISO 8601."""
    return typer.Option(
        flag, parser=parse_instant, metavar="INSTANT", show_default=False, help=text
    )


JsonOption: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print JSON, and nothing else.")
]
QueueOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--queue",
        "-q",
        metavar="NAME",
        show_default=False,
        autocompletion=complete_queue,
        help="The queue.",
    ),
]
TaskQueueOption: TypeAlias = Annotated[
    str,
    typer.Option("--queue", "-q", metavar="NAME", autocompletion=complete_queue, help="The queue."),
]
QueuesArgument: TypeAlias = Annotated[
    list[str],
    typer.Argument(
        metavar="NAME", show_default=False, autocompletion=complete_queue, help="The queues."
    ),
]
QueueArgument: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="NAME", show_default=False, autocompletion=complete_queue, help="The queue."
    ),
]
TaskIdArgument: TypeAlias = Annotated[
    str, typer.Argument(metavar="ID", show_default=False, help="The task's ID.")
]
TaskIdsArgument: TypeAlias = Annotated[
    list[str], typer.Argument(metavar="ID", show_default=False, help="The tasks' IDs.")
]
GroupOption: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="NAME", show_default=False, help="The group of aggregating tasks."),
]
PageOption: TypeAlias = Annotated[int, typer.Option(min=1, help="Which page; the first is 1.")]
SizeOption: TypeAlias = Annotated[int, typer.Option(min=1, max=1000, help="How many on a page.")]
PayloadOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--payload",
        metavar="JSON|@FILE|-",
        show_default=False,
        help="JSON, such as '{\"user\": 7}'; @FILE: what the file holds, whatever it is; -: the "
        "same of standard input.",
    ),
]
RetryOption: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--retry",
        metavar="N",
        min=0,
        show_default=False,
        help="How often it is tried again when it fails.",
    ),
]
TimeoutOption: TypeAlias = Annotated[
    float | None, duration_option("--timeout", "How long one attempt may take.")
]
DeadlineOption: TypeAlias = Annotated[
    dt.datetime | None,
    instant_option("--deadline", "When its last attempt must have ended."),
]
UniqueOption: TypeAlias = Annotated[
    float | None,
    duration_option("--unique", "Refuse another task of its type and payload for so long."),
]
RetentionOption: TypeAlias = Annotated[
    float | None,
    duration_option("--retention", "How long to keep it, and its result, once it is done."),
]
NewGroupOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--group",
        metavar="NAME",
        show_default=False,
        help="Have it wait in this group, to be aggregated with others.",
    ),
]
HeaderOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--header",
        metavar="KEY=VALUE",
        show_default=False,
        help="Text that travels beside the payload. May be repeated.",
    ),
]
TypeArgument: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="TYPE", show_default=False, help="The type of the task, such as email:welcome."
    ),
]


def common_options(  # noqa: PLR0917 - in the order of the help
    retry: int | None,
    timeout: float | None,
    unique: float | None,
    retention: float | None,
    group: str | None,
    header: Sequence[str] | None,
) -> TaskOptions:
    """Return what both a new task and the tasks of a schedule may be given."""
    return {
        "max_retry": retry,
        "timeout": timeout,
        "unique": unique,
        "retention": retention,
        "group": group,
        "headers": parse_headers(header),
    }
