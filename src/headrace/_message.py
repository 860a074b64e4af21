"""TaskMessage and its fellows <-> bytes. The only module that knows protobuf."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, TypeVar

from google.protobuf.message import DecodeError, Message

from headrace._errors import MessageDecodeError
from headrace._proto import asynq_pb2 as pb
from headrace._task import TaskInfo, TaskState
from headrace._validation import MAX_INSTANT, MAX_SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from google.protobuf.timestamp_pb2 import Timestamp

    from headrace._task import TaskProgress

__all__ = [
    "NOT_COMPLETED",
    "SchedulerEnqueueEvent",
    "SchedulerEntry",
    "ServerInfo",
    "TaskMessage",
    "WorkerInfo",
    "completed_message",
    "decode_message",
    "decode_scheduler_entry",
    "decode_scheduler_event",
    "decode_server_info",
    "decode_worker_info",
    "encode_message",
    "encode_scheduler_entry",
    "encode_scheduler_event",
    "error_patch",
    "failed_message",
    "task_info",
    "with_payload",
]

_M = TypeVar("_M", bound=Message)

MAX_ERROR_CHARS = 10_000
_NO_HEADERS: Mapping[str, str] = {}
# What Go's time.Time{} is on the wire. Its tools take a timestamp that is absent for 1970.
_GO_ZERO_TIME = -62_135_596_800
NOT_COMPLETED = b"\x68\x00"
"""Appended to an encoded task message, it sets completed_at (field 13) to 0. See `error_patch`."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
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
    return TaskMessage(
        id=wire.id,
        type=wire.type,
        queue=wire.queue,
        payload=wire.payload,
        max_retry=max(0, wire.retry),
        retried=max(0, wire.retried),
        error_msg=wire.error_msg,
        timeout=min(max(0, wire.timeout), MAX_SECONDS),
        deadline=min(max(0, wire.deadline), MAX_INSTANT),
        unique_key=wire.unique_key,
        last_failed_at=max(0, wire.last_failed_at),
        retention=min(max(0, wire.retention), MAX_SECONDS),
        completed_at=max(0, wire.completed_at),
        group_key=wire.group_key,
        headers=dict(headers) if headers else _NO_HEADERS,
    )


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


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ServerInfo:
    """A worker process as it reports itself."""

    host: str
    pid: int
    server_id: str
    concurrency: int
    queues: Mapping[str, int]
    strict_priority: bool
    status: str
    start_time: float
    active_worker_count: int

    def encode(self) -> bytes:
        """Return this report as bytes."""
        wire = pb.ServerInfo(
            host=self.host,
            pid=self.pid,
            server_id=self.server_id,
            concurrency=self.concurrency,
            queues=self.queues,
            strict_priority=self.strict_priority,
            status=self.status,
            active_worker_count=self.active_worker_count,
        )
        _set_time(wire, "start_time", self.start_time)
        return wire.SerializeToString()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WorkerInfo:
    """A task that a worker process runs at the moment. Times are Unix seconds, 0: none."""

    host: str
    pid: int
    server_id: str
    task_id: str
    task_type: str
    task_payload: bytes
    queue: str
    start_time: float
    deadline: float

    def encode(self) -> bytes:
        """Return this report as bytes."""
        wire = pb.WorkerInfo(
            host=self.host,
            pid=self.pid,
            server_id=self.server_id,
            task_id=self.task_id,
            task_type=self.task_type,
            task_payload=self.task_payload,
            queue=self.queue,
        )
        _set_time(wire, "start_time", self.start_time)
        if self.deadline:
            _set_time(wire, "deadline", self.deadline)
        return wire.SerializeToString()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerEntry:
    """A periodic task as its scheduler reports it. Times are Unix seconds, 0: none."""

    id: str
    spec: str
    """When it is due, such as ``"*/5 * * * *"`` or ``"@every 30s"``."""
    task_type: str
    task_payload: bytes = dataclasses.field(default=b"", repr=False)
    enqueue_options: Sequence[str] = ()
    """In Go's notation, such as ``Queue("low")``."""
    next_enqueue_time: float = 0
    prev_enqueue_time: float = 0


