"""Where Redis is: the options that commands share, before their name and after it."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, Final, ParamSpec, TypeVar

import typer

from headrace._cli.failure import CliError, explained

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from headrace._cli.settings import WorkerSettings

__all__ = ["Connection", "connected", "resolve", "with_connection_options"]

P = ParamSpec("P")
R = TypeVar("R")
PANEL: Final = "Connection"


@dataclasses.dataclass(frozen=True, slots=True)
class Connection:
    """Where Redis is, as the flags, the environment and the configuration file say.

    Attributes:
        given_url: The URL with all that belongs to it; None: nobody said anything.
        is_flag: Whether a flag says where Redis is.
        worker: The table of that name of the configuration file.
    """

    given_url: str | None = dataclasses.field(repr=False)
    is_flag: bool
    worker: WorkerSettings

    @property
    def url(self) -> str:
        """The URL, or that of a Redis on this machine."""
        return "redis://localhost:6379" if self.given_url is None else self.given_url


def _option(
    kind: object, flag: str, metavar: str | None, text: str, envvar: str | None = None
) -> tuple[object, Callable[..., object]]:
    def make(*, at_root: bool) -> object:
        return typer.Option(
            None,
            flag,
            metavar=metavar,
            envvar=envvar,
            help=text if at_root else f"{text} headrace --help lists more.",
            show_default=False,
            rich_help_panel=PANEL,
            hidden=not at_root and flag not in _SHOWN_BY_COMMANDS,
        )

    return kind, make


_OPTIONS: Final = {
    "redis": _option(
        str | None,
        "--redis",
        "URL",
        "Where the tasks are, such as redis://localhost:6379.",
        "HEADRACE_REDIS_URL",
    ),
    "db": _option(int | None, "--db", "N", "The number of the database."),
    "username": _option(str | None, "--username", "NAME", "The Redis user."),
    "password": _option(
        str | None,
        "--password",
        "TEXT",
        "Their password. The variable keeps it out of the list of processes.",
        "HEADRACE_REDIS_PASSWORD",
    ),
    "cluster": _option(bool | None, "--cluster", None, "The address is that of a Redis Cluster."),
    "cluster_address": _option(
        list[str] | None,
        "--cluster-address",
        "HOST:PORT",
        "A node of a Redis Cluster, in place of --redis. May be repeated.",
    ),
    "tls": _option(bool | None, "--tls", None, "Encrypt the connection, as rediss:// does."),
    "tls_insecure": _option(
        bool | None, "--tls-insecure", None, "With TLS: accept any certificate. For tests."
    ),
    "tls_ca": _option(
        str | None, "--tls-ca", "FILE", "With TLS: trust the authorities in this PEM file."
    ),
    "tls_server_name": _option(
        str | None,
        "--tls-server-name",
        "NAME",
        "With TLS: the host that the certificate names, where it is not that of the address.",
    ),
    "config": _option(
        Path | None,
        "--config",
        "FILE",
        "The configuration file. Without it: headrace.toml here, or headrace/config.toml in the "
        "user's configuration directory.",
        "HEADRACE_CONFIG",
    ),
}
_SHOWN_BY_COMMANDS: Final = {"--redis"}


def _parameters(*, at_root: bool) -> Iterator[inspect.Parameter]:
    for name, (kind, make) in _OPTIONS.items():
        yield inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=make(at_root=at_root),
            annotation=kind,
        )


def with_connection_options(function: Callable[[], None]) -> Callable[..., None]:
    """Return *function* as what comes before any command: it takes the options, too."""

    @functools.wraps(function)
    def run(**_options: object) -> None:
        function()

    _sign(run, list(_parameters(at_root=True)))
    return run


def connected(command: Callable[Concatenate[Connection, P], R]) -> Callable[..., R]:
    """Return *command* with the options of a connection in the place of its first parameter.

    Mistakes of the user end it as `explained` says.
    """
    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]

    @functools.wraps(command)
    @explained
    def run(context: typer.Context, **values: object) -> R:
        for name in _OPTIONS:
            del values[name]
        return command(resolve(context), **values)  # type: ignore[arg-type, call-arg]  # typer gives what the signature below asks for.

    context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    _sign(run, [*own, context, *_parameters(at_root=False)])
    return run


def _sign(function: Callable[..., object], parameters: list[inspect.Parameter]) -> None:
    """Tell typer that *function* takes *parameters*."""
    first = [one for one in parameters if one.kind is not inspect.Parameter.KEYWORD_ONLY]
    last = [one for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY]
    parameters = [*first, *last]
    function.__annotations__ = {one.name: one.annotation for one in parameters}
    vars(function)["__signature__"] = inspect.Signature(parameters)


def resolve(context: typer.Context) -> Connection:
    """Put together what the flags, the environment and the configuration file say.

    A flag goes before the environment, that before the file; a flag after the command's name
    before one in front of it. Where the file names an address, and a flag or the environment
    another, what the file says beside its own does not apply: nobody's password shall go to
    another Redis.

    Raises:
        CliError: If it does not go together.
    """
    from headrace._cli.settings import load_settings  # noqa: PLC0415 - keeps --help quick

    flags, environment = _given(context, "COMMANDLINE"), _given(context, "ENVIRONMENT")
    path = flags.pop("config", None) or environment.pop("config", None)
    environment.pop("config", None)
    settings = load_settings(path if isinstance(path, Path) else None)
    file = settings.connection()
    for level in (flags, file):
        if len(_ADDRESSES & level.keys()) > 1:
            raise CliError("--redis and --cluster-address both say where Redis is; choose one")
    if _ADDRESSES & flags.keys():
        environment.pop("redis", None)
    now = {**environment, **flags}
    if _ADDRESSES & now.keys() and _ADDRESSES & file.keys():
        file = {}
    given = {**file, **now}
    if not given:
        return Connection(None, is_flag=False, worker=settings.worker)
    from headrace._cli.address import full_url  # noqa: PLC0415 - keeps --help quick

    return Connection(full_url(given), is_flag=bool(flags), worker=settings.worker)


_ADDRESSES: Final = frozenset({"redis", "cluster_address"})


def _given(context: typer.Context, source: str) -> dict[str, object]:
    """Return what came from *source*, for the command and in front of it."""
    found: dict[str, object] = {}
    for level in (context.find_root(), context):
        for name in _OPTIONS:
            if getattr(level.get_parameter_source(name), "name", "") == source:
                found[name] = level.params[name]
    return found
