"""Headrace: background tasks for asyncio on Redis, compatible with asynq."""

from headrace._broker.inspect import QueueStats
from headrace._calls import CallNext
from headrace._client import Client
from headrace._config import GroupAggregator, TaskStateProber, default_retry_delay
from headrace._context import TaskContext, current_context
from headrace._depends import Depends
from headrace._errors import (
    BrokerError,
    BrokerUnsuitableError,
    DuplicateTaskError,
    EnqueueManyError,
    HandlerCrashError,
    HandlerNotFoundError,
    HandlerTimeoutError,
    HeadraceError,
    InvalidOptionError,
    LeaseLostError,
    MessageDecodeError,
    PayloadTooLargeError,
    QueueNotEmptyError,
    QueueNotFoundError,
    ResultTimeoutError,
    RetryLater,
    RevokeTask,
    ServerClosedError,
    ServerStateError,
    SkipRetry,
    Snooze,
    TaskArgumentsError,
    TaskCancelledError,
    TaskFailedError,
    TaskIdConflictError,
    TaskNotFoundError,
)
from headrace._inspector import Inspector
from headrace._router import Router
from headrace._run import run, serve
from headrace._server import Server, ServerOptions, ServerState
from headrace._task import JsonValue, Task, TaskInfo, TaskOptions, TaskState
from headrace._typed import TypedTask
from headrace._version import __version__

__all__ = [
    # What you enqueue with
    "Client",
    "Task",
    "TaskInfo",
    "TaskOptions",
    "TaskState",
    "JsonValue",
    # What you look with
    "Inspector",
    "QueueStats",
    # What you write handlers with
    "CallNext",
    "Depends",
    "Router",
    "TaskContext",
    "TypedTask",
    "current_context",
    # What you run them with
    "GroupAggregator",
    "Server",
    "ServerOptions",
    "ServerState",
    "TaskStateProber",
    "default_retry_delay",
    "run",
    "serve",
    # What a handler raises to say what becomes of its task
    "RetryLater",
    "RevokeTask",
    "SkipRetry",
    "Snooze",
    # What may go wrong
    "BrokerError",
    "BrokerUnsuitableError",
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
    "ResultTimeoutError",
    "ServerClosedError",
    "ServerStateError",
    "TaskArgumentsError",
    "TaskCancelledError",
    "TaskFailedError",
    "TaskIdConflictError",
    "TaskNotFoundError",
    "__version__",
]
