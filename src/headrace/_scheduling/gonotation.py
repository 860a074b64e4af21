"""A task's options as asynq's tools show those of a scheduler's entry: in Go's notation."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace._task import Options

__all__ = ["enqueue_options", "go_duration", "go_quote", "go_time"]

_ESCAPES: Final = {
    '"': '\\"',
    "\\": "\\\\",
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
}
_DAYS: Final = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
_MONTHS: Final = [
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
]


def enqueue_options(options: Options) -> list[str]:
    """Return *options* as ``MaxRetry(3)``, ``Queue("low")``, ``Timeout(30s)`` and so on."""
    shown = [
        f"{name}({show(value)})"
        for name, field, show in _NOTATIONS
        if (value := getattr(options, field)) is not None
    ]
    for key, value in (options.headers or {}).items():
        shown.append(f"Header([{go_quote(key)},{go_quote(value)}])")
    return shown


def go_quote(text: str) -> str:
    """Return *text* as Go's ``strconv.Quote`` does."""
    return '"' + "".join(_quoted(char) for char in text) + '"'


def _quoted(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    if char.isprintable():
        return char
    code = ord(char)
    if code < ord(" ") or code == 0x7F:  # noqa: PLR2004 - DEL
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 - UTF-16's end


def go_duration(seconds: float) -> str:
    """Return a duration as Go's ``time.Duration.String`` does, such as ``1h0m0s``."""
    nanoseconds = round(seconds * 1e9)
    if nanoseconds == 0:
        return "0s"
    for unit, size in (("ns", 1), ("µs", 1_000), ("ms", 1_000_000)):
        if nanoseconds < size * 1_000:
            return f"{_decimal(nanoseconds, size)}{unit}"
    minutes, rest = divmod(nanoseconds, 60_000_000_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{_decimal(rest, 1_000_000_000)}s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text


def _decimal(number: int, size: int) -> str:
    whole, fraction = divmod(number, size)
    digits = f"{fraction:0{len(str(size)) - 1}d}".rstrip("0") if size > 1 else ""
    return f"{whole}.{digits}" if digits else str(whole)


def go_time(unix: float) -> str:
    """Return an instant in the layout of ``time.UnixDate``, in UTC."""
    at = datetime.fromtimestamp(unix, UTC)
    # Not strftime: its names of days and months follow the locale.
    day, month = _DAYS[at.weekday()], _MONTHS[at.month - 1]
    return f"{day} {month} {at.day:2d} {at:%H:%M:%S} UTC {at.year:04d}"


_NOTATIONS: Final[list[tuple[str, str, Callable[[Any], str]]]] = [
    ("MaxRetry", "max_retry", str),
    ("Queue", "queue", go_quote),
    ("Timeout", "timeout", go_duration),
    ("Deadline", "deadline", go_time),
    ("Unique", "unique", go_duration),
    ("ProcessAt", "process_at", go_time),
    ("ProcessIn", "process_in", go_duration),
    ("TaskID", "task_id", go_quote),
    ("Retention", "retention", go_duration),
    ("Group", "group", go_quote),
]
