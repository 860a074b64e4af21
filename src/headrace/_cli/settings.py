"""The configuration file: what it may hold, where it is looked for, and what is wrong with it."""

from __future__ import annotations

import os
import stat
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from rich.text import Text

from headrace._cli.console import error_console
from headrace._cli.failure import CliError
from headrace._cli.logs import LogFormat, LogLevel  # noqa: TC001 - pydantic reads them
from headrace._cli.text import plain

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

__all__ = ["Settings", "WorkerSettings", "load_settings"]

FILE_NAME = "headrace.toml"


class _Table(BaseModel):
    """A table of the file. A key that is missing is None."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class WorkerSettings(_Table):
    """What ``worker`` takes from the table of that name."""

    concurrency: Annotated[int, Field(ge=1)] | None = None
    queues: dict[str, Annotated[int, Field(ge=1)]] | None = None
    strict: bool | None = None
    shutdown_timeout: Annotated[float, Field(ge=0)] | None = None
    log_level: Annotated[LogLevel, Field(strict=False)] | None = None
    log_format: Annotated[LogFormat, Field(strict=False)] | None = None
    metrics_port: Annotated[int, Field(ge=0, le=65535)] | None = None
    metrics_host: str | None = None


class Settings(_Table):
    """What a configuration file holds."""

    redis: str | None = Field(default=None, repr=False)
    db: Annotated[int, Field(ge=0)] | None = None
    username: str | None = Field(default=None, repr=False)
    password: str | None = Field(default=None, repr=False)
    cluster: bool | None = None
    cluster_address: list[str] | None = None
    tls: bool | None = None
    tls_insecure: bool | None = None
    tls_ca: str | None = None
    tls_server_name: str | None = None
    worker: WorkerSettings = WorkerSettings()

    def connection(self) -> dict[str, object]:
        """Return what says where Redis is, by name."""
        return self.model_dump(exclude={"worker"}, exclude_none=True)


def load_settings(path: Path | None) -> Settings:
    """Read the configuration file.

    Args:
        path: The file; None: the first that exists of ``headrace.toml`` here and
            ``headrace/config.toml`` in the user's configuration directory. None of them need
            exist.

    Raises:
        CliError: If *path* cannot be read, or the file holds what it should not.
    """
    if path is not None:
        return _read(path)
    for candidate in (Path(FILE_NAME), _user_directory() / "headrace" / "config.toml"):
        if candidate.is_file():
            return _read(candidate)
    return Settings()


def _user_directory() -> Path:
    given = os.environ.get("XDG_CONFIG_HOME", "")
    # Its specification has relative paths ignored.
    return Path(given) if Path(given).is_absolute() else Path("~/.config").expanduser()


def _read(path: Path) -> Settings:
    try:
        with path.open("rb") as file:
            # Windows has other rights, and says 0o666 of each file.
            mode = os.fstat(file.fileno()).st_mode if os.name == "posix" else 0
            data = tomllib.load(file)
    except OSError as error:
        raise CliError(f"Cannot read {path}: {error.strerror or error}") from None
    except ValueError as error:  # Not TOML, or not UTF-8.
        raise CliError(f"{path} is not TOML: {error}") from None
    try:
        settings = Settings.model_validate(data)
    except ValidationError as error:
        problems = "; ".join(_problem(one) for one in error.errors(include_input=False))
        raise CliError(f"{path}: {problems}") from None
    if _is_secret(settings) and mode & (stat.S_IRGRP | stat.S_IROTH):
        _warn(f"{path} holds a password, and other users can read it: chmod 600 it.")
    return settings


def _warn(text: str) -> None:
    line = Text.assemble(("Warning: ", "bold yellow"), plain(text))
    error_console().print(line, soft_wrap=True)


def _problem(error: ErrorDetails) -> str:
    """Say what is wrong with which key. Its value is not shown: it may be a password."""
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] != "extra_forbidden":
        return f"{key}: {error['msg'][:1].lower()}{error['msg'][1:]}"
    table = WorkerSettings if len(error["loc"]) > 1 else Settings
    return f"{key}: there is no such key; the keys are {', '.join(table.model_fields)}"


def _is_secret(settings: Settings) -> bool:
    credentials = (settings.redis or "").rpartition("@")[0]
    return settings.password is not None or ":" in credentials.partition("://")[2]
