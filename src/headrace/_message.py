"""TaskMessage and its fellows <-> bytes. The only module that knows protobuf."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from headrace._errors import MessageDecodeError
from headrace._proto import asynq_pb2 as pb
from headrace._task import TaskInfo, TaskState
from headrace._validation import MAX_INSTANT, MAX_SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace._task import TaskProgress

__all__ = [
    "NOT_COMPLETED",
    "TaskMessage",
    "completed_message",
    "decode_message",
    "encode_message",
    "error_patch",
    "failed_message",
    "task_info",
    "with_payload",
]

MAX_ERROR_CHARS = 10_000
_NO_HEADERS: Mapping[str, str] = {}
_RANGES = (
    ("max_retry", 2**63),
    ("retried", 2**63),
    ("timeout", MAX_SECONDS),
    ("deadline", MAX_INSTANT),
    ("last_failed_at", 2**63),
    ("retention", MAX_SECONDS),
    ("completed_at", 2**63),
)
NOT_COMPLETED = b"\x68\x00"
"""Appended to an encoded task message, it sets completed_at (field 13) to 0. See `error_patch`."""


# Not frozen: to set fifteen fields past a lock takes longer than to decode them.
@dataclasses.dataclass(slots=True, kw_only=True)
class TaskMessage:
    """One task as the wire holds it. Durations in seconds, times in Unix seconds, 0: none."""

    id: str
    type: str
    queue: str
    payload: bytes = b""
    max_retry: int = 0
    retried: int = 0
    error_msg: str = ""
    timeout: int = 0
    deadline: int = 0
    unique_key: str = ""
    last_failed_at: int = 0
    retention: int = 0
    completed_at: int = 0
    group_key: str = ""
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)


def task_info(
    message: TaskMessage,
    state: TaskState,
    *,
    next_process_at: float | None = None,
    completed_at: float | None = None,
    is_orphaned: bool = False,
    result: bytes | None = None,
    progress: TaskProgress | None = None,
) -> TaskInfo:
    """Return the report on a task with that message, and what only its state tells."""
    return TaskInfo(
        id=message.id,
        queue=message.queue,
        type=message.type,
        payload=message.payload,
        headers=message.headers,
        state=state,
        max_retry=message.max_retry,
        retried=message.retried,
        last_error=message.error_msg,
        last_failed_at=message.last_failed_at or None,
        timeout=message.timeout or None,
        deadline=message.deadline or None,
        group=message.group_key or None,
        next_process_at=next_process_at,
        is_orphaned=is_orphaned and state is TaskState.ACTIVE,
        retention=message.retention,
        completed_at=completed_at or message.completed_at or None,
        result=result,
        progress=progress,
    )


def encode_message(message: TaskMessage) -> bytes:
    """Return *message* as bytes."""
    wire = pb.TaskMessage(
        type=message.type,
        payload=message.payload,
        id=message.id,
        queue=message.queue,
        retry=message.max_retry,
        retried=message.retried,
        error_msg=message.error_msg,
        timeout=message.timeout,
        deadline=message.deadline,
        unique_key=message.unique_key,
        last_failed_at=message.last_failed_at,
        retention=message.retention,
        completed_at=message.completed_at,
        group_key=message.group_key,
    )
    if message.headers:
        wire.headers.update(message.headers)
    return wire.SerializeToString()


def _parse(data: bytes) -> pb.TaskMessage:
    try:
        return pb.TaskMessage.FromString(data)
    except (DecodeError, UnicodeDecodeError) as error:
        raise MessageDecodeError(f"{len(data)} bytes are not a task message: {error}") from error


def decode_message(data: bytes) -> TaskMessage:
    """Return the message in *data*.

    Negative numbers, which mean nothing, are read as 0; durations and instants that no clock
    and no timer can hold, as the longest that we allow ourselves.

    Raises:
        MessageDecodeError: If *data* is no message, or one without ID or type.
    """
    wire = _parse(data)
    if not wire.id or not wire.type:
        raise MessageDecodeError(f"{len(data)} bytes hold a task message without ID or type")
    headers = wire.headers
    message = TaskMessage(
        id=wire.id,
        type=wire.type,
        queue=wire.queue,
        payload=wire.payload,
        max_retry=wire.retry,
        retried=wire.retried,
        error_msg=wire.error_msg,
        timeout=wire.timeout,
        deadline=wire.deadline,
        unique_key=wire.unique_key,
        last_failed_at=wire.last_failed_at,
        retention=wire.retention,
        completed_at=wire.completed_at,
        group_key=wire.group_key,
        headers=dict(headers) if headers else _NO_HEADERS,
    )
    if not (
        0 <= message.timeout <= MAX_SECONDS
        and 0 <= message.deadline <= MAX_INSTANT
        and 0 <= message.retention <= MAX_SECONDS
        and message.max_retry >= 0 <= message.retried
        and message.last_failed_at >= 0 <= message.completed_at
    ):
        _clamp(message)
    return message


def _clamp(message: TaskMessage) -> None:
    for name, most in _RANGES:
        setattr(message, name, min(max(0, getattr(message, name)), most))


def error_text(error: str) -> str:
    """Return *error* as the wire can carry it: valid UTF-8, at most 10,000 characters."""
    if len(error) > MAX_ERROR_CHARS:
        error = f"{error[:MAX_ERROR_CHARS]}... ({len(error)} characters)"
    return error.encode("utf-8", "backslashreplace").decode()


# Messages are changed from the bytes that Redis held, so that fields of a newer
# version of the wire survive.


def failed_message(data: bytes, *, error: str, failed_at: float, retried: int) -> bytes:
    """Return the message in *data* after a failure."""
    wire = _parse(data)
    wire.error_msg = error_text(error)
    wire.last_failed_at = int(failed_at)
    wire.retried = retried
    return wire.SerializeToString()


def completed_message(data: bytes, *, completed_at: float) -> bytes:
    """Return the message in *data* after its success."""
    wire = _parse(data)
    wire.completed_at = int(completed_at)
    return wire.SerializeToString()


def with_payload(data: bytes, payload: bytes, *, unique_key: str) -> bytes:
    """Return the message in *data* with another payload, and the lock that goes with it."""
    wire = _parse(data)
    wire.payload, wire.unique_key = payload, unique_key
    return wire.SerializeToString()


def error_patch(*, error: str, failed_at: float) -> bytes:
    """Return bytes that set the error when appended to an encoded message.

    A script cannot decode a message, but it can append: parsing two concatenated messages
    is the same as merging them, and the last value of a field wins
    (protobuf.dev/programming-guides/encoding, "Last One Wins").
    """
    return pb.TaskMessage(
        error_msg=error_text(error), last_failed_at=int(failed_at)
    ).SerializeToString()
