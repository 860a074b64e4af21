"""Builds the Go programs of these tests: our own, and asynq's command line."""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

__all__ = ["GO_SOURCES", "GoPrograms", "build", "find_go"]

GO_SOURCES = Path(__file__).parent / "go"
COMMAND_LINE = "github.com/hibiken/asynq/tools/asynq"
# Neither symbols nor the version of this repository are of use here.
FLAGS = ("-buildvcs=false", "-mod=readonly", "-ldflags=-s -w")
BUILD_TIMEOUT = 900.0
"""Seconds; the first build on a machine downloads modules and compiles all of them."""


@dataclasses.dataclass(frozen=True)
class GoPrograms:
    """The paths of what was built."""

    interop: Path
    """See ``go/main.go``."""
    asynq: Path
    """asynq's command line."""


def find_go() -> str | None:
    """Return the path of the Go tool; None if this machine has none."""
    return shutil.which("go")


def build(go: str, cache: Path) -> GoPrograms:
    """Build the programs in *cache*, unless those of the same sources are there already.

    Raises:
        RuntimeError: If they do not build, with what Go says of it.
    """
    target = cache / _fingerprint(go)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # Of several test processes one builds, the others wait.
        if not target.is_dir():
            partial = Path(tempfile.mkdtemp(dir=cache))
            _compile(go, partial)
            # All or nothing: a build that was interrupted is not taken for one that is done.
            partial.rename(target)
    return GoPrograms(target / "interop", target / "asynq")


def _fingerprint(go: str) -> str:
    """Return what changes with the sources and with Go itself."""
    version = subprocess.run([go, "version"], capture_output=True, check=True).stdout  # noqa: S603 - found on PATH
    digest = hashlib.sha256(version + repr(FLAGS).encode())
    for path in sorted(GO_SOURCES.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _compile(go: str, target: Path) -> None:
    done = subprocess.run(  # noqa: S603 - our own arguments
        [go, "build", *FLAGS, "-o", f"{target}{os.sep}", ".", COMMAND_LINE],
        cwd=GO_SOURCES,
        capture_output=True,
        text=True,
        check=False,
        timeout=BUILD_TIMEOUT,
    )
    if done.returncode:
        raise RuntimeError(
            f"The Go programs of the tests do not build. Their modules come from GOPROXY.\n"
            f"{done.stdout}{done.stderr}"
        )
