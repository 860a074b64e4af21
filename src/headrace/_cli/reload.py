"""``worker --reload``: a worker that restarts when a file changes. For development."""

from __future__ import annotations

import contextlib
import logging
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from headrace._cli.failure import CliError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

__all__ = ["run_reloading"]

log: logging.Logger = logging.getLogger("headrace.reload")


def run_reloading(arguments: Sequence[str], *, patience: float) -> int:
    """Run ``python -m headrace`` with *arguments*, again whenever a Python file here changes.

    Args:
        arguments: Of the worker; without ``--reload``.
        patience: Seconds that a worker may take to shut down before it is killed.

    Returns:
        The exit code of the last worker.
    """
    try:
        from watchfiles import PythonFilter, watch  # noqa: PLC0415 - an extra
    except ModuleNotFoundError:
        raise CliError(
            "--reload needs another package",
            hint='Install it: pip install "headrace[reload]"',
            code=ExitCode.FAILURE,
        ) from None
    logging.getLogger("watchfiles").setLevel(logging.WARNING)  # It names every change, too.
    worker = _Worker([sys.executable, "-m", "headrace", *arguments], patience)
    stopped = threading.Event()
    with _forwarding(worker, stopped):
        worker.start()
        for changes in watch(Path.cwd(), watch_filter=PythonFilter(), stop_event=stopped):
            names = sorted({Path(path).name for _, path in changes})
            log.info("%s changed: restarting the worker", ", ".join(names))
            worker.stop()
            if stopped.is_set():
                break
            worker.start()
        return worker.wait()


class _Worker:
    """The worker's process. A group of its own: Ctrl+C must reach it once, through us."""

    def __init__(self, command: Sequence[str], patience: float) -> None:
        self._command = command
        self._patience = patience
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        self._process = subprocess.Popen(self._command, process_group=0)  # noqa: S603 - our own

    def signal(self, signum: int) -> None:
        """Pass a signal on; nothing happens if it has ended."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signum)

    def wait(self) -> int:
        """Wait for its end; return its exit code, as a shell would."""
        if self._process is None:
            return ExitCode.OK
        code = self._process.wait()
        return code if code >= 0 else 128 - code

    def stop(self) -> None:
        """Shut it down, by force if it takes too long."""
        if self._process is None:
            return
        self.signal(signal.SIGTERM)
        try:
            self._process.wait(self._patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextlib.contextmanager
def _forwarding(worker: _Worker, stopped: threading.Event) -> Iterator[None]:
    """Pass SIGINT and SIGTERM on to *worker*, and end the watching."""

    def forward(signum: int, _frame: FrameType | None) -> None:
        stopped.set()
        worker.signal(signum)

    previous = {
        signum: signal.signal(signum, forward) for signum in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)
