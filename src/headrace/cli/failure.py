"""How a command fails: the exit codes, and errors without a traceback for the user's mistakes."""

from __future__ import annotations

import enum
import functools
import signal
from typing import TYPE_CHECKING, NoReturn, ParamSpec, TypeVar

import typer
from rich.text import Text

from headrace.cli.console import error_console
from headrace.cli.text import plain

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CliError", "ExitCode", "explained"]

P = ParamSpec("P")
R = TypeVar("R")


class ExitCode(enum.IntEnum):
    """What a supervisor can tell apart.

    A second signal ends a worker with 128 + the signal's number: 130 (INT), 143 (TERM).
    """

    OK = 0
    FAILURE = 1
    """Something broke: a restart may help."""
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
    from headrace import BrokerError, InvalidOptionError  # noqa: PLC0415 - keeps --help quick

    if isinstance(error, InvalidOptionError):
        return CliError(str(error))
    if isinstance(error, BrokerError):
        return CliError(str(error), code=ExitCode.UNAVAILABLE)
    return None


def _end(error: CliError) -> NoReturn:
    console = error_console()
    line = Text.assemble(("Error: ", "bold red"), plain(error.message, keep="\n"))
    if error.hint:
        line.append(f"\n{plain(error.hint)}", style="dim")
    console.print(line, soft_wrap=True)
    raise typer.Exit(error.code)
