"""What Headrace tells of tasks, in the form in which the Go programs tell it."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, cast

from headrace import TaskState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace import TaskInfo
    from tests.interop.programs import View

__all__ = ["comparable", "read_report", "view", "write_report"]


def view(info: TaskInfo) -> View:
    """Return our report on a task as ``go/views.go`` has it."""
    return comparable(
        {
            "id": info.id,
            "queue": info.queue,
            "type": info.type,
            "payload": info.payload,
            "headers": dict(info.headers),
            "state": str(info.state),
            "max_retry": info.max_retry,
            "retried": info.retried,
            "last_error": info.last_error,
            "last_failed_at": info.last_failed_at or 0,
            "timeout": info.timeout or 0,
            "deadline": info.deadline or 0,
            "group": info.group or "",
            "next_process_at": info.next_process_at or 0,
            "is_orphaned": info.is_orphaned,
            "retention": info.retention,
            "completed_at": info.completed_at or 0,
            "result": info.result or b"",
        }
    )


def comparable(report: View) -> View:
    """Leave out when a task is due that is due at once: asynq says now, whenever that is."""
    waits = report["state"] in {str(TaskState.SCHEDULED), str(TaskState.RETRY)}
    return report if waits else {**report, "next_process_at": 0}


def write_report(**told: object) -> bytes:
    """Return what a handler was told of its task, as ``echo`` of ``go/handlers.go`` has it."""
    payload = cast("bytes", told.pop("payload"))
    return json.dumps({**told, "payload": base64.b64encode(payload).decode()}).encode()


def read_report(result: bytes) -> Mapping[str, object]:
    """Return what `write_report`, or the Go handler, wrote."""
    report = cast("dict[str, object]", json.loads(result))
    payload = base64.b64decode(str(report["payload"] or ""))
    return {**report, "payload": payload, "headers": report["headers"] or {}}
