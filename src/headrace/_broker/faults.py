"""What went wrong between Redis and us. The one place where Redis's errors are read."""

from __future__ import annotations

import asyncio
import enum
import re
from typing import Final

from redis import exceptions as redis_errors

from headrace._errors import BrokerError

__all__ = ["FOREIGN_ERRORS", "Fault", "broker_error", "classify"]

FOREIGN_ERRORS: Final = (
    redis_errors.RedisError,
    redis_errors.RedisClusterException,
    OSError,
    asyncio.TimeoutError,
)
"""What redis-py lets through."""


class Fault(enum.Enum):
    """How an error is to be taken."""

    RETRY_SAFE = "retry-safe"
    """The command was not applied; the same one may succeed later."""
    AMBIGUOUS = "ambiguous"
    """The command may have been applied: only an idempotent one may be repeated."""
    FATAL = "fatal"
    """The command was refused, and will be again."""


_CODES_BY_CLASS: Final = {
    redis_errors.BusyLoadingError: "LOADING",
    redis_errors.ReadOnlyError: "READONLY",
    redis_errors.OutOfMemoryError: "OOM",
    redis_errors.MasterDownError: "MASTERDOWN",
    redis_errors.ClusterDownError: "CLUSTERDOWN",
    redis_errors.TryAgainError: "TRYAGAIN",
    redis_errors.NoScriptError: "NOSCRIPT",
    redis_errors.NoPermissionError: "NOPERM",
    redis_errors.AuthenticationError: "NOAUTH",
    redis_errors.SlotNotCoveredError: "CLUSTERDOWN",
    redis_errors.MovedError: "MOVED",
    redis_errors.AskError: "ASK",
}
_RETRY_SAFE_CODES: Final = frozenset(
    {
        "ASK",
        "BUSY",
        "CLUSTERDOWN",
        "LOADING",
        "MASTERDOWN",
        "MISCONF",
        "MOVED",
        "NOREPLICAS",
        "NOSCRIPT",
        "OOM",
        "READONLY",
        "TRYAGAIN",
        "UNBLOCKED",
    }
)
# Redis 6.2 wraps what a script's command answered in a text of its own.
_WRAPPED: Final = re.compile(r"\b(OOM|WRONGTYPE|MISCONF|READONLY|NOREPLICAS)\b")
_LEADING: Final = re.compile(r"^([A-Z]{3,})\b")
_ADVICE: Final = {
    "OOM": "Redis has reached its maxmemory; nothing was written. Workers go on draining it",
    "NOPERM": "the Redis user lacks a permission that Headrace needs",
    "NOAUTH": "Redis refused the credentials",
    "WRONGTYPE": "a key that Headrace uses holds something else",
    "READONLY": "this Redis is a read-only replica",
    "MISCONF": "Redis cannot save to disk and refuses writes",
}
# What a script says whose caller lacks a right.
_DENIED: Final = re.compile(r"The user executing the script can't")
# What the cluster's client says while the nodes do not agree, or some are missing.
_UNSETTLED: Final = re.compile(r"^(All slots are not covered|startup_nodes could not agree)")


def _root(error: BaseException) -> BaseException:
    """Return what lies behind an error: the cluster's client wraps what its nodes answered."""
    is_wrapped = isinstance(error, redis_errors.RedisClusterException)
    return error.__cause__ if is_wrapped and error.__cause__ is not None else error


def _code(error: BaseException) -> str:
    for cls, code in _CODES_BY_CLASS.items():
        if isinstance(error, cls):
            return code
    text = str(error)
    if _UNSETTLED.match(text):
        return "CLUSTERDOWN"
    if _DENIED.search(text):
        return "NOPERM"
    match = _WRAPPED.search(text) or _LEADING.match(text)
    return match[1] if match else ""


def _never_connected(error: BaseException) -> bool:
    text = str(error)
    return (
        "connecting to" in text
        or "No connection available" in text
        or isinstance(error, (ConnectionRefusedError, redis_errors.MaxConnectionsError))
        or type(error).__name__ in {"MasterNotFoundError", "SlaveNotFoundError"}
    )


def classify(error: BaseException) -> Fault:
    """Tell how *error*, one of `FOREIGN_ERRORS`, is to be taken."""
    error = _root(error)
    code = _code(error)
    if code in _RETRY_SAFE_CODES:
        return Fault.RETRY_SAFE
    if code:
        return Fault.FATAL
    refusals = (redis_errors.RedisError, redis_errors.RedisClusterException)
    if isinstance(error, (redis_errors.ConnectionError, redis_errors.TimeoutError)) or not (
        isinstance(error, refusals)
    ):
        return Fault.RETRY_SAFE if _never_connected(error) else Fault.AMBIGUOUS
    return Fault.FATAL


def broker_error(error: BaseException) -> BrokerError:
    """Return *error* as Headrace's own."""
    code, fault = _code(_root(error)), classify(error)
    advice = f" ({_ADVICE[code]})" if code in _ADVICE else ""
    text = str(error) or type(error).__name__
    what = "Redis did not answer" if fault is not Fault.FATAL and not code else "Redis refused"
    mapped = BrokerError(
        f"{what}: {text}{advice}",
        ambiguous=fault is Fault.AMBIGUOUS,
        retryable=fault is not Fault.FATAL,
        code=code,
    )
    mapped.__cause__ = error
    return mapped
