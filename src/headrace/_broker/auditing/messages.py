"""Whether the message of a task can be read, and is that task's."""

from __future__ import annotations

import dataclasses

from headrace._broker.attempts import decode_for
from headrace._errors import MessageDecodeError
from headrace._proto import asynq_pb2 as pb

__all__ = ["Verdict", "judge"]


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """What was seen of one message."""

    bad: bytes = b""
    """The bytes with which something is wrong."""
    reason: str = ""
    """What is wrong with them; "" if nothing is."""
    replacement: bytes = b""
    """The message put right; b"" if that cannot be done."""
    kept_until: int = 0
    """Unix second until which a completed task is kept; 0: not known."""


def judge(queue: str, task_id: str, data: bytes) -> Verdict:
    """Return what is to be said of the message *data* of a task."""
    # The script makes sure that the task still has the bytes that are judged here.
    if not data:
        return Verdict(data, "it has no message")
    try:
        message = decode_for(queue, task_id, data)
    except MessageDecodeError as error:
        return Verdict(data, str(error))
    wire = pb.TaskMessage.FromString(data)
    kept_until = message.completed_at + message.retention if message.completed_at else 0
    if 0 <= wire.retried <= wire.retry:
        return Verdict(kept_until=kept_until)
    reason = f"it was retried {wire.retried} times of {wire.retry}"
    wire.retry = max(0, wire.retry)
    wire.retried = min(max(0, wire.retried), wire.retry)
    return Verdict(data, reason, wire.SerializeToString(), kept_until)
