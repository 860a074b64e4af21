"""Results: as tables for a person, as one JSON document for a program."""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import enum
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import typer
from rich.text import Text

from headrace._cli.console import output_console
from headrace._cli.text import duration_text, plain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console
    from rich.table import Table

__all__ = [
    "Column",
    "ago_text",
    "bytes_text",
    "in_text",
    "json_value",
    "make_table",
    "print_facts",
    "print_json",
    "print_table",
    "time_text",
]

NOTHING: Final = Text("-", style="dim")


@dataclasses.dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        heading: In capitals.
        is_number: Whether it is aligned to the right, and never shortened.
        is_whole: Whether it is never broken into lines, such as an ID that one copies.
        lines: Whether what is too long goes on below; else it is cut.
    """

    heading: str
    is_number: bool = False
    is_whole: bool = False
    lines: bool = True


def make_table(columns: Iterable[Column | str], rows: Iterable[Sequence[Text | str]]) -> Table:
    """Return a table. Text from outside may be in its rows: control characters become escapes."""
    from rich.table import Table  # noqa: PLC0415 - keeps --help quick

    table = Table(header_style="bold", box=None, pad_edge=False)
    shapes = [Column(item) if isinstance(item, str) else item for item in columns]
    for column in shapes:
        table.add_column(
            column.heading,
            justify="right" if column.is_number else "left",
            no_wrap=column.is_number or column.is_whole,
            overflow="fold",
            min_width=len(column.heading),
        )
    for row in rows:
        cells = zip(shapes, map(_safe, row), strict=True)
        table.add_row(*(cell if column.lines else _cut(cell) for column, cell in cells))
    return table


def _cut(cell: Text) -> Text:
    """Return *cell* such that it takes one line. Its column alone would squeeze the others."""
    cut = cell.copy()
    cut.no_wrap, cut.overflow = True, "ellipsis"
    return cut


def print_table(
    columns: Iterable[Column | str], rows: Sequence[Sequence[Text | str]], *, empty: str
) -> None:
    """Print a table, or the sentence *empty* where it would have no rows."""
    console = output_console()
    console.print(make_table(columns, rows) if rows else empty)


def print_facts(facts: Mapping[str, Text | str], console: Console | None = None) -> None:
    """Print a line for each fact. Lines of a text are kept, its other controls are not."""
    from rich.table import Table  # noqa: PLC0415 - keeps --help quick

    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(name, _safe(value, keep="\n"))
    (console or output_console()).print(table)


def _safe(cell: Text | str, *, keep: str = "") -> Text:
    return cell if isinstance(cell, Text) else Text(plain(cell, keep=keep))


def bytes_text(data: bytes | None) -> Text:
    """Return bytes for a person to read; those that are no text by their length."""
    if not data:
        return NOTHING
    try:
        return Text(plain(data.decode()))
    except UnicodeDecodeError:
        return Text(f"({len(data):,} bytes)", style="dim")


def time_text(unix: float | None) -> Text:
    """Return an instant in the local time zone; a dash where there is none."""
    if not unix:
        return NOTHING
    return Text(_local(unix).isoformat(sep=" ", timespec="seconds"))


def in_text(unix: float | None, now: float) -> Text:
    """Return how far off an instant is; a dash where there is none."""
    if not unix:
        return NOTHING
    return Text(f"in {duration_text(unix - now)}" if unix > now else "now")


def ago_text(unix: float | None, now: float) -> Text:
    """Return for how long an instant has been past; a dash where there is none."""
    if not unix:
        return NOTHING
    return Text(f"{duration_text(max(0.0, now - unix))} ago")


def _local(unix: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(unix, dt.UTC).astimezone()


def print_json(value: object) -> None:
    """Print one JSON document. See `json_value`."""
    typer.echo(json.dumps(json_value(value)))


def json_value(value: object) -> object:
    """Return *value* as what JSON can carry.

    Dataclasses become objects with the names of their fields, states and other enumerations
    their names, dates ISO 8601. Bytes become text; those that are not UTF-8 an object:
    ``{"base64": "..."}``.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        return {name: json_value(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        return {str(key): json_value(item) for key, item in value.items()}
    if isinstance(value, bytes):
        return _json_bytes(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [json_value(item) for item in value]
    if isinstance(value, dt.date):
        return value.isoformat()
    return str(value) if isinstance(value, enum.Enum) else value


def _json_bytes(data: bytes) -> object:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}
