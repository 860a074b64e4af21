"""The demo's tasks: examine a file, gather the records of a group, take in the report."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import threading
from typing import TYPE_CHECKING, cast
from urllib.parse import quote_from_bytes, unquote_to_bytes

from anyio import from_thread

from headrace import Router, Task, TaskContext, TaskIdConflictError
from headrace._cli.demo.files import examine, extension
from headrace._cli.demo.report import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from headrace import Client, TaskInfo
    from headrace._cli.demo.files import Listing
    from headrace._cli.demo.report import Report

__all__ = ["Demo", "PlannedFailureError"]

EXAMINE, RECORD, REPORT = "demo:examine", "demo:record", "demo:report"
FAIL_EVERY = 100
MAX_RETRY = 10
TIMEOUT = 6 * 3600
"""Seconds that one file may take: a thread that reads cannot be stopped anyway."""
# These pass: the task is retried, and the file not called unreadable.
_PASSING = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EINTR})


class PlannedFailureError(Exception):
    """Raised by the first attempt of every hundredth file, to show a retry."""


class Demo:
    """The tasks of one run.

    Args:
        listing: The files to examine.
        report: Takes in what comes back.
        client: Sends the records.
        queue: The queue of all tasks.
        on_examined: Told, once a file, how many bytes it had.

    Attributes:
        router: Runs the tasks.
        stopped: Set it to have the threads let go of their files.
    """

    def __init__(
        self,
        listing: Listing,
        report: Report,
        client: Client,
        *,
        queue: str,
        on_examined: Callable[[int], None],
    ) -> None:
        self._listing, self._report, self._client = listing, report, client
        self._queue = queue
        self._on_examined = on_examined
        self._examined: set[int] = set()
        self.stopped: threading.Event = threading.Event()
        self.router: Router = Router()
        self.router.add_task(EXAMINE, self._examine)
        self.router.add_task(REPORT, self._take_in)

    def tasks(self) -> Iterator[Task]:
        """Yield a task for each file."""
        for file, path in enumerate(self._listing.paths):
            # JSON carries text only, and a path is bytes.
            payload = {"file": file, "path": quote_from_bytes(path)}
            yield Task(EXAMINE, payload, queue=self._queue, max_retry=MAX_RETRY, timeout=TIMEOUT)

    def _examine(self, context: TaskContext, file: int, path: str) -> None:
        """Examine one file, in a thread, and send its record to the group of its extension."""
        if (file + 1) % FAIL_EVERY == 0 and context.attempt == 1:
            raise PlannedFailureError("every hundredth file fails once, on purpose")
        name = unquote_to_bytes(path)
        record = self._record(file, name, context.retry_count)
        from_thread.run(self._send, record, extension(name))

    def _record(self, file: int, name: bytes, retried: int) -> Record:
        try:
            path = os.path.join(self._listing.root, name)  # noqa: PTH118 - of bytes
            found = examine(path, stopped=self.stopped)
        except OSError as error:
            if error.errno in _PASSING:
                raise
            return Record.of_failure(file, error.strerror or str(error), retried=retried)
        return Record(
            file=file,
            sha256=found.sha256,
            size=found.size,
            lines=found.lines,
            retried=retried,
        )

    async def _send(self, record: Record, group: str) -> None:
        task = Task(RECORD, dataclasses.asdict(record), queue=self._queue)
        try:
            # An attempt that runs again finds the record of the one before.
            await self._client.enqueue(task, task_id=f"record-{record.file}", group=group)
        except TaskIdConflictError:
            return
        if record.file not in self._examined:
            self._examined.add(record.file)
            self._on_examined(record.size)

    def aggregate(self, group: str, tasks: Sequence[Task]) -> Task:
        """Make one report of the records of a group, that is, of an extension."""
        records = [task.json() for task in tasks]
        return Task(REPORT, {"extension": group, "records": records}, queue=self._queue)

    async def _take_in(self, extension: str, records: list[Record]) -> None:  # noqa: ARG002
        self._report.add(records)

    def on_archived(self, change: Mapping[str, object]) -> None:
        """Count a file whose task was given up as failed: no record of it will come."""
        info = cast("TaskInfo", change["task"])
        reason = info.last_error or "its task was archived"
        if info.type == EXAMINE:
            file = json.loads(info.payload)["file"]
            self._report.add([Record.of_failure(file, reason, retried=info.retried)])
        else:
            self._report.abandon(f"Task {info.id} ({info.type}) was archived: {reason}")
