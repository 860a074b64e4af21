"""How much of a queue all workers together may run: a value, checked when it is made."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Final

from headrace._errors import InvalidOptionError
from headrace._validation import check_queue, seconds, whole_number

__all__ = ["QueueLimits", "check_limits", "check_limits_of_queues"]

MOST: Final = 2**31 - 1
SHORTEST_WINDOW: Final = 0.001
RATE_PARTS: Final = 2


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class QueueLimits:
    """What Headrace's workers take from a queue at the most, all of them together.

    Attributes:
        max_active: How many of its tasks may run at a time, at least 1; None: any number.
        rate: ``(tasks, seconds)``: in no span of so many seconds do more than so many tasks
            start, retries counted like first tries. Seconds may be a timedelta; at least one
            millisecond. None: no limit.

    Raises:
        InvalidOptionError: If a value cannot be used.
    """

    max_active: int | None = None
    rate: tuple[int, float] | None = None

    def __post_init__(self) -> None:
        if self.max_active is not None:
            whole_number("max_active", self.max_active, at_least=1, at_most=MOST)
        if self.rate is not None:
            object.__setattr__(self, "rate", _checked_rate(self.rate))

    def __bool__(self) -> bool:
        """Whether anything is limited."""
        return self.max_active is not None or self.rate is not None


def _checked_rate(rate: object) -> tuple[int, float]:
    if isinstance(rate, str) or not isinstance(rate, Sequence) or len(rate) != RATE_PARTS:
        raise InvalidOptionError("rate", rate, "a pair is needed: tasks, seconds")
    tasks, window = rate
    return (
        whole_number("rate[0]", tasks, at_least=1, at_most=MOST),
        seconds("rate[1]", window, at_least=SHORTEST_WINDOW),
    )


def check_limits(option: str, value: object) -> QueueLimits:
    """Return *value* if it can limit a queue.

    Raises:
        InvalidOptionError: If it is something else.
    """
    if not isinstance(value, QueueLimits):
        raise InvalidOptionError(option, value, "a QueueLimits is needed")
    return value


def check_limits_of_queues(
    option: str, value: object, queues: Mapping[str, int]
) -> Mapping[str, QueueLimits]:
    """Return *value* if it maps some of *queues* to their limits.

    Raises:
        InvalidOptionError: If it is something else, or names other queues.
    """
    if not isinstance(value, Mapping):
        raise InvalidOptionError(option, value, "a mapping of queue name to QueueLimits is needed")
    for name in value:
        if check_queue(option, name) not in queues:
            raise InvalidOptionError(option, name, "this server does not serve that queue")
    return {name: check_limits(f"{option}[{name!r}]", limits) for name, limits in value.items()}
