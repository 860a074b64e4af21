"""How values look in a narrow place. Nothing here is ever read as markup."""

from __future__ import annotations

import contextlib
import json
import time
from typing import TYPE_CHECKING, Final

from rich.text import Text

from headrace._cli.text import duration_text, plain, short_count

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "ago",
    "body_text",
    "count_text",
    "due_in",
    "fitted",
    "preview",
    "rate_text",
    "short_duration",
    "spark",
    "time_text",
]

MAX_BODY: Final = 20_000
"""Characters of a payload or a result that are shown."""
MAX_JSON: Final = 256 * 1024
"""Bytes beyond which JSON is not pretty-printed."""
MAX_HEX: Final = 512
_MAX_PREVIEW: Final = 400
_BARS: Final = "▁▂▃▄▅▆▇█"
# Seconds of a unit, its letter, and how many of them are shown at the most.
_UNITS: Final = ((60.0, "s", 1.0), (3600.0, "m", 60.0), (86400.0, "h", 3600.0))


def spark(values: Sequence[float], width: int) -> str:
    """Return the last *width* values as bars, the latest on the right, blank where none are."""
    shown = list(values)[-width:] if width > 0 else []
    top = max(shown, default=0.0)
    bars = "".join(
        # What is not zero looks higher than zero.
        _BARS[max(1, round(value / top * (len(_BARS) - 1)))] if value > 0 else _BARS[0]
        for value in shown
    )
    return bars.rjust(max(0, width))


def rate_text(values: Sequence[float]) -> str:
    """Return the latest rate, in at most five characters; empty if none is known."""
    if not values:
        return ""
    latest = values[-1]
    return f"{latest:.1f}" if 0 < latest < 10 else short_count(round(latest))  # noqa: PLR2004


def count_text(count: int, style: str = "") -> Text:
    """Return a number in at most five characters; zero is dim."""
    return Text(short_count(count), style=style if count else "dim")


def short_duration(seconds: float) -> str:
    """Return a duration in at most five characters: its largest unit."""
    if seconds <= 0:
        return "0s"
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    for limit, letter, size in _UNITS:
        if seconds < limit:
            return f"{int(seconds / size)}{letter}"
    days = int(seconds / 86400)
    return f"{days}d" if days < 1000 else f"{days // 365}y"  # noqa: PLR2004 - four digits and a d


def due_in(moment: float | None, now: float) -> str:
    """Return how long it is until *moment*, in Unix seconds; empty for None."""
    if moment is None:
        return ""
    return short_duration(moment - now) if moment > now else "now"


def ago(moment: float | None, now: float) -> str:
    """Return how long ago *moment* was, in Unix seconds; empty for None."""
    return "" if moment is None else short_duration(max(0.0, now - moment))


def time_text(moment: float | None, now: float) -> str:
    """Return a Unix time in local time, and how far off it is; a dash for none."""
    if not moment:
        return "-"
    try:
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))
    except (OverflowError, ValueError, OSError):
        return f"{moment:g}"  # Other programs may write any number.
    if moment > now:
        return f"{stamp} (in {duration_text(moment - now)})"
    return f"{stamp} ({duration_text(now - moment)} ago)"


def preview(data: bytes) -> str:
    """Return the beginning of *data* on one line."""
    text = data[:_MAX_PREVIEW].decode("utf-8", "replace")
    return plain(" ".join(text.split()))


def body_text(data: bytes | None) -> str:
    """Return a payload or a result in full, as long as it is not too long: JSON indented."""
    if not data:
        return "(none)" if data is None else "(empty)"
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return _hex_text(data)
    if len(data) <= MAX_JSON:
        # What is not JSON, or nested too deeply for it, is shown as it is.
        with contextlib.suppress(ValueError, RecursionError):
            text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    cut = len(text) - MAX_BODY
    rest = f"\n… and {cut:,} more characters" if cut > 0 else ""
    return plain(text[:MAX_BODY], keep="\n") + rest


def _hex_text(data: bytes) -> str:
    lines = [
        f"{start:04x}  {data[start : start + 16].hex(' ')}"
        for start in range(0, min(len(data), MAX_HEX), 16)
    ]
    rest = [f"… and {len(data) - MAX_HEX:,} more bytes"] if len(data) > MAX_HEX else []
    return "\n".join([f"({len(data):,} bytes, not text)", *lines, *rest])


def fitted(cell: Text | str, width: int, *, right: bool) -> Text:
    """Return *cell* such that it takes *width* columns, the last of them blank."""
    text = cell.copy() if isinstance(cell, Text) else Text(cell)
    room = max(0, width - 1)
    text.truncate(room, overflow="ellipsis")
    missing = room - text.cell_len
    if right:
        text.pad_left(missing)
    else:
        text.pad_right(missing)
    text.append(" ")
    return text
