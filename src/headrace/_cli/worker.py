"""``worker``: run a server, or a router's tasks, until a signal ends it."""

from __future__ import annotations

import inspect
import logging
import sys
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.text import Text

from headrace._cli.connection import Connection, connected
from headrace._cli.console import error_console
from headrace._cli.failure import CliError, ExitCode
from headrace._cli.logs import LogFormat, LogLevel, configure_logging
from headrace._cli.metrics import DEFAULT_HOST, with_metrics
from headrace._cli.target import load_target, user_fault
from headrace._cli.text import plain
from headrace._cli.values import parse_queues

if TYPE_CHECKING:
    from headrace import Server, ServerOptions

__all__ = ["worker"]

DEFAULT_SHUTDOWN_TIMEOUT = 8.0
log: logging.Logger = logging.getLogger("headrace.worker")

TargetArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODULE:NAME",
        show_default=False,
        help="A headrace.Server, a Router, or a function without arguments that returns one.",
    ),
]
ConcurrencyOption = Annotated[
    int | None,
    typer.Option("--concurrency", "-c", min=1, show_default=False, help="Tasks at a time."),
]
QueuesOption = Annotated[
    str | None,
    typer.Option(
        "--queues",
        "-q",
        metavar="NAME=WEIGHT,...",
        show_default=False,
        help="Queues and their share of attention, such as critical=6,default=3.",
    ),
]
StrictOption = Annotated[
    bool, typer.Option("--strict", help="Empty heavier queues before lighter ones get a turn.")
]
ShutdownTimeoutOption = Annotated[
    float | None,
    typer.Option(
        min=0,
        metavar="SECONDS",
        show_default=False,
        help="How long running tasks may take to finish at shutdown.",
    ),
]
LogLevelOption = Annotated[
    LogLevel | None, typer.Option(show_default="info", help="How much to log.")
]
LogFormatOption = Annotated[LogFormat | None, typer.Option(show_default="text", help="How to log.")]
MetricsPortOption = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=65535,
        metavar="PORT",
        show_default=False,
        help="Serve /metrics, /healthz and /readyz on this port, such as 9876.",
    ),
]
MetricsHostOption = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        show_default=DEFAULT_HOST,
        help="Where to serve them; 0.0.0.0 is everywhere.",
    ),
]
ReloadOption = Annotated[
    bool, typer.Option("--reload", help="Restart when a Python file here changes (development).")
]


@connected
def worker(
    connection: Connection,
    target: TargetArgument,
    *,
    concurrency: ConcurrencyOption = None,
    queues: QueuesOption = None,
    strict: StrictOption = False,
    shutdown_timeout: ShutdownTimeoutOption = None,
    log_level: LogLevelOption = None,
    log_format: LogFormatOption = None,
    metrics_port: MetricsPortOption = None,
    metrics_host: MetricsHostOption = None,
    reload: ReloadOption = False,
) -> None:
    """Run a worker until SIGTERM or SIGINT.

    What is given here takes precedence over the table [worker] of the configuration file, and
    that over the server's own configuration. A first SIGTERM or SIGINT (Ctrl+C) lets running
    tasks finish, a second one aborts, SIGTSTP stops fetching.

    Exit codes: 0 shut down in order; 1 broken by an error; 2 wrong command; 69 Redis does not
    answer or is unsuitable; 130 and 143 aborted by a second signal.
    """
    file = connection.worker
    shutdown_timeout = file.shutdown_timeout if shutdown_timeout is None else shutdown_timeout
    changes = _changes(
        concurrency=file.concurrency if concurrency is None else concurrency,
        queues=file.queues if queues is None else parse_queues(queues),
        strict_priority=True if strict else file.strict,
        shutdown_timeout=shutdown_timeout,
    )
    log_level, log_format = log_level or file.log_level, log_format or file.log_format
    metrics_port = file.metrics_port if metrics_port is None else metrics_port
    if reload:
        _reload(log_level, log_format, shutdown_timeout)
    url, is_flag = connection.given_url, connection.is_flag
    server = build_server(target, redis=url, is_flag=is_flag, changes=changes)
    configure_logging(log_level, log_format)
    _run(with_metrics(server, metrics_host or file.metrics_host, metrics_port))


