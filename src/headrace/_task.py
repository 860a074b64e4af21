"""The values that users hand in and get back: Task, its options, TaskInfo, TaskState."""

from __future__ import annotations

import dataclasses
import enum
import json
from typing import TYPE_CHECKING, ClassVar, TypeAlias, TypedDict, Unpack

from headrace._errors import InvalidOptionError
from headrace._validation import (
    check_group,
    check_headers,
    check_queue,
    check_task_id,
    check_task_type,
    instant,
    retry_limit,
    seconds,
    whole_seconds,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

__all__ = ["JsonValue", "Options", "Task", "TaskInfo", "TaskOptions", "TaskProgress", "TaskState"]

JsonValue: TypeAlias = "dict[str, JsonValue] | list[JsonValue] | str | int | float | bool | None"
"""What JSON can carry."""

DEFAULT_MAX_RETRY = 25
DEFAULT_TIMEOUT = 1800
DEFAULT_QUEUE = "default"
# Made once: json.dumps would make one for each task.
_JSON = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)


class TaskState(enum.IntEnum):
    """Where a task is. The numbers are asynq's."""

    ACTIVE = 1
    PENDING = 2
    SCHEDULED = 3
    RETRY = 4
    ARCHIVED = 5
    COMPLETED = 6
    AGGREGATING = 7

    def __str__(self) -> str:
        return self.name.lower()

    @classmethod
    def from_name(cls, name: str) -> TaskState:
        """Return the state that Redis calls *name*, such as ``"pending"``."""
        try:
            return cls[name.upper()]
        except KeyError:
            known = ", ".join(str(state) for state in cls)
            raise InvalidOptionError("state", name, f"it is one of {known}") from None


class TaskOptions(TypedDict, total=False):
    """The options of a task. One that is missing, or None, takes its default.

    Durations are seconds or a timedelta. Where the wire holds whole seconds only (timeout,
    unique, retention), a fraction is refused. Instants are aware datetimes or Unix seconds.
    """

    queue: str | None
    """Name of the queue. Default: "default"."""
    max_retry: int | None
    """How often a failed task is tried again. A negative number means 0. Default: 25."""
    timeout: float | timedelta | None
    """How long one attempt may take. Default: 1,800 s where no deadline is given either."""
    deadline: datetime | float | None
    """When the last attempt must have ended. With a timeout too, the earlier wins."""
    unique: float | timedelta | None
    """How long no other task of this queue, type and payload may be enqueued. At least 1 s."""
    task_id: str | None
    """The task's ID, unique within its queue. Default: a random UUID."""
    process_at: datetime | float | None
    """When it becomes pending; rounded up to a whole second. Default: now."""
    process_in: float | timedelta | None
    """The same, counted from now. Not together with process_at."""
    retention: float | timedelta | None
    """How long the finished task and its result are kept. Default: 0, deleted at once."""
    group: str | None
    """The group in which it waits to be aggregated with others. Default: none."""
    headers: Mapping[str, str] | None
    """Text that travels beside the payload. Added to the headers that the task has."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Checked options: durations as seconds, instants as Unix seconds; None: not given."""

    queue: str | None = None
    max_retry: int | None = None
    timeout: int | None = None
    deadline: int | None = None
    unique: int | None = None
    task_id: str | None = None
    process_at: float | None = None
    process_in: float | None = None
    retention: int | None = None
    group: str | None = None
    headers: Mapping[str, str] | None = None

    @classmethod
    def check(cls, options: TaskOptions) -> Options:
        """Check and normalise *options*.

        Raises:
            InvalidOptionError: If one of them cannot be used, or is not known.
        """
        if not options:
            return NO_OPTIONS
        checked: dict[str, object] = {}
        for name, value in options.items():
            check = _CHECKS.get(name)
            if check is None:
                raise InvalidOptionError(name, value, f"the options are {', '.join(_CHECKS)}")
            if value is not None:
                checked[name] = check(name, value)
        if "process_at" in checked and "process_in" in checked:
            raise InvalidOptionError(
                "process_in", options["process_in"], "process_at is given too; choose one"
            )
        return cls(**checked)  # type: ignore[arg-type]  # _CHECKS returns each field's type.

    def overridden_by(self, other: Options) -> Options:
        """Return these options with those that *other* gives in their place."""
        if other is NO_OPTIONS:
            return self
        if self is NO_OPTIONS:
            return other
        changes = {
            field: value for field in _CHECKS if (value := getattr(other, field)) is not None
        }
        if other.process_at is not None or other.process_in is not None:
            changes = {"process_at": None, "process_in": None, **changes}
        if self.headers and other.headers:
            changes["headers"] = {**self.headers, **other.headers}
        return dataclasses.replace(self, **changes)


_CHECKS = {
    "queue": check_queue,
    "max_retry": retry_limit,
    "timeout": lambda name, value: whole_seconds(name, value, at_least=1),
    "deadline": lambda name, value: int(instant(name, value)),
    "unique": lambda name, value: whole_seconds(name, value, at_least=1),
    "task_id": check_task_id,
    "process_at": instant,
    "process_in": lambda name, value: seconds(name, value, at_least=0),
    "retention": lambda name, value: whole_seconds(name, value, at_least=0),
    "group": check_group,
    "headers": check_headers,
}
NO_OPTIONS = Options()


