"""The two consoles. Rich obeys NO_COLOR and leaves colours out where nobody could see them."""

from __future__ import annotations

import functools

from rich.console import Console

__all__ = ["error_console", "output_console"]

PIPE_WIDTH = 160


def output_console() -> Console:
    """Return a console for results: standard output. What is piped gets room for long lines."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PIPE_WIDTH)


@functools.cache
def error_console() -> Console:
    """Return the console for everything that is not a result: standard error."""
    return Console(stderr=True, highlight=False)
