"""Every exception of Headrace. Each says what, which and what to do, and carries its data."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from headrace._task import TaskInfo

__all__ = [
    "BrokerError",
    "BrokerUnsuitableError",
    "ClusterRequiredError",
    "DuplicateTaskError",
    "EnqueueManyError",
    "HandlerCrashError",
    "HandlerNotFoundError",
    "HandlerTimeoutError",
    "HeadraceError",
    "InvalidOptionError",
    "LeaseLostError",
    "MessageDecodeError",
    "PayloadTooLargeError",
    "QueueNotEmptyError",
    "QueueNotFoundError",
    "RateLimitedError",
    "ResultDecodeError",
    "ResultTimeoutError",
    "RetryLater",
    "RevokeTask",
    "ServerClosedError",
    "ServerStateError",
    "SkipRetry",
    "Snooze",
    "TaskArgumentsError",
    "TaskCancelledError",
    "TaskFailedError",
    "TaskIdConflictError",
    "TaskNotFoundError",
    "TaskStateError",
]


_SHOWN_CHARS = 80


class HeadraceError(Exception):
    """Base of every error that Headrace raises."""


class InvalidOptionError(HeadraceError, ValueError):
    """Raised when an option, a name or a configuration value cannot be used.

    Nothing was sent or written.
    """

    def __init__(self, option: str, value: object, reason: str) -> None:
        shown = repr(value)
        if len(shown) > _SHOWN_CHARS:
            shown = f"{shown[:_SHOWN_CHARS]}..."
        super().__init__(f"{option}={shown} is not usable: {reason}")
        self.option: str = option
        self.value: object = value
        self.reason: str = reason


class TaskArgumentsError(HeadraceError, ValueError):
    """Raised when arguments do not fit the signature of a typed task.

    At enqueue nothing was written; in a worker the task is archived at once.
    """

    def __init__(self, task_type: str, problems: str) -> None:
        super().__init__(
            f"The arguments of task {task_type!r} do not fit its signature: {problems}"
        )
        self.task_type: str = task_type
        self.problems: str = problems


class PayloadTooLargeError(HeadraceError, ValueError):
    """Raised by `Client.enqueue` when a payload exceeds the client's limit.

    Nothing was written.
    """

    def __init__(self, task_type: str, size: int, limit: int) -> None:
        super().__init__(
            f"The payload of task {task_type!r} has {size} bytes; this client allows {limit}. "
            f"Store the data elsewhere and send a reference, or raise max_payload_size "
            f"(None: no limit)."
        )
        self.task_type: str = task_type
        self.size: int = size
        self.limit: int = limit


class TaskIdConflictError(HeadraceError):
    """Raised by `Client.enqueue` when the queue already holds a task with this ID.

    Nothing was written.
    """

    def __init__(self, queue: str, task_id: str, state: str) -> None:
        super().__init__(
            f"Queue {queue!r} already holds a task with ID {task_id!r} ({state}). Omit task_id "
            f"to get a random one, or wait until the old task is gone."
        )
        self.queue: str = queue
        self.task_id: str = task_id
        self.state: str = state


class DuplicateTaskError(HeadraceError):
    """Raised by `Client.enqueue` when another task holds the uniqueness lock.

    Nothing was written.
    """

    def __init__(self, queue: str, task_type: str, unique_key: str, holder: str) -> None:
        super().__init__(
            f"Task {holder!r} in queue {queue!r} has the same type {task_type!r} and payload, "
            f"and its uniqueness lock {unique_key!r} is still held. The lock ends with that "
            f"task or with its unique period; leave out unique to enqueue regardless."
        )
        self.queue: str = queue
        self.task_type: str = task_type
        self.unique_key: str = unique_key
        self.holder: str = holder


class EnqueueManyError(HeadraceError):
    """Raised by `Client.enqueue_many` when some of the tasks were refused.

    The others were written.

    Attributes:
        results: What became of each task, in their order: a `TaskInfo`, or its error.
    """

    def __init__(self, results: Sequence[TaskInfo | HeadraceError]) -> None:
        errors = [result for result in results if isinstance(result, HeadraceError)]
        super().__init__(
            f"{len(errors)} of {len(results)} tasks were refused; the first error: {errors[0]} "
            f"(.results tells of each; return_errors=True returns it instead)"
        )
        self.results: tuple[TaskInfo | HeadraceError, ...] = tuple(results)


class QueueNotFoundError(HeadraceError, LookupError):
    """Raised when a queue does not exist."""

    def __init__(self, queue: str) -> None:
        super().__init__(
            f"There is no queue {queue!r}. A queue comes into being with its first task."
        )
        self.queue = queue


class QueueNotEmptyError(HeadraceError):
    """Raised when a queue cannot be deleted because it still holds tasks."""

    def __init__(self, queue: str, size: int) -> None:
        super().__init__(
            f"Queue {queue!r} still holds {size} tasks. Delete them first, or force the deletion; "
            f"those that run must end before."
        )
        self.queue: str = queue
        self.size: int = size


class TaskNotFoundError(HeadraceError, LookupError):
    """Raised when a queue holds no task with the given ID."""

    def __init__(self, queue: str, task_id: str) -> None:
        super().__init__(
            f"Queue {queue!r} holds no task with ID {task_id!r}. A task is deleted when it is "
            f"done; give it a retention to keep it and its result for a while."
        )
        self.queue: str = queue
        self.task_id: str = task_id


class TaskStateError(HeadraceError):
    """Raised by `Inspector` when a task's state does not allow what was asked.

    Nothing was written.
    """

    def __init__(self, queue: str, task_id: str, state: str, action: str) -> None:
        hint = {
            "active": "Cancel it, or wait until its attempt has ended.",
            "being aggregated": "Wait until the task that stands for its group was written.",
        }.get(state, "Look at the task again: others may have changed it meanwhile.")
        super().__init__(
            f"Cannot {action} task {task_id!r} in queue {queue!r}: it is {state}. {hint}"
        )
        self.queue: str = queue
        self.task_id: str = task_id
        self.state: str = state
        self.action: str = action


class TaskFailedError(HeadraceError):
    """Raised by `Client.result` when the task was archived: it will not be tried again."""

    def __init__(self, queue: str, task_id: str, error: str) -> None:
        super().__init__(f"Task {task_id!r} in queue {queue!r} was archived: {error}")
        self.queue: str = queue
        self.task_id: str = task_id
        self.error: str = error


class ResultDecodeError(HeadraceError, ValueError):
    """Raised by `Client.result` when the result is no JSON. It stays where it is."""

    def __init__(self, queue: str, task_id: str, size: int) -> None:
        super().__init__(
            f"The result of task {task_id!r} in queue {queue!r}, {size} bytes, is no JSON. Pass "
            f"decode=bytes to get it as it is, or a function that reads it."
        )
        self.queue: str = queue
        self.task_id: str = task_id


class ResultTimeoutError(HeadraceError, TimeoutError):
    """Raised by `Client.result` when the task is not finished in time. It goes on running."""

    def __init__(self, queue: str, task_id: str, state: str, timeout: float) -> None:
        super().__init__(
            f"Task {task_id!r} in queue {queue!r} is still {state} after {timeout:g} s."
        )
        self.queue: str = queue
        self.task_id: str = task_id
        self.state: str = state
        self.timeout: float = timeout


class HandlerNotFoundError(HeadraceError, LookupError):
    """Raised in a worker when nothing is registered for a task's type."""

    def __init__(self, task_type: str, patterns: Sequence[str] = ()) -> None:
        known = ", ".join(repr(pattern) for pattern in patterns) or "none"
        super().__init__(
            f"No handler is registered for task type {task_type!r} (registered: {known}). "
            f"Register one with @router.task or @router.handler, or deploy the worker that has it."
        )
        self.task_type: str = task_type
        self.patterns: tuple[str, ...] = tuple(patterns)


