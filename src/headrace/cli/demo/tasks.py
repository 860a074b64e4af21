"""The demo's tasks: examine a file, gather the records of a group, take in the report."""

from __future__ import annotations

import errno
import json
import os
from typing import TYPE_CHECKING, cast
from urllib.parse import quote_from_bytes, unquote_to_bytes

from anyio import from_thread

from headrace import Router, Task, TaskContext, TaskIdConflictError
from headrace.cli.demo.files import examine
from headrace.cli.demo.files import extension as extension_of
from headrace.cli.demo.report import Record, failed_record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from headrace import Client, TaskInfo
    from headrace.cli.demo.files import Listing
    from headrace.cli.demo.report import Report

__all__ = ["Demo", "PlannedFailureError"]

EXAMINE, RECORD, REPORT = "demo:examine", "demo:record", "demo:report"
FAIL_EVERY = 100
MAX_RETRY = 10
TIMEOUT = 6 * 3600
"""Seconds that one file may take: a thread that reads cannot be stopped anyway."""
# These pass: the task is retried instead of calling the file unreadable.
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
        self.router = Router()
        self.router.task(EXAMINE)(self._examine)
        self.router.task(REPORT)(self._take_in)

    def tasks(self) -> Iterator[Task]:
        """Yield a task for each file."""
        for index, path in enumerate(self._listing.paths):
            # JSON carries text only, and a path is bytes.
            payload = {"file": index, "path": quote_from_bytes(path)}
            yield Task(EXAMINE, payload, queue=self._queue, max_retry=MAX_RETRY, timeout=TIMEOUT)

    def _examine(self, context: TaskContext, file: int, path: str) -> None:
        """Examine one file, in a thread, and send its record to the group of its extension."""
        if (file + 1) % FAIL_EVERY == 0 and context.attempt == 1:
            raise PlannedFailureError("every hundredth file fails once, on purpose")
        name = unquote_to_bytes(path)
        try:
            found = examine(os.path.join(self._listing.root, name))  # noqa: PTH118 - of bytes
        except OSError as error:
            if error.errno in _PASSING:
                raise
            reason = error.strerror or str(error)
            record = failed_record(file, reason, retried=context.retry_count)
        else:
            record = Record(
                file=file,
                sha256=found.sha256,
                size=found.size,
                lines=found.lines,
                retried=context.retry_count,
                error="",
            )
        from_thread.run(self._send, record, extension_of(name))

    async def _send(self, record: Record, group: str) -> None:
        file = record["file"]
        task = Task(RECORD, cast("Mapping[str, object]", record), queue=self._queue)
        try:
            # An attempt that runs again finds the record of the one before.
            await self._client.enqueue(task, task_id=f"record-{file}", group=group)
        except TaskIdConflictError:
            return
        if file not in self._examined:
            self._examined.add(file)
            self._on_examined(record["size"])

    def aggregate(self, group: str, tasks: Sequence[Task]) -> Task:
        """Make one report of the records of a group, that is, of an extension."""
        records = [task.json() for task in tasks]
        return Task(REPORT, {"extension": group, "records": records}, queue=self._queue)

    async def _take_in(self, extension: str, records: list[Record]) -> None:  # noqa: ARG002
        self._report.add(records)

    def on_archived(self, change: Mapping[str, object]) -> None:
        """Count a file whose task was given up as failed: no record of it will come."""
        info = cast("TaskInfo", change["task"])
        if info.type == EXAMINE:
            file = json.loads(info.payload)["file"]
            self._report.add([failed_record(file, info.last_error, retried=info.retried)])
        else:
            self._report.abandon(f"Task {info.id} ({info.type}) was archived: {info.last_error}")
