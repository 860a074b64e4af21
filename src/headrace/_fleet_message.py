"""What servers and schedulers report of themselves <-> bytes."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, TypeVar

from google.protobuf.message import DecodeError, Message

from headrace._errors import MessageDecodeError
from headrace._proto import asynq_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from google.protobuf.timestamp_pb2 import Timestamp

__all__ = [
    "SchedulerEnqueueEvent",
    "SchedulerEntry",
    "ServerInfo",
    "WorkerInfo",
    "decode_scheduler_entry",
    "decode_scheduler_event",
    "decode_server_info",
    "decode_worker_info",
    "encode_scheduler_entry",
    "encode_scheduler_event",
]

_M = TypeVar("_M", bound=Message)

# What Go's time.Time{} is on the wire. Its tools take a timestamp that is absent for 1970.
_GO_ZERO_TIME = -62_135_596_800


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
