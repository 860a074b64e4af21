"""Logging of the command line."""

from __future__ import annotations

import contextlib
import json
import logging
from typing import TYPE_CHECKING

from headrace._cli.logs import LogFormat, LogLevel, configure_logging

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

NASTY = "type \x1b[2J\nnext"


@contextlib.contextmanager
def bare_root() -> Iterator[logging.Logger]:
    """The root logger without handlers: pytest has its own there while a test runs."""
    logger = logging.getLogger()
    level, handlers = logger.level, logger.handlers[:]
    logger.handlers[:] = []
    try:
        yield logger
    finally:
        logger.handlers[:] = handlers
        logger.setLevel(level)


def fail() -> None:
    """Fail as a task might."""
    raise ValueError(NASTY)


def log_an_error() -> None:
    """Log a line with an exception."""
    try:
        fail()
    except ValueError:
        logging.getLogger("app").exception("Failed: %s", NASTY, extra={"queue": "low"})


def test_text_neutralises_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    """What a task brings along cannot move the cursor, nor forge a line of the log."""
    with bare_root():
        configure_logging(None, None)
        log_an_error()

    shown = capsys.readouterr().err
    first, *trace = shown.splitlines()
    assert first.endswith(r"ERROR app: Failed: type \x1b[2J\nnext")
    assert trace[0] == "Traceback (most recent call last):"
    assert "\x1b" not in shown


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Extras become members; the exception's traceback is one string."""
    with bare_root():
        configure_logging(None, LogFormat.JSON)
        log_an_error()

    (line,) = capsys.readouterr().err.splitlines()
    entry = json.loads(line)
    assert ("error", "app", f"Failed: {NASTY}", "low") == (
        entry["level"],
        entry["logger"],
        entry["message"],
        entry["queue"],
    )
    assert entry["exception"].startswith("Traceback")


def test_level(capsys: pytest.CaptureFixture[str]) -> None:
    """Info is the default; a given level takes its place."""
    with bare_root() as root:
        configure_logging(None, None)
        assert root.level == logging.INFO

        configure_logging(LogLevel.WARNING, None)
        logging.getLogger("app").info("not shown")

    assert capsys.readouterr().err == ""


def test_logging_of_the_user_is_left_alone() -> None:
    """A module that has set up logging keeps its handlers and its level, unless told otherwise."""
    own = logging.NullHandler()
    with bare_root() as root:
        root.addHandler(own)
        root.setLevel(logging.ERROR)

        configure_logging(None, None)
        assert ([own], logging.ERROR) == (root.handlers, root.level)

        configure_logging(LogLevel.DEBUG, LogFormat.JSON)
        assert own not in root.handlers
        assert root.level == logging.DEBUG
