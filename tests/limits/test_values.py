"""Values that limit, and those that cannot."""

from __future__ import annotations

import datetime as dt
import math

import pytest

from headrace import (
    Inspector,
    InvalidOptionError,
    QueueLimits,
    RateLimitedError,
    RateSemaphore,
    Server,
    Snooze,
    Task,
)

URL = "memory://limits"


async def nothing(task: Task) -> None:
    """Do nothing."""


def test_no_limits() -> None:
    """Limits that limit nothing are false, others are true."""
    assert not QueueLimits()
    assert QueueLimits(max_active=1)
    assert QueueLimits(rate=(1, 1))


def test_rate_takes_a_timedelta() -> None:
    """The span of a rate is seconds or a timedelta, and is kept as seconds."""
    assert (100, 60.0) == QueueLimits(rate=(100, dt.timedelta(minutes=1))).rate  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "1", 2**31])
def test_unusable_max_active(value: object) -> None:
    """max_active is a whole number from 1; to let nothing run, a queue is paused."""
    with pytest.raises(InvalidOptionError, match="max_active"):
        QueueLimits(max_active=value)  # type: ignore[arg-type]  # That is it.


@pytest.mark.parametrize(
    "value",
    [
        *(5, "12", (1,), (1, 2, 3), {1: 2}, (0, 1), (-1, 1), (1.5, 1), (True, 1), ("1", 1)),
        *((1, 0), (1, -1), (1, math.nan), (1, math.inf), (1, "1"), (1, None), (1, 0.0009)),
        *((2**31, 1), (1, 1e12)),
    ],
)
def test_unusable_rate(value: object) -> None:
    """A rate is a pair of a whole number from 1 and a span of at least a millisecond."""
    with pytest.raises(InvalidOptionError, match="rate"):
        QueueLimits(rate=value)  # type: ignore[arg-type]  # That is it.


@pytest.mark.parametrize(
    "value", [5, None, [], {"a": 5}, {"a": None}, {"other": QueueLimits()}, {5: QueueLimits()}]
)
def test_unusable_limits_of_a_server(value: object) -> None:
    """A server takes limits of the queues that it serves, and nothing else."""
    with pytest.raises(InvalidOptionError, match="limits"):
        Server(URL, nothing, queues={"a": 1}, limits=value)  # type: ignore[arg-type]  # That is it.


async def test_unusable_limits_of_an_inspector() -> None:
    """What are no limits, or no queue, is refused before Redis is asked."""
    async with Inspector(URL) as inspector:
        with pytest.raises(InvalidOptionError, match="limits"):
            await inspector.set_limits("q", 5)  # type: ignore[arg-type]  # That is it.
        with pytest.raises(InvalidOptionError, match="queue"):
            await inspector.set_limits("{", None)
        with pytest.raises(InvalidOptionError, match="queue"):
            await inspector.limits("")


@pytest.mark.parametrize("scope", ["", " ", "a\nb", 5, None])
def test_unusable_scope(scope: object) -> None:
    """A scope is text that is not blank."""
    with pytest.raises(InvalidOptionError, match="scope"):
        RateSemaphore(URL, scope, 1)  # type: ignore[arg-type]  # That is it.


@pytest.mark.parametrize("tokens", [0, -1, 1.5, True, None])
def test_unusable_number_of_tokens(tokens: object) -> None:
    """A semaphore has at least one token."""
    with pytest.raises(InvalidOptionError, match="max_tokens"):
        RateSemaphore(URL, "s", tokens)  # type: ignore[arg-type]  # That is it.


def test_rate_limited_error_is_a_snooze() -> None:
    """To be limited spends no retry, and the error says what, and when again."""
    error = RateLimitedError("api", 3, 2.5)

    assert isinstance(error, Snooze)
    assert ("api", 3, 2.5, 2.5) == (error.scope, error.max_tokens, error.retry_in, error.delay)
    assert "All slots of semaphore 'api' are taken (3); again in 2.5 s" == str(error)