@dataclasses.dataclass(frozen=True, slots=True)
class SchedulerEnqueueEvent:
    """A task that a scheduler enqueued, and when (Unix seconds)."""

    task_id: str
    enqueue_time: float


def encode_scheduler_entry(entry: SchedulerEntry) -> bytes:
    """Return *entry* as bytes."""
    wire = pb.SchedulerEntry(
        id=entry.id,
        spec=entry.spec,
        task_type=entry.task_type,
        task_payload=entry.task_payload,
        enqueue_options=entry.enqueue_options,
    )
    _set_time(wire, "next_enqueue_time", entry.next_enqueue_time or _GO_ZERO_TIME)
    _set_time(wire, "prev_enqueue_time", entry.prev_enqueue_time or _GO_ZERO_TIME)
    return wire.SerializeToString()


def encode_scheduler_event(event: SchedulerEnqueueEvent) -> bytes:
    """Return *event* as bytes."""
    wire = pb.SchedulerEnqueueEvent(task_id=event.task_id)
    _set_time(wire, "enqueue_time", event.enqueue_time)
    return wire.SerializeToString()


# Other programs wrote what is decoded here: it is taken as it is.


def decode_server_info(data: bytes) -> ServerInfo:
    """Return the report in *data*.

    Raises:
        MessageDecodeError: If *data* is none. The same holds for the functions below.
    """
    wire = _parse_as(pb.ServerInfo, data)
    return ServerInfo(
        host=wire.host,
        pid=wire.pid,
        server_id=wire.server_id,
        concurrency=wire.concurrency,
        queues=dict(wire.queues),
        strict_priority=wire.strict_priority,
        status=wire.status,
        start_time=_time(wire.start_time),
        active_worker_count=wire.active_worker_count,
    )


def decode_worker_info(data: bytes) -> WorkerInfo:
    """Return the report on a running task in *data*."""
    wire = _parse_as(pb.WorkerInfo, data)
    return WorkerInfo(
        host=wire.host,
        pid=wire.pid,
        server_id=wire.server_id,
        task_id=wire.task_id,
        task_type=wire.task_type,
        task_payload=wire.task_payload,
        queue=wire.queue,
        start_time=_time(wire.start_time),
        deadline=_time(wire.deadline),
    )


def decode_scheduler_entry(data: bytes) -> SchedulerEntry:
    """Return the entry in *data*."""
    wire = _parse_as(pb.SchedulerEntry, data)
    return SchedulerEntry(
        id=wire.id,
        spec=wire.spec,
        task_type=wire.task_type,
        task_payload=wire.task_payload,
        enqueue_options=tuple(wire.enqueue_options),
        next_enqueue_time=_time(wire.next_enqueue_time),
        prev_enqueue_time=_time(wire.prev_enqueue_time),
    )


def decode_scheduler_event(data: bytes) -> SchedulerEnqueueEvent:
    """Return the event in *data*."""
    wire = _parse_as(pb.SchedulerEnqueueEvent, data)
    return SchedulerEnqueueEvent(wire.task_id, _time(wire.enqueue_time))


def _parse_as(kind: type[_M], data: bytes) -> _M:
    try:
        return kind.FromString(data)
    except (DecodeError, UnicodeDecodeError) as error:
        raise MessageDecodeError(f"{len(data)} bytes are no {kind.__name__}: {error}") from error


def _time(wire: Timestamp) -> float:
    """Return Unix seconds; 0 for a time that is absent, or Go's zero."""
    return max(0.0, wire.seconds + wire.nanos / 1e9)


def _set_time(wire: Message, field: str, unix: float) -> None:
    seconds = math.floor(unix)
    stamp = getattr(wire, field)
    stamp.seconds, stamp.nanos = seconds, min(999_999_999, round((unix - seconds) * 1e9))