class HandlerCrashError(HeadraceError):
    """Stands for a handler that broke in a way no exception describes.

    Such as a worker process of a ``cpu=True`` handler that died.
    """


class HandlerTimeoutError(HeadraceError, TimeoutError):
    """Recorded when a handler exceeded its timeout or its deadline."""

    def __init__(self, task_type: str, limit: str) -> None:
        super().__init__(f"The handler of task {task_type!r} was stopped: {limit} exceeded")
        self.task_type: str = task_type
        self.limit: str = limit


class TaskCancelledError(HeadraceError):
    """Recorded when a task was cancelled on request while it ran."""

    def __init__(self, task_type: str, task_id: str) -> None:
        super().__init__(f"Task {task_id!r} ({task_type}) was cancelled on request")
        self.task_type: str = task_type
        self.task_id: str = task_id


class LeaseLostError(HeadraceError):
    """Raised when an attempt that has lost its lease tries to change its task.

    Another worker may run the task by now. Nothing was written.
    """

    def __init__(self, queue: str, task_id: str) -> None:
        super().__init__(
            f"This attempt no longer holds task {task_id!r} in queue {queue!r}: its lease ended "
            f"and another worker may run it by now. What it wanted to write was not written."
        )
        self.queue: str = queue
        self.task_id: str = task_id


