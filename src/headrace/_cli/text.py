"""Text that is safe to print: no control characters, no credentials."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["duration_text", "masked_url", "plain", "plural", "short_count", "size_text"]

# Control, format (among them the marks that turn the direction of writing), surrogates, and
# the separators that some terminals treat as line ends.
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_JOINERS = frozenset("\u200c\u200d")  # Emoji and several scripts need them.
_SECRET = re.compile("user|pass|secret|token", re.IGNORECASE)
_MASK = "***"


def plain(text: str, *, keep: str = "") -> str:
    r"""Return *text* with every character that could command a terminal written as an escape.

    Args:
        text: Text from outside: a task's type, an error, a file's name.
        keep: Characters to leave alone, such as ``"\n"``.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        char if char in keep or not _is_unsafe(char) else _escaped(char) for char in text
    )


def _is_unsafe(char: str) -> bool:
    return unicodedata.category(char) in _UNSAFE and char not in _JOINERS


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def masked_url(url: str) -> str:
    """Return *url* fit to be shown: credentials replaced by ``***``, controls escaped."""
    scheme, sign, rest = url.partition("://")
    rest, _, query = rest.partition("#")[0].partition("?")
    host, slash, path = rest.partition("/")
    if "@" in host:
        host = f"{_MASK}@{host.rpartition('@')[2]}"
    elif "@" in path:
        return f"{plain(scheme)}{sign}{_MASK}"  # A password with a slash in it, most likely.
    query = "&".join(_masked_parameter(parameter) for parameter in query.split("&"))
    return plain(f"{scheme}{sign}{host}{slash}{path}{'?' if query else ''}{query}")


def _masked_parameter(parameter: str) -> str:
    name, sign, _ = parameter.partition("=")
    return f"{name}{sign}{_MASK}" if sign and _SECRET.search(name) else parameter


def plural(number: int, one: str, many: str = "") -> str:
    """Return *number* with its noun, *one* or *many* of it; *many* defaults to an added s."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def short_count(number: int) -> str:
    """Return *number*, of things, in at most five characters, such as ``12.3k``."""
    value = float(number)
    if value < 10_000:  # noqa: PLR2004 - four digits fit
        return str(number)
    for unit in "kMG":
        value /= 1000
        if value < 999.5:  # noqa: PLR2004 - three digits fit
            return f"{value:.3g}{unit}"
    return f"{value / 1000:.3g}T"


def size_text(size: float) -> str:
    """Return a number of bytes for a person to read, in powers of 1,024."""
    if abs(size) < 1024:  # noqa: PLR2004 - the docstring says it
        return f"{size:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        size /= 1024
        if abs(size) < 1024:  # noqa: PLR2004
            return f"{size:.1f} {unit}"
    return f"{size / 1024:.1f} TiB"


def duration_text(seconds: float) -> str:
    """Return a duration for a person to read: its two largest units."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms" if seconds > 0 else "0 s"
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
