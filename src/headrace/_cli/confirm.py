"""Asking before something is done that cannot be undone."""

from __future__ import annotations

import sys
from typing import Annotated, TypeAlias

import typer

from headrace._cli.failure import CliError, ExitCode

__all__ = ["DryRunOption", "YesOption", "confirm"]

YesOption: TypeAlias = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRunOption: TypeAlias = Annotated[
    bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")
]


def confirm(question: str, *, yes: bool) -> None:
    """Ask *question* on standard error and return if the answer is yes.

    Args:
        question: Such as ``Delete 3 tasks?``.
        yes: Whether the user has said so already, by a flag.

    Raises:
        CliError: If there is nobody to ask: standard input is no terminal.
        Abort: If the answer is no.
    """
    if yes:
        return
    if not is_somebody_there():
        raise CliError(
            f"Not confirmed: {question}",
            hint="Standard input is no terminal. --yes goes ahead without asking.",
            code=ExitCode.FAILURE,
        )
    typer.confirm(question, abort=True, err=True)


def is_somebody_there() -> bool:
    """Whether a question would be answered."""
    return sys.stdin is not None and sys.stdin.isatty()
