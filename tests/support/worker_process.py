"""A worker in a process of its own, which a test may stop or kill."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import redis

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["WorkerProcess", "command_environment"]

START_TIMEOUT = 20.0
END_TIMEOUT = 30.0


def command_environment(redis_url: str) -> dict[str, str]:
    """Return the environment in which a command of a test runs, its Redis at *redis_url*."""
    return {**os.environ, "HEADRACE_REDIS_URL": redis_url, "NO_COLOR": "1"}


class WorkerProcess:
    """``python -m headrace worker …``, running from here on.

    Args:
        arguments: What follows ``worker``.
        redis_url: Where it works; also in its ``HEADRACE_REDIS_URL``.
        directory: Where it is started.
    """

    def __init__(self, *arguments: str, redis_url: str, directory: Path) -> None:
        self._redis_url = redis_url
        self._process = subprocess.Popen(  # noqa: S603 - a test's own arguments
            [sys.executable, "-m", "headrace", "worker", *arguments],
            cwd=directory,
            env=command_environment(redis_url),
        )

    @property
    def pid(self) -> int:
        """Its process ID."""
        return self._process.pid

    def wait_until_ready(self) -> None:
        """Return once it takes tasks and heeds signals: it is among Redis's servers then."""
        give_up = time.monotonic() + START_TIMEOUT
        with contextlib.closing(redis.Redis.from_url(self._redis_url)) as client:
            while time.monotonic() < give_up:
                if any(
                    f":{self.pid}:".encode() in key for key in client.zrange("asynq:servers", 0, -1)
                ):
                    return
                assert self._process.poll() is None, f"exit code {self._process.returncode}"
                # There is no event to wait for: another process writes the key.
                time.sleep(0.02)
        raise TimeoutError(f"worker {self.pid} was not ready within {START_TIMEOUT:g} s")

    def wait(self) -> int:
        """Wait until it has ended, and return its exit code."""
        return self._process.wait(END_TIMEOUT)

    def stop(self) -> int:
        """Once it is ready, end it with SIGTERM; return its exit code. It is gone in any case."""
        try:
            if self._process.poll() is None:
                self.wait_until_ready()
                self._process.send_signal(signal.SIGTERM)
            return self.wait()
        finally:
            self.kill()

    def kill(self) -> None:
        """End it with SIGKILL; nothing happens if it has ended."""
        self._process.kill()
        self._process.wait()
