"""Talking to a system's producer and worker, which are processes."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.environments import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Self

Numbers = dict[str, float]
PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")


class ProgramFailedError(Exception):
    """A program ended, or did not do in time what it was to do."""


class Event(NamedTuple):
    """A line of a program."""

    name: str
    numbers: Numbers


class Program:
    """A system's producer or worker: a process that says in lines of JSON what it did.

    Args:
        command: What starts it, its role and its settings included.
        log: The file that gets its standard error.

    Leaving it as a context manager kills it, and all that it started.
    """

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self._log = log
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        with log.open("wb") as errors:
            self.started_at = time.time_ns()
            self._process = subprocess.Popen(  # noqa: S603 - our own commands
                command,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - Popen was told to make a pipe
        for line in self._process.stdout:
            name, numbers = json.loads(line)
            self._events.put(Event(name, numbers))
        self._events.put(None)

    def ask(self, mode: str, kind: str, count: int = 0, dues: Sequence[int] = ()) -> None:
        """Tell a producer what to enqueue; see `benchmarks.systems.adapter`."""
        assert self._process.stdin is not None  # noqa: S101 - as above
        self._process.stdin.write(json.dumps([mode, kind, count, dues]).encode() + b"\n")
        self._process.stdin.flush()

    def next(self, until: float) -> Event:
        """Wait for the next event, until the monotonic time *until*.

        Raises:
            ProgramFailedError: If the program ends before, or the time does.
        """
        try:
            event = self._events.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            raise ProgramFailedError(f"not done in time. {self._last_words()}") from None
        if event is None:
            raise ProgramFailedError(f"ended. {self._last_words()}")
        return event

    def take(self, name: str, limit: float) -> Numbers:
        """Wait up to *limit* seconds for an event of that name; others before it are dropped."""
        until = time.monotonic() + limit
        while (event := self.next(until)).name != name:
            pass
        return event.numbers

    def _last_words(self) -> str:
        return self._log.read_text("utf-8", errors="replace")[-1500:]

    @property
    def memory(self) -> int:
        """The bytes of memory that it has in use (RSS)."""
        pages = Path(f"/proc/{self._process.pid}/statm").read_text("ascii").split()[1]
        return int(pages) * PAGE_SIZE

    @property
    def cpu(self) -> float:
        """The CPU seconds that it has used."""
        return cpu_seconds(self._process.pid)

    def kill(self) -> None:
        """End it and its children with SIGKILL, and wait for its end."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


def command_line(program: Sequence[str], role: str, settings: Mapping[str, object]) -> list[str]:
    """Return the command that starts *program* in a role."""
    return [*program, role, json.dumps(settings)]


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds that a process has used."""
    stat = Path(f"/proc/{pid}/stat").read_text("utf-8")
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / TICKS
