"""How the text of an option becomes a value: durations, instants, payloads, rates."""

from __future__ import annotations

import datetime as dt
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace import JsonValue, Misfire

__all__ = [
    "parse_duration",
    "parse_headers",
    "parse_instant",
    "parse_misfire",
    "parse_payload",
    "parse_queues",
    "parse_rate",
]

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])")
_NUMBER: Final = re.compile(r"\d+(?:\.\d+)?")


def parse_duration(text: str) -> float:
    """Return seconds from such as ``90``, ``1m30s``, ``1.5h``, ``500ms`` or ``7d``.

    Raises:
        BadParameter: If *text* is of another form.
    """
    if _NUMBER.fullmatch(text):
        return float(text)
    parts = _PART.findall(text)
    units = [unit for _, unit in parts]
    if not parts or "".join(map("".join, parts)) != text or len(set(units)) < len(units):
        raise typer.BadParameter(
            f"{text!r} is no duration. Write seconds, or numbers with their units (ms, s, m, h, "
            f"d), such as 90, 1m30s or 2h."
        )
    # Rounded: 0.1 s and the like have no exact binary form.
    return round(sum(float(number) * _UNITS[unit] for number, unit in parts), 6)


def parse_instant(text: str) -> dt.datetime:
    """Return the instant that *text* means, in ISO 8601 with a time zone.

    Raises:
        BadParameter: If it is of another form.
    """
    try:
        instant = dt.datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no instant. Write ISO 8601, such as 2030-01-31T18:00:00Z."
        ) from None
    if instant.tzinfo is None:
        raise typer.BadParameter(
            f"{text!r} says no time zone. Add Z for UTC, or an offset such as +02:00."
        )
    return instant


def parse_payload(text: str) -> bytes | JsonValue:
    """Return the payload that *text* stands for: JSON, ``@file``, or ``-`` for standard input.

    What a file or standard input holds is taken as it is, be it JSON or not.

    Raises:
        BadParameter: If *text* is no JSON, or the file cannot be read.
    """
    if text == "-":
        return sys.stdin.buffer.read()
    if text.startswith("@"):
        try:
            return Path(text[1:]).read_bytes()
        except OSError as error:
            raise typer.BadParameter(
                f"cannot read {text[1:]!r}: {error.strerror or error}", param_hint="--payload"
            ) from None
    try:
        value: JsonValue = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(
            f"it is not JSON ({error}). A text needs its double quotes, too; @FILE or - sends "
            f"bytes of any kind.",
            param_hint="--payload",
        ) from None
    return b"null" if value is None else value  # None would be no payload at all.


def parse_rate(text: str) -> tuple[int, float]:
    """Return tasks and seconds from such as ``100/1s``, ``5/m`` or ``1000/1h30m``.

    Raises:
        BadParameter: If *text* is of another form.
    """
    tasks, sign, window = text.partition("/")
    if not sign or not tasks.isdecimal():
        raise typer.BadParameter(
            f"{text!r} is no rate. Write TASKS/DURATION, such as 100/1s.", param_hint="--rate"
        )
    try:
        return int(tasks), parse_duration(f"1{window}" if window in _UNITS else window)
    except typer.BadParameter as error:
        error.param_hint = "--rate"
        raise


def parse_headers(texts: Sequence[str] | None) -> Mapping[str, str] | None:
    """Return headers from such as ``trace=abc``; None where there are none.

    Raises:
        BadParameter: If one is of another form, or its key was given before.
    """
    headers: dict[str, str] = {}
    for text in texts or ():
        key, sign, value = text.partition("=")
        if not sign or not key:
            raise typer.BadParameter(f"{text!r} is no KEY=VALUE", param_hint="--header")
        if key in headers:
            raise typer.BadParameter(f"{key!r} is given twice", param_hint="--header")
        headers[key] = value
    return headers or None


def parse_misfire(text: str) -> Misfire:
    """Return what becomes of missed ticks from ``skip``, ``once`` or such as ``all:10``.

    Raises:
        BadParameter: If *text* is of another form.
    """
    from headrace import All  # noqa: PLC0415 - keeps --help quick

    if text in {"skip", "once"}:
        return "skip" if text == "skip" else "once"
    word, _, limit = text.partition(":")
    if word == "all" and limit.isdecimal():
        return All(int(limit))
    raise typer.BadParameter(
        f"{text!r} is none of skip, once and all:LIMIT, such as all:10.",
        param_hint="--misfire",
    )


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
