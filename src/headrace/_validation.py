"""Checks of names, durations and instants: what the wire can carry, and nothing else."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping
from datetime import datetime, timedelta

from headrace._errors import InvalidOptionError

__all__ = [
    "MAX_INSTANT",
    "MAX_SECONDS",
    "check_group",
    "check_headers",
    "check_queue",
    "check_task_id",
    "check_task_type",
    "instant",
    "retry_limit",
    "seconds",
    "whole_number",
    "whole_seconds",
]

MAX_NAME_BYTES = 512
MAX_RETRY = 2**31 - 1  # An int32 on the wire.
# Unix seconds and durations are int64 on the wire, but Redis keeps scores as doubles and Go
# adds durations in nanoseconds (int64): 100 years keep all three exact.
MAX_SECONDS = 100 * 366 * 86_400
MAX_INSTANT = 2**33


def _check_name(option: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidOptionError(option, value, f"a str is needed, not {type(value).__name__}")
    if not value.strip():
        raise InvalidOptionError(option, value, "it must not be blank")
    # Most names are printable as a whole, which is quickly seen.
    if not value.isprintable() and any(unicodedata.category(c) in {"Cc", "Cs"} for c in value):
        raise InvalidOptionError(
            option, value, "it must not contain control characters or lone surrogates"
        )
    size = len(value.encode())
    if size > MAX_NAME_BYTES:
        raise InvalidOptionError(
            option, value, f"it has {size} bytes; at most {MAX_NAME_BYTES} are allowed"
        )
    return value


def check_queue(option: str, value: object) -> str:
    """Return *value* if it can name a queue."""
    name = _check_name(option, value)
    if "{" in name or "}" in name:
        raise InvalidOptionError(
            option, value, "it must not contain braces, which mark the queue in Redis keys"
        )
    return name


def check_task_id(option: str, value: object) -> str:
    """Return *value* if it can identify a task."""
    return _check_name(option, value)


def check_task_type(option: str, value: object) -> str:
    """Return *value* if it can name a type of task."""
    return _check_name(option, value)


def check_group(option: str, value: object) -> str:
    """Return *value* if it can name a group."""
    return _check_name(option, value)


def check_headers(option: str, value: object) -> Mapping[str, str]:
    """Return a copy of *value* if it maps text to text that UTF-8 can carry."""
    if not isinstance(value, Mapping):
        raise InvalidOptionError(option, value, "a mapping of str to str is needed")
    for key, text in value.items():
        for part in (key, text):
            if not isinstance(part, str):
                raise InvalidOptionError(option, value, f"{part!r} is not a str")
            try:
                part.encode()
            except UnicodeEncodeError as error:
                raise InvalidOptionError(option, value, str(error)) from error
    return dict(value)


def retry_limit(option: str, value: object) -> int:
    """Return how many retries *value* allows; a negative number allows none."""
    return max(0, whole_number(option, value, at_most=MAX_RETRY))


def whole_number(
    option: str, value: object, *, at_least: int | None = None, at_most: int | None = None
) -> int:
    """Return *value* if it is an int (not a bool) within the bounds; None: no bound."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidOptionError(option, value, "a whole number is needed")
    if at_least is not None and value < at_least:
        raise InvalidOptionError(option, value, f"it must be at least {at_least}")
    if at_most is not None and value > at_most:
        raise InvalidOptionError(option, value, f"it must be at most {at_most}")
    return value


def seconds(
    option: str, value: object, *, at_least: float = 0, above: float | None = None
) -> float:
    """Return a duration as seconds.

    Args:
        option: The option's name, for the error.
        value: Seconds, or a timedelta.
        at_least: The smallest duration that is allowed.
        above: A bound that it must exceed; None: none.

    Raises:
        InvalidOptionError: If it is no duration, not finite, or out of bounds.
    """
    if isinstance(value, timedelta):
        number = value.total_seconds()
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        number = _finite(option, value)
    else:
        raise InvalidOptionError(option, value, "seconds or a timedelta are needed")
    if number < at_least:
        raise InvalidOptionError(option, value, f"it must be at least {at_least:g} s")
    if above is not None and number <= above:
        raise InvalidOptionError(option, value, f"it must be more than {above:g} s")
    if number > MAX_SECONDS:
        raise InvalidOptionError(option, value, "it must be at most 100 years")
    return number


def _finite(option: str, value: float) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InvalidOptionError(option, value, "it must be a finite number")
    return number


def whole_seconds(option: str, value: object, *, at_least: int) -> int:
    """Return a duration that the wire carries as whole seconds.

    Raises:
        InvalidOptionError: If it has a fraction: rounding it in silence could turn half a
            second into "no limit".
    """
    number = seconds(option, value, at_least=at_least)
    if number != int(number):
        raise InvalidOptionError(option, value, "only whole seconds can be stored")
    return int(number)


def instant(option: str, value: object) -> float:
    """Return an instant as Unix seconds.

    Args:
        option: The option's name, for the error.
        value: Unix seconds, or an aware datetime.

    Raises:
        InvalidOptionError: If it is neither, is not finite, or lies out of reach.
    """
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise InvalidOptionError(
                option, value, "it has no time zone; use datetime.now(timezone.utc) or the like"
            )
        number = value.timestamp()
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        number = _finite(option, value)
    else:
        raise InvalidOptionError(option, value, "an aware datetime or Unix seconds are needed")
    if not 1 <= number <= MAX_INSTANT:  # Less would be 0 on the wire: no instant.
        raise InvalidOptionError(
            option, value, f"it must lie between 1970 and 2242 (Unix seconds 1 to {MAX_INSTANT})"
        )
    return number