def _changes(
    *,
    concurrency: int | None,
    queues: dict[str, int] | None,
    strict_priority: bool | None,
    shutdown_timeout: float | None,
) -> ServerOptions:
    """Return what was given; the server's own configuration says the rest."""
    changes: ServerOptions = {}
    if concurrency is not None:
        changes["concurrency"] = concurrency
    if queues is not None:
        changes["queues"] = queues
    if strict_priority is not None:
        changes["strict_priority"] = strict_priority
    if shutdown_timeout is not None:
        changes["shutdown_timeout"] = shutdown_timeout
    return changes


def _run(server: Server) -> None:
    from headrace import BrokerError, run  # noqa: PLC0415 - keeps --help quick

    announce(server)
    try:
        run(server)
    except BrokerError as error:
        if error_console().is_terminal:
            raise
        # Whoever collects the log gets the reason in its form.
        log.critical("%s", error)
        raise typer.Exit(ExitCode.UNAVAILABLE) from None


def _reload(
    level: LogLevel | None, style: LogFormat | None, shutdown_timeout: float | None
) -> NoReturn:
    from headrace._cli.reload import run_reloading  # noqa: PLC0415 - rarely used

    configure_logging(level, style)
    arguments = [argument for argument in sys.argv[1:] if argument != "--reload"]
    patience = (shutdown_timeout or DEFAULT_SHUTDOWN_TIMEOUT) + 2
    raise typer.Exit(run_reloading(arguments, patience=patience))


def build_server(spec: str, *, redis: str | None, is_flag: bool, changes: ServerOptions) -> Server:
    """Return the server that *spec* means, with *changes* to its configuration.

    Args:
        spec: ``module:name`` of a Server, a Router, or a function that returns one.
        redis: URL for a router.
        is_flag: Whether *redis* is a flag: the environment's is not meant for a server,
            which has its own.
        changes: Fields of the configuration, by name.

    Raises:
        CliError: If *spec* means something else, or the URL is missing or has no use.
    """
    from headrace import Router, Server  # noqa: PLC0415 - keeps --help quick

    found = _called(load_target(spec), spec)
    if isinstance(found, Server):
        if is_flag:
            raise CliError(
                f"{spec} is a Server, which has its own Redis: --redis is for a Router",
                hint="Leave it out, or name the Router.",
            )
        return found.replace(**changes) if changes else found
    if isinstance(found, Router):
        if redis is None:
            raise CliError(
                f"{spec} is a Router: where are its tasks?",
                hint="Give --redis URL or set HEADRACE_REDIS_URL.",
            )
        return Server(redis, found, **changes)
    kind = type(found).__name__
    raise CliError(
        f"{spec} is of type {kind}; a headrace.Server or a Router is needed",
        hint="A function without arguments that returns one will do too.",
    )


def _called(found: object, spec: str) -> object:
    """Return what *found* returns if it is a factory, else *found* itself."""
    from headrace import Router, Server  # noqa: PLC0415 - keeps --help quick

    if isinstance(found, (Server, Router)) or not callable(found):
        return found
    if inspect.iscoroutinefunction(found):
        raise CliError(f"{spec} is a coroutine function; a plain function is needed")
    try:
        inspect.signature(found).bind()
    except (TypeError, ValueError) as error:
        raise CliError(f"{spec} cannot be called without arguments: {error}") from None
    try:
        return found()
    except Exception as error:  # noqa: BLE001 - whatever the user's code raises
        raise user_fault(spec, error) from None


def announce(server: Server) -> None:
    """Say what is about to run: in lines on a terminal, in one line of the log elsewhere."""
    from headrace import __version__  # noqa: PLC0415 - keeps --help quick

    facts = {
        "redis": server.address,
        "queues": " ".join(f"{name}={weight}" for name, weight in server.config.queues.items())
        + (" (strict)" if server.config.strict_priority else ""),
        "concurrency": f"{server.config.concurrency:,}",
        "tasks": ", ".join(_task_types(server)) or "all that come",
    }
    console = error_console()
    if not console.is_terminal:
        text = "; ".join(f"{name} {value}" for name, value in facts.items())
        log.info("Headrace %s: %s", __version__, text, extra={"worker": facts})
        return
    console.print(Text(f"Headrace {__version__}", style="bold"))
    for name, value in facts.items():
        console.print(Text.assemble((f"  {name:<12}", "dim"), plain(value)))


def _task_types(server: Server) -> list[str]:
    """Return what *server* has handlers for; nothing if it cannot be told."""
    from headrace import Router  # noqa: PLC0415 - keeps --help quick

    handler = server.handler
    if not isinstance(handler, Router):
        return []
    return [*handler.tasks, *(f"{pattern}*" for pattern in handler.patterns)]
