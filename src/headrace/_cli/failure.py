"""How a command fails: the exit codes, and errors without a traceback for the user's mistakes."""

from __future__ import annotations

import enum
import functools
import signal
from typing import TYPE_CHECKING, NoReturn, ParamSpec, TypeVar

import typer
from rich.text import Text

from headrace._cli.console import error_console
from headrace._cli.text import plain

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CliError", "ExitCode", "explained", "print_error"]

P = ParamSpec("P")
R = TypeVar("R")


class ExitCode(enum.IntEnum):
    """What a supervisor can tell apart.

    A second signal ends a worker with 128 + the signal's number: 130 (INT), 143 (TERM).
    """

    OK = 0
    FAILURE = 1
    """Something broke, is not there, or was not confirmed: a restart may help."""
    USAGE = 2
    """The command is wrong: a restart cannot help."""
    UNAVAILABLE = 69
    """Redis does not answer or is unsuitable (EX_UNAVAILABLE of sysexits.h)."""


class CliError(Exception):
    """A failure that is the user's to mend, shown without a traceback.

    Args:
        message: What is wrong.
        hint: What to do about it; "" if the message says it.
        code: The exit code.
    """

    def __init__(self, message: str, *, hint: str = "", code: ExitCode = ExitCode.USAGE) -> None:
        super().__init__(message)
        self.message: str = message
        self.hint: str = hint
        self.code: ExitCode = code


def explained(command: Callable[P, R]) -> Callable[P, R]:
    """Make *command* end with a clear line and an exit code where a user's mistake stops it."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except KeyboardInterrupt:
            raise typer.Exit(128 + signal.SIGINT) from None
        except CliError as error:
            _end(error)
        except Exception as error:
            if (known := _as_cli_error(error)) is None:
                raise
            _end(known)

    return run


def _as_cli_error(error: Exception) -> CliError | None:
    """Return *error* as the user's mistake; None if it is not one."""
    from headrace import (  # noqa: PLC0415 - keeps --help quick
        BrokerError,
        ClusterRequiredError,
        HeadraceError,
        InvalidOptionError,
    )

    if isinstance(error, (InvalidOptionError, ClusterRequiredError)):
        return CliError(str(error))
    if isinstance(error, BrokerError):
        return CliError(str(error), code=ExitCode.UNAVAILABLE)
    if isinstance(error, HeadraceError):  # Not there, in another state, taken, too large.
        return CliError(str(error), code=ExitCode.FAILURE)
    return None


def _end(error: CliError) -> NoReturn:
    print_error(error.message, hint=error.hint)
    raise typer.Exit(error.code)


def print_error(message: str, *, hint: str = "") -> None:
    """Print a failure on standard error, and below it what to do about it."""
    console = error_console()
    line = Text.assemble(("Error: ", "bold red"), plain(message, keep="\n"))
    if hint:
        line.append(f"\n{plain(hint)}", style="dim")
    console.print(line, soft_wrap=True)
