"""``scheduler``: enqueue what is due until a signal ends it."""

from __future__ import annotations

import inspect
import logging
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from headrace._cli.connection import Connection, connected
from headrace._cli.console import error_console
from headrace._cli.failure import CliError, ExitCode
from headrace._cli.logs import LogFormat, LogLevel, configure_logging
from headrace._cli.target import load_target, user_fault
from headrace._cli.text import plain

if TYPE_CHECKING:
    from headrace import PeriodicTaskManager, Router, Scheduler

__all__ = ["scheduler"]

log: logging.Logger = logging.getLogger("headrace.scheduler")

TargetArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODULE:NAME",
        show_default=False,
        help="A headrace.Scheduler, a PeriodicTaskManager, a Router with cron entries, or a "
        "function without arguments that returns one.",
    ),
]
LogLevelOption = Annotated[
    LogLevel | None, typer.Option(show_default="info", help="How much to log.")
]
LogFormatOption = Annotated[LogFormat | None, typer.Option(show_default="text", help="How to log.")]


@connected
def scheduler(
    connection: Connection,
    target: TargetArgument,
    *,
    log_level: LogLevelOption = None,
    log_format: LogFormatOption = None,
) -> None:
    """Run a scheduler until SIGTERM or SIGINT.

    Any number of them may run: each tick of an entry is enqueued once.

    Exit codes: 0 shut down in order; 1 broken by an error; 2 wrong command; 69 Redis does not
    answer or is unsuitable; 130 and 143 aborted by a second signal.
    """
    found = build_scheduler(target, redis=connection.given_url, is_flag=connection.is_flag)
    configure_logging(log_level, log_format)
    announce(found)
    _run(found)


def _run(found: Scheduler | PeriodicTaskManager) -> None:
    from headrace import BrokerError, run  # noqa: PLC0415 - keeps --help quick

    try:
        run(found)
    except BrokerError as error:
        if error_console().is_terminal:
            raise
        # Whoever collects the log gets the reason in its form.
        log.critical("%s", error)
        raise typer.Exit(ExitCode.UNAVAILABLE) from None


def build_scheduler(
    spec: str, *, redis: str | None, is_flag: bool
) -> Scheduler | PeriodicTaskManager:
    """Return the scheduler that *spec* means.

    Args:
        spec: ``module:name`` of a Scheduler, a PeriodicTaskManager, a Router, or a function
            that returns one.
        redis: URL for a router.
        is_flag: Whether *redis* is a flag: the environment's is not meant for a scheduler,
            which has its own.

    Raises:
        CliError: If *spec* means something else, or the URL is missing or has no use.
    """
    from headrace import PeriodicTaskManager, Router, Scheduler  # noqa: PLC0415 - as above

    known = (Scheduler, PeriodicTaskManager, Router)
    found = load_target(spec)
    if not isinstance(found, known) and callable(found) and not inspect.isclass(found):
        try:
            found = found()
        except Exception as error:  # noqa: BLE001 - whatever the user's code raises
            raise user_fault(spec, error) from None
    if isinstance(found, Router):
        return _of_router(found, spec, redis)
    if not isinstance(found, (Scheduler, PeriodicTaskManager)):
        raise CliError(
            f"{spec} is of type {type(found).__name__}; a headrace.Scheduler, a "
            f"PeriodicTaskManager or a Router is needed",
            hint="A function without arguments that returns one will do too.",
        )
    if is_flag:
        raise CliError(
            f"{spec} is a {type(found).__name__}, which has its own Redis: --redis is for a Router",
            hint="Leave it out, or name the Router.",
        )
    return found


def _of_router(router: Router, spec: str, redis: str | None) -> Scheduler:
    from headrace import Scheduler  # noqa: PLC0415 - as above

    if redis is None:
        raise CliError(
            f"{spec} is a Router: where shall its tasks go?",
            hint="Give --redis URL or set HEADRACE_REDIS_URL.",
        )
    if not router.schedules:
        raise CliError(
            f"{spec} has no cron entries", hint="@router.cron(...) gives a typed task some."
        )
    made = Scheduler(redis)
    for schedule in router.schedules:
        made.add(schedule)
    return made


def announce(found: Scheduler | PeriodicTaskManager) -> None:
    """Say what is about to run: in lines on a terminal, in one line of the log elsewhere."""
    from headrace import __version__  # noqa: PLC0415 - keeps --help quick

    entries = [
        f"{schedule.spec} {schedule.task.type}" for schedule in found.schedules.values()
    ] or ["as the provider says"]
    console = error_console()
    if not console.is_terminal:
        log.info("Headrace %s: redis %s; %s", __version__, found.address, "; ".join(entries))
        return
    console.print(Text(f"Headrace {__version__}", style="bold"))
    for name, value in (("redis", found.address), *(("schedule", entry) for entry in entries)):
        console.print(Text.assemble((f"  {name:<12}", "dim"), plain(value)))
