"""Go programs that run: those that answer questions, and those that work."""

from __future__ import annotations

import base64
import contextlib
import json
import signal
import subprocess
from typing import TYPE_CHECKING, TypeAlias, cast

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from headrace import JsonValue
    from tests.support.processes import Journal

__all__ = ["GoClient", "GoError", "GoInspector", "GoScheduler", "GoWorker", "View"]

View: TypeAlias = "dict[str, object]"
"""A report as ``go/views.go`` makes it."""
PATIENCE = 60.0


class GoError(Exception):
    """asynq refused; with what it said."""


class GoProgram:
    """A program of ours in Go; killed at the end of the ``with`` block, if it still runs."""

    def __init__(self, executable: Path, duty: str, redis_url: str, *arguments: str) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own arguments
            [executable, duty, redis_url, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):  # Nobody is left to read it.
                    pipe.close()

    def _ask(self, request: object) -> JsonValue:
        """Send one request, and return what it brought.

        Raises:
            GoError: If it was refused.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request, default=_in_base64).encode() + b"\n")
        self._process.stdin.flush()
        outcome = cast("dict[str, JsonValue]", self._read())
        if outcome["error"]:
            raise GoError(outcome["error"])
        return outcome["value"]

    def _read(self) -> JsonValue:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the Go program ended with exit code {self._process.wait(PATIENCE)}"
        value: JsonValue = json.loads(line)
        return value


class GoClient(GoProgram):
    """The client of asynq."""

    def __init__(self, executable: Path, redis_url: str) -> None:
        super().__init__(executable, "client", redis_url)

    def enqueue(self, type_: str, payload: bytes | None = None, **options: object) -> View:
        """Enqueue a task; *options* have the names of Headrace's, in seconds and Unix seconds.

        Raises:
            GoError: If it was refused.
        """
        return _task(self._ask({"type": type_, "payload": payload, **options}))


class GoInspector(GoProgram):
    """asynq's inspector. Every method raises `GoError` if it refuses."""

    def __init__(self, executable: Path, redis_url: str) -> None:
        super().__init__(executable, "inspector", redis_url)

    def do(self, op: str, queue: str = "", **question: object) -> JsonValue:
        """Carry out an operation of ``go/inspector.go``; return what it answers."""
        return self._ask({"op": op, "queue": queue, **question})

    def one(self, op: str, queue: str = "", **question: object) -> View:
        """Do the same for an operation that answers with one report."""
        return cast("View", self.do(op, queue, **question))

    def many(self, op: str, queue: str = "", **question: object) -> list[View]:
        """Do the same for an operation that answers with reports."""
        return cast("list[View]", self.do(op, queue, **question))

    def get(self, queue: str, task_id: str) -> View:
        """Report on a task."""
        return _task(self.do("get", queue, id=task_id))

    def list(
        self, queue: str, state: str, *, group: str = "", page: int = 1, size: int = 30
    ) -> list[View]:
        """Report on the tasks of one state."""
        found = self.do("list", queue, state=state, group=group, page=page, size=size)
        return [_task(item) for item in cast("list[JsonValue]", found)]


class GoScheduler(GoProgram):
    """asynq's scheduler. It takes its entries off the list when it is shut down."""

    def __init__(self, executable: Path, redis_url: str, entries: list[dict[str, object]]) -> None:
        arguments = json.dumps(entries, default=_in_base64)
        super().__init__(executable, "scheduler", redis_url, arguments)
        self.ids = cast("list[str]", self._read())

    def shut_down(self) -> None:
        """Let it end, and wait for it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.wait(PATIENCE) == 0


class GoWorker:
    """asynq's server, with the handlers of ``go/handlers.go``, which keep a journal.

    Args:
        executable: The program.
        redis_url: Where it works.
        journal: Where its handlers write.
        config: See ``go/worker.go``.
    """

    def __init__(
        self, executable: Path, redis_url: str, journal: Journal, **config: object
    ) -> None:
        self._journal = journal
        config = {"queues": {"default": 1}, "log_level": 4, **config, "journal": journal.fd}
        self._process = subprocess.Popen(  # noqa: S603 - our own arguments
            [executable, "worker", redis_url, json.dumps(config)], pass_fds=[journal.fd]
        )

    @property
    def pid(self) -> int:
        """Its process ID."""
        return self._process.pid

    def wait_until_ready(self) -> Self:
        """Return once it takes tasks."""
        self._journal.until("ready", pid=self.pid, timeout=PATIENCE)
        return self

    def send(self, signum: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(signum)

    def wait(self) -> int:
        """Wait until it has ended, and return its exit code."""
        return self._process.wait(PATIENCE)

    def stop(self) -> None:
        """Have it finish what it runs, and wait until it has ended."""
        self.send(signal.SIGTERM)
        assert self.wait() == 0

    def kill(self) -> None:
        """End it at once; nothing happens if it has ended."""
        self._process.kill()
        self._process.wait()


def _in_base64(value: object) -> str:
    """Write bytes as Go's JSON has them."""
    assert isinstance(value, bytes), value
    return base64.b64encode(value).decode()


def _task(report: JsonValue) -> View:
    """Return the report on a task with its bytes as bytes."""
    view = cast("dict[str, JsonValue]", report)
    raw = {name: base64.b64decode(str(view[name] or "")) for name in ("payload", "result")}
    return {**view, **raw, "headers": view["headers"] or {}}