def encode_payload(task_type: str, payload: object) -> bytes:
    """Return *payload* as bytes: bytes as they are, anything else as compact JSON."""
    if isinstance(payload, (bytes, bytearray, memoryview)):
        return bytes(payload)
    try:
        return _JSON.encode(payload).encode()
    except RecursionError as error:  # Its repr would be one, too.
        raise InvalidOptionError("payload", type(payload), "it is nested too deeply") from error
    except (TypeError, ValueError) as error:
        raise InvalidOptionError(
            "payload", payload, f"task {task_type!r} takes bytes or what JSON can carry ({error})"
        ) from error


class Task:
    """A unit of work: its type says what to do, its payload with what.

    Args:
        type: Chooses the handler, such as ``"email:welcome"``. Must not be blank.
        payload: Bytes travel as they are; a mapping or another JSON value as compact JSON;
            None is an absent payload.
        options: See `TaskOptions`; those given at enqueue take precedence.

    Raises:
        InvalidOptionError: If the type, the payload or an option cannot be used.
    """

    __slots__ = ("_has_payload", "_options", "_payload", "_type")

    def __init__(
        self,
        type: str,  # noqa: A002 - the field's word, and the wire's
        payload: bytes | JsonValue | Mapping[str, object] = None,
        **options: Unpack[TaskOptions],
    ) -> None:
        self._type = check_task_type("type", type)
        self._has_payload = payload is not None
        self._payload = encode_payload(type, payload) if payload is not None else b""
        self._options = Options.check(options)

    @classmethod
    def _from_wire(cls, type: str, payload: bytes, headers: Mapping[str, str]) -> Task:  # noqa: A002
        """Build a task from what Redis held, unchecked: other programs wrote it."""
        task = cls.__new__(cls)
        task._type, task._payload, task._has_payload = type, payload, bool(payload)  # noqa: SLF001
        task._options = Options(headers=headers) if headers else NO_OPTIONS  # noqa: SLF001
        return task

    @classmethod
    def _checked(cls, type: str, payload: bytes, options: Options) -> Task:  # noqa: A002
        """Build a task from parts that were checked before: a typed task makes many."""
        task = cls.__new__(cls)
        task._type, task._payload, task._has_payload = type, payload, True  # noqa: SLF001
        task._options = options  # noqa: SLF001
        return task

    @property
    def type(self) -> str:
        """What to do; chooses the handler."""
        return self._type

    @property
    def payload(self) -> bytes:
        """With what; ``b""`` where there is none."""
        return self._payload

    @property
    def has_payload(self) -> bool:
        """Whether a payload was given, be it empty. Uniqueness tells the two apart."""
        return self._has_payload

    @property
    def headers(self) -> Mapping[str, str]:
        """Text that travels beside the payload."""
        return self._options.headers or {}

    @property
    def options(self) -> Options:
        """The options that the task itself carries; those at enqueue take precedence."""
        return self._options

    def json(self) -> JsonValue:
        """Return the payload decoded as JSON; None where there is none.

        Raises:
            ValueError: If the payload is not JSON.
        """
        if not self._payload:
            return None
        value: JsonValue = json.loads(self._payload)
        return value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Task):
            return NotImplemented
        return (self.type, self.has_payload, self.payload, self.options) == (
            other.type,
            other.has_payload,
            other.payload,
            other.options,
        )

    __hash__: ClassVar[None]  # type: ignore[assignment]  # Its headers may change.

    def __repr__(self) -> str:
        # The payload may hold personal data, and a repr ends up in logs.
        return f"<Task {self._type!r} ({len(self._payload)} bytes)>"


@dataclasses.dataclass(frozen=True, slots=True)
class TaskProgress:
    """How far a handler says that it is."""

    fraction: float
    """From 0 to 1."""
    note: str = ""
    """For a person to read."""


# Not frozen: to set twenty fields past a lock takes as long as to write a task.
@dataclasses.dataclass(slots=True, kw_only=True)
class TaskInfo:
    """A report on a task, true at the instant when it was made. Times are Unix seconds."""

    id: str
    queue: str
    type: str
    payload: bytes = dataclasses.field(default=b"", repr=False)
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)
    state: TaskState
    max_retry: int = DEFAULT_MAX_RETRY
    retried: int = 0
    last_error: str = ""
    """The message of the last failure; "" if it never failed."""
    last_failed_at: float | None = None
    timeout: int | None = None
    """Seconds; None: no timeout."""
    deadline: float | None = None
    group: str | None = None
    next_process_at: float | None = None
    """When it is due; None where it waits for no time (active, archived, completed)."""
    is_orphaned: bool = False
    """True if it is active, but no living worker holds it: it will be recovered."""
    retention: int = 0
    """Seconds that it is kept for once it is done."""
    completed_at: float | None = None
    result: bytes | None = dataclasses.field(default=None, repr=False)
    """What the handler wrote; None if nothing."""
    progress: TaskProgress | None = None
    """What the handler reported last, in this attempt or an earlier one; None if nothing."""
