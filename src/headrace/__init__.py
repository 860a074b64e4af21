"""Headrace: background tasks for asyncio on Redis, compatible with asynq."""

from headrace._audit import AuditProgress, Finding
from headrace._auditor import Auditor
from headrace._broker.fleet import ClusterNode, RunningTask, ServerStatus
from headrace._broker.inspect import DailyStats, GroupInfo, QueueStats
from headrace._calls import CallNext
from headrace._client import Client
from headrace._config import GroupAggregator, TaskStateProber, default_retry_delay
from headrace._context import TaskContext, current_context
from headrace._depends import Depends
from headrace._errors import (
    BrokerError,
    BrokerUnsuitableError,
    ClusterRequiredError,
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
    RateLimitedError,
    ResultDecodeError,
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
    TaskStateError,
)
from headrace._events import EnqueueHook, Outgoing, ServerObserver, TaskEvent, TaskOutcome
from headrace._fleet_message import SchedulerEnqueueEvent, SchedulerEntry
from headrace._health import ServerHealth
from headrace._inspector import Inspector
from headrace._limits import QueueLimits
from headrace._options import ServerOptions
from headrace._periodic import PeriodicTaskManager
from headrace._router import Router
from headrace._run import run, serve
from headrace._schedule import All, Misfire, Schedule, ScheduleProvider
from headrace._scheduler import Scheduler, SchedulerOptions
from headrace._semaphore import RateSemaphore
from headrace._server import Server, ServerState
from headrace._stored_schedules import StoredSchedule, StoredSchedules
from headrace._task import JsonValue, Task, TaskInfo, TaskOptions, TaskProgress, TaskState
from headrace._typed import TypedTask
from headrace._version import __version__

__all__ = [
    # What you enqueue with
    "Client",
    "Task",
    "TaskInfo",
    "TaskProgress",
    "TaskOptions",
    "TaskState",
    "JsonValue",
    # What you look with
    "AuditProgress",
    "Auditor",
    "Finding",
    "ClusterNode",
    "DailyStats",
    "GroupInfo",
    "Inspector",
    "QueueStats",
    "RunningTask",
    "SchedulerEnqueueEvent",
    "SchedulerEntry",
    "ServerStatus",
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
    # What limits them
    "QueueLimits",
    "RateSemaphore",
    # What you observe them with
    "EnqueueHook",
    "Outgoing",
    "ServerHealth",
    "ServerObserver",
    "TaskEvent",
    "TaskOutcome",
    # What enqueues again and again
    "All",
    "Misfire",
    "PeriodicTaskManager",
    "Schedule",
    "ScheduleProvider",
    "Scheduler",
    "SchedulerOptions",
    "StoredSchedule",
    "StoredSchedules",
    # What a handler raises to say what becomes of its task
    "RetryLater",
    "RevokeTask",
    "SkipRetry",
    "Snooze",
    # What may go wrong
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
    "ServerClosedError",
    "ServerStateError",
    "TaskArgumentsError",
    "TaskCancelledError",
    "TaskFailedError",
    "TaskIdConflictError",
    "TaskNotFoundError",
    "TaskStateError",
    "__version__",
]
