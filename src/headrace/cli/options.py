"""Options that several commands take, and how their text is read."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["JsonOption", "RedisOption", "parse_queues"]

RedisOption = Annotated[
    str | None,
    typer.Option(
        "--redis",
        metavar="URL",
        envvar="HEADRACE_REDIS_URL",
        show_default=False,
        help="Where the tasks are, such as redis://localhost:6379.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")]


def parse_queues(text: str) -> dict[str, int]:
    """Return queues and weights from such as ``critical=6,default=3``. No weight means 1.

    Raises:
        BadParameter: If *text* is not of that form, or names a queue twice.
    """
    queues: dict[str, int] = {}
    for item in text.split(","):
        before, sign, after = (part.strip() for part in item.rpartition("="))
        name, weight = (before, after) if sign else (after, "1")
        if not name:
            raise _bad_queues(f"a queue's name is missing in {text!r}")
        if not (weight.isdecimal() and int(weight) > 0):
            raise _bad_queues(f"the weight of {name!r} is {weight!r}; 1 or more is needed")
        if name in queues:
            raise _bad_queues(f"{name!r} is given twice")
        queues[name] = int(weight)
    return queues


def _bad_queues(reason: str) -> typer.BadParameter:
    return typer.BadParameter(
        f"{reason}. Write NAME=WEIGHT,..., such as critical=6,default=3.", param_hint="--queues"
    )
