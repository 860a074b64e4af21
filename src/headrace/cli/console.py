"""The two consoles. Rich obeys NO_COLOR and leaves colours out where nobody could see them."""

from __future__ import annotations

import functools

from rich.console import Console

__all__ = ["error_console", "output_console"]


def output_console() -> Console:
    """Return a console for results: standard output."""
    return Console(highlight=False)


@functools.cache
def error_console() -> Console:
    """Return the console for everything that is not a result: standard error."""
    return Console(stderr=True, highlight=False)
