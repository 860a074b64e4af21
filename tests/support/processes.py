"""Workers in processes of their own, and the journal that their handlers keep."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from typing import Self

__all__ = ["Event", "Journal", "JournalingWorker", "begun_not_ended", "first_after"]

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
"""Seconds after which something that should have happened has not."""


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in a worker."""

    kind: str
    """``ready`` and ``closed``, or what became of a task: ``begin``, ``end``, ``cancelled``."""
    task: str
    pid: int
    at: float
    """By the monotonic clock, which all processes of a machine share."""


class Journal:
    """Events of all workers, through a pipe: what a killed worker wrote is not lost."""

    def __init__(self) -> None:
        reader, self.fd = os.pipe()
        self._events: list[Event] = []
        self._happened = threading.Condition()
        self._thread = threading.Thread(target=self._read, args=(reader,))
        self._thread.start()

    def _read(self, reader: int) -> None:
        with os.fdopen(reader, encoding="ascii") as lines:
            for line in lines:
                kind, task, pid, at = line.split()
                with self._happened:
                    self._events.append(Event(kind, task, int(pid), float(at)))
                    self._happened.notify_all()

    def events(self, kind: str, pid: int | None = None) -> list[Event]:
        """Return the events of a kind, oldest first; *pid*: of one worker only."""
        with self._happened:
            return [
                event for event in self._events if event.kind == kind and pid in {None, event.pid}
            ]

    def tasks(self, kind: str, pid: int | None = None) -> set[str]:
        """Return the IDs of the tasks that have such an event."""
        return {event.task for event in self.events(kind, pid)}

    def until(
        self,
        kind: str,
        count: int = 1,
        *,
        pid: int | None = None,
        distinct: bool = False,
        timeout: float = PATIENCE,
    ) -> None:
        """Wait for so many events of a kind; *distinct*: of so many tasks."""

        def enough() -> bool:
            events = self.events(kind, pid)
            return len({event.task for event in events} if distinct else events) >= count

        self.until_true(enough, f"{count} x {kind}", timeout)

    def until_true(self, condition: Callable[[], bool], what: str, timeout: float) -> None:
        """Wait until *condition* holds; it is looked at after each event."""
        with self._happened:
            if not self._happened.wait_for(condition, timeout):
                kinds = [event.kind for event in self._events]
                counts = {kind: kinds.count(kind) for kind in set(kinds)}
                raise TimeoutError(f"no {what} within {timeout:g} s; there are {counts}")

    def close(self) -> None:
        """Read what is left. The workers must have ended."""
        os.close(self.fd)
        self._thread.join()


class JournalingWorker:
    """``python -m tests.process.app``: a worker whose tasks sleep, and keep a journal.

    Args:
        redis_url: Where it works.
        journal: Where its handlers write.
        directory: Where its log goes.
        options: Of its server.

    It is killed at the end of the ``with`` block, if it still runs.
    """

    def __init__(
        self, redis_url: str, journal: Journal, directory: Path, **options: object
    ) -> None:
        self._journal = journal
        number = len(list(directory.glob("worker-*.log")))
        self.log_path = directory / f"worker-{number}.log"
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own arguments
                [
                    sys.executable,
                    *("-W", "error"),
                    *("-m", "tests.process.app", redis_url, str(journal.fd), json.dumps(options)),
                ],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), *sys.path])},
                pass_fds=[journal.fd],
                stderr=log,
            )

    @property
    def pid(self) -> int:
        """Its process ID."""
        return self._process.pid

    def wait_until_ready(self) -> Self:
        """Return once it takes tasks and heeds signals."""
        try:
            self._journal.until("ready", pid=self.pid)
        except TimeoutError:
            raise RuntimeError(f"the worker did not start:\n{self.log_path.read_text()}") from None
        return self

    def send(self, signum: signal.Signals) -> float:
        """Send it a signal; return when, by the monotonic clock."""
        self._process.send_signal(signum)
        return time.monotonic()

    def wait(self, timeout: float = PATIENCE) -> int:
        """Wait until it has ended, and return its exit code."""
        return self._process.wait(timeout)

    def log_lines(self, level: str = "") -> list[str]:
        """Return the lines that it has logged, those of a level only."""
        lines = self.log_path.read_text().splitlines()
        return [line for line in lines if not level or line.startswith(level)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()


def begun_not_ended(journal: Journal, pid: int) -> set[str]:
    """Return the IDs of tasks that a worker began and did not end."""
    return journal.tasks("begin", pid) - journal.tasks("end", pid)


def first_after(events: Sequence[Event], task: str, moment: float) -> Event | None:
    """Return the first of *events* that concerns *task*, after *moment*; None: there is none."""
    return next((event for event in events if event.task == task and event.at > moment), None)
