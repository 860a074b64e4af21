"""Logging of faults that last: one line per fault and ten seconds, not one per try."""

from __future__ import annotations

import dataclasses
import logging
import math
from time import monotonic
from typing import TYPE_CHECKING

from headrace._errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

__all__ = ["RateLimitedLog", "structured"]

_OUTAGE = object()
# After so many intervals without a fault, the next one is another fault.
_EPISODE_INTERVALS = 3
_RESERVED = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


def structured(**fields: object) -> dict[str, object]:
    """Return *fields* as the ``extra`` of a log line.

    Names that `logging.LogRecord` uses itself get the prefix ``headrace_``: logging refuses
    to overwrite them.
    """
    return {
        f"headrace_{name}" if name in _RESERVED else name: value for name, value in fields.items()
    }


@dataclasses.dataclass(slots=True)
class _Fault:
    """One fault: what was seen of it, and what was said."""

    since: float
    last_seen: float
    summary: str = ""
    logged_at: float = -math.inf
    suppressed: int = 0
    is_open: bool = True
    is_announced: bool = False
    """Whether a line was logged whose end has not been logged yet."""


class RateLimitedLog:
    """Logs each fault when it begins, then once per interval, then that it has ended.

    Failures that come of one outage of Redis are one fault, whoever meets them: share one
    object between components. Not to be shared between threads.

    Args:
        logger: Where the lines go.
        interval: Seconds between two lines about the same fault.
        time: Monotonic seconds.
    """

    def __init__(
        self,
        logger: logging.Logger,
        *,
        interval: float = 10.0,
        time: Callable[[], float] = monotonic,
    ) -> None:
        self.logger = logger
        self._interval = interval
        self._time = time
        self._faults: dict[object, _Fault] = {}
        self._in_outage: set[Hashable] = set()

    def fault(
        self,
        key: Hashable,
        message: str,
        *args: object,
        exc: BaseException | None = None,
        extra: Mapping[str, object] | None = None,
        level: int = logging.ERROR,
    ) -> None:
        """Log a failure, or count it if the same fault was logged a moment ago.

        Args:
            key: Names the fault. Keep the number of keys small: they are remembered.
            message: Format of the line; *args* are put into it.
            args: See *message*.
            exc: What was raised. Its text ends the line; its traceback follows unless it is
                a `BrokerError`, which tells all there is to know.
            extra: Structured fields of the line.
            level: Level of the line.
        """
        fault = self._seen(key, exc)
        if self._time() - fault.logged_at < self._interval:
            fault.suppressed += 1
            return
        fault.summary = message % args if args else message
        if exc is not None:
            message, args = f"{message}: %s", (*args, _text(exc))
        if fault.suppressed:
            message, args = f"{message} (%d more not logged)", (*args, fault.suppressed)
        has_traceback = exc is not None and not isinstance(exc, BrokerError)
        self.logger.log(
            level,
            message,
            *args,
            exc_info=exc if has_traceback else None,
            extra=structured(**(extra or {}), suppressed=fault.suppressed),
            stacklevel=2,
        )
        fault.logged_at, fault.suppressed, fault.is_announced = self._time(), 0, True

    def recovered(self, key: Hashable) -> None:
        """Say that the fault *key* has ended, if there was one and it was logged."""
        fault = self._faults.get(key)
        if fault is not None and fault.is_open:
            self._close(fault, f"Works again after %.1f s: {fault.summary.replace('%', '%%')}")
        if key in self._in_outage:
            # Whoever gets through first shows that Redis is back for all.
            self._in_outage.clear()
            self._close(self._faults[_OUTAGE], "Redis answers again after %.1f s")

    def _seen(self, key: Hashable, exc: BaseException | None) -> _Fault:
        """Return the fault that a failure belongs to."""
        now = self._time()
        name: object = key
        if isinstance(exc, BrokerError) and exc.retryable:
            # Redis as a whole cannot serve, whatever was asked of it.
            self._in_outage.add(key)
            name = _OUTAGE
        fault = self._faults.setdefault(name, _Fault(since=now, last_seen=now))
        if not fault.is_open or now - fault.last_seen > _EPISODE_INTERVALS * self._interval:
            fault.is_open, fault.since = True, now
        fault.last_seen = now
        return fault

    def _close(self, fault: _Fault, message: str) -> None:
        fault.is_open = False
        if fault.is_announced:  # Else the reader knows of no fault that could have ended.
            fault.is_announced = False
            seconds, suppressed = self._time() - fault.since, fault.suppressed
            fault.suppressed = 0
            extra = structured(seconds=seconds, suppressed=suppressed)
            self.logger.info(message, seconds, extra=extra, stacklevel=3)


def _text(exc: BaseException) -> str:
    if isinstance(exc, BrokerError):
        return str(exc)
    return f"{type(exc).__name__}: {exc}"
