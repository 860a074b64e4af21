"""A bar on standard error for what takes long; nothing where no terminal would show it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from headrace._cli.console import error_console

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["progress_bar"]


@contextlib.contextmanager
def progress_bar(
    what: str, *, total: int | None = None
) -> Iterator[Callable[[int, int | None], None]]:
    """Show a bar while the block runs.

    Args:
        what: What goes on.
        total: How many steps it takes; None: it is not known yet.

    Yields:
        A function that takes how many steps are done, and of how many (None: as before).
    """
    from rich.progress import (  # noqa: PLC0415 - keeps --help quick
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = error_console()
    columns = (
        *(TextColumn("{task.description}"), BarColumn(bar_width=None)),
        *(MofNCompleteColumn(), TimeRemainingColumn()),
    )
    is_shown = console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=not is_shown) as bar:
        task = bar.add_task(what, total=total)

        def update(done: int, of: int | None) -> None:
            bar.update(task, completed=done, total=of)

        yield update
