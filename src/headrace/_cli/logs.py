"""Logging of the command line: to standard error, for a person or for a machine."""

from __future__ import annotations

import enum
import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.logging import RichHandler

from headrace._cli.console import error_console
from headrace._cli.text import plain

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["LogFormat", "LogLevel", "configure_logging"]

# What every record has; the rest came by `extra`.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"asctime", "message", "taskName"}


class LogLevel(enum.StrEnum):
    """How much to log."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


class LogFormat(enum.StrEnum):
    """How to log."""

    TEXT = "text"
    JSON = "json"


class PlainFormatter(logging.Formatter):
    """Writes control characters as escapes: a task's type or error may hold anything."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the line without the traceback."""
        record.message = plain(record.message)
        return super().formatMessage(record)

    def formatException(  # noqa: N802 - logging's name
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None]
        | tuple[None, None, None],
    ) -> str:
        """Return the traceback."""
        return plain(super().formatException(ei), keep="\n\t")


class JsonFormatter(logging.Formatter):
    """One JSON object a line, with what came by ``extra`` as further members."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry |= {
            name: value for name, value in vars(record).items() if name not in {*_STANDARD, *entry}
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


def configure_logging(level: LogLevel | None, style: LogFormat | None = None) -> None:
    """Send all logs to standard error, unless the user's module has set up logging already.

    Args:
        level: None means "info", or whatever the user's module has set.
        style: None means text; in colour on a terminal.
    """
    root = logging.getLogger()
    theirs = bool(root.handlers)
    if level is not None or not theirs:
        root.setLevel((level or LogLevel.INFO).upper())
    if theirs and style is None:
        return
    for handler in root.handlers[:]:
        root.removeHandler(handler)
    root.addHandler(_handler(style or LogFormat.TEXT))


def _handler(style: LogFormat) -> logging.Handler:
    handler: logging.Handler
    if style is LogFormat.JSON:
        handler = logging.StreamHandler()
        handler.setFormatter(JsonFormatter())
    elif error_console().is_terminal:
        handler = RichHandler(console=error_console(), show_path=False, log_time_format="%X")
        handler.setFormatter(PlainFormatter("%(message)s"))
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(PlainFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    return handler
