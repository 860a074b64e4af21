"""One environment for each system: a virtual environment, or a Go program that is built."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.catalog import HEADRACE

if TYPE_CHECKING:
    from benchmarks.catalog import System

ROOT = Path(__file__).parents[1]
ASYNQ_SOURCE = ROOT / "benchmarks" / "systems" / "asynq_go"
PROXY_SOURCE = ROOT / "benchmarks" / "proxy"

_VERSIONS = """
import importlib.metadata, json, platform, sys
found = {"python": platform.python_version()}
for name in sys.argv[1:]:
    try:
        found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pass
print(json.dumps(found))
"""
_BESIDE = ("redis", "hiredis", "uvloop", "kombu", "coredis")
"""Packages whose versions matter too, where they are installed."""


class EnvironmentFailedError(Exception):
    """An environment could not be made."""


class Environments:
    """Makes the environments in *directory* when they are first wanted, and keeps them.

    Headrace runs in the environment of the suite itself, as it is installed there.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._commands: dict[str, list[str]] = {}

    def command(self, system: System) -> list[str]:
        """Return what starts *system*'s program.

        Raises:
            EnvironmentFailedError: If its environment cannot be made; with what was printed.
        """
        if system.name not in self._commands:
            self._commands[system.name] = (
                [self.python(system), "-m", f"benchmarks.systems.{system.name}"]
                if system.package
                else [str(self.build(ASYNQ_SOURCE))]
            )
        return self._commands[system.name]

    def python(self, system: System) -> str:
        """Return the path of *system*'s Python, with all that it needs installed."""
        if system.name == HEADRACE:
            return sys.executable
        home = self._directory / "environments" / system.name
        wanted = "\n".join(system.requirements)
        stamp = home / "requirements.txt"
        python = home / "bin" / "python"
        if not stamp.exists() or stamp.read_text("utf-8") != wanted:
            shutil.rmtree(home, ignore_errors=True)
            _run([sys.executable, "-m", "venv", str(home)])
            _run([str(python), "-m", "pip", "install", "-q", *system.requirements])
            stamp.write_text(wanted, "utf-8")
        return str(python)

    def build(self, source: Path) -> Path:
        """Build the Go program in *source*, and return its path. Go itself knows what is new."""
        program = (self._directory / source.name).absolute()
        if shutil.which("go") is None:
            raise EnvironmentFailedError("needs Go, and found no go on the PATH")
        self._directory.mkdir(parents=True, exist_ok=True)
        _run(["go", "build", "-o", str(program), "."], source)
        return program

    def versions(self, system: System) -> dict[str, str]:
        """Return the versions of *system* and of what it stands on, by package."""
        if system.package:
            names = [name.split("[")[0] for name in system.requirements] or [system.name]
            command = [self.python(system), "-c", _VERSIONS, *names, *_BESIDE]
            versions: dict[str, str] = json.loads(_run(command))
            return versions
        listed = _run(["go", "list", "-m", "-f", "{{.Path}} {{.Version}}", "all"], ASYNQ_SOURCE)
        # The module itself is listed without a version.
        modules = dict(line.split() for line in listed.splitlines() if not line.endswith(" "))
        names = ["github.com/hibiken/asynq", "github.com/redis/go-redis/v9"]
        return {"go": _run(["go", "env", "GOVERSION"]).strip()} | {n: modules[n] for n in names}


def _run(command: list[str], directory: Path = ROOT) -> str:
    done = subprocess.run(  # noqa: S603 - our own commands
        command, cwd=directory, env=os.environ, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise EnvironmentFailedError(f"{' '.join(command)}: {done.stderr[-2000:]}")
    return done.stdout