class MessageDecodeError(HeadraceError, ValueError):
    """Raised when bytes in Redis are not a task message."""


class ServerStateError(HeadraceError):
    """Raised when a server is asked for what its state does not allow."""


class ServerClosedError(ServerStateError):
    """Raised when a server that was shut down is started again."""

    def __init__(self) -> None:
        super().__init__("This server was shut down. Create a new Server to run again.")


class BrokerError(HeadraceError):
    """Raised when Redis did not answer, or refused.

    Attributes:
        ambiguous: True if the command may have been applied although no answer came.
        retryable: True if the same command may succeed later: Redis is loading, failing over,
            out of memory, or cannot be reached.
        code: Redis's error code, such as ``"OOM"``, or "" where the connection failed.
    """

    def __init__(
        self, message: str, *, ambiguous: bool = False, retryable: bool = True, code: str = ""
    ) -> None:
        super().__init__(message)
        self.ambiguous: bool = ambiguous
        self.retryable: bool = retryable
        self.code: str = code


class BrokerUnsuitableError(BrokerError):
    """Raised at start when a Redis server cannot keep Headrace's promises."""


class ClusterRequiredError(HeadraceError):
    """Raised when something is asked that only a Redis Cluster can answer."""

    def __init__(self, address: str) -> None:
        super().__init__(
            f"Redis at {address} is not used as a cluster. Give the address of a cluster, such "
            f"as redis+cluster://host:port."
        )
        self.address = address


class SkipRetry(HeadraceError):  # noqa: N818 - a request of the handler, not a fault
    """Raise it in a handler to archive the task now, whatever retries are left."""


class RevokeTask(HeadraceError):  # noqa: N818 - a request of the handler, not a fault
    """Raise it in a handler to drop the task: neither retried nor archived."""


class RetryLater(HeadraceError):  # noqa: N818 - a request of the handler, not a fault
    """Raise it in a handler to retry after *delay*. It spends a retry like any failure.

    Args:
        delay: Seconds, or a timedelta, until the next attempt.
        reason: Recorded as the task's last error.
    """

    def __init__(self, delay: float | timedelta, reason: str = "retry requested") -> None:
        super().__init__(reason)
        self.delay = delay


class Snooze(HeadraceError):  # noqa: N818 - a request of the handler, not a fault
    """Raise it in a handler to run again after *delay* without spending a retry.

    Args:
        delay: Seconds, or a timedelta, until the next attempt.
        reason: Recorded as the task's last error.
    """

    def __init__(self, delay: float | timedelta, reason: str = "snoozed") -> None:
        super().__init__(reason)
        self.delay = delay


class RateLimitedError(Snooze):
    """Raised by `RateSemaphore.slot` when none is free.

    A handler that lets it escape is run again after *retry_in*, and no retry is spent.

    Attributes:
        scope: Names the semaphore.
        max_tokens: How many slots it has.
        retry_in: Seconds until the next attempt.
    """

    def __init__(self, scope: str, max_tokens: int, retry_in: float) -> None:
        super().__init__(
            retry_in,
            f"All slots of semaphore {scope!r} are taken ({max_tokens}); again in {retry_in:g} s",
        )
        self.scope: str = scope
        self.max_tokens: int = max_tokens
        self.retry_in: float = retry_in
