"""The options of a server: what it takes, and what it makes of them."""

from __future__ import annotations

import dataclasses
import datetime as dt
import inspect
import math

import pytest

from headrace import InvalidOptionError, Router, Server, ServerOptions, Task
from headrace._config import ServerConfig

URL = "memory://options"


async def nothing(task: Task) -> None:
    """Do nothing."""


def test_options_and_config_are_in_step() -> None:
    """What a server takes by type is what it takes at run time, field by field."""
    fields = [field.name for field in dataclasses.fields(ServerConfig)]

    assert fields == list(ServerOptions.__annotations__)


def test_options_are_documented() -> None:
    """Each option has its line of documentation in the class."""
    source = inspect.getsource(ServerOptions)
    assert source.count('"""') == 2 * (len(dataclasses.fields(ServerConfig)) + 1)


def test_defaults() -> None:
    """The defaults are those of the documentation."""
    config = Server(URL, nothing).config

    assert 100 == config.concurrency
    assert {"default": 1} == config.queues
    assert (8.0, 15.0, 5.0, 2.0) == (
        config.shutdown_timeout,
        config.lease_duration,
        config.heartbeat_interval,
        config.recovery_interval,
    )
    assert (1.0, 1.0, 15.0) == (
        config.task_check_interval,
        config.delayed_task_check_interval,
        config.health_check_interval,
    )
    assert (60.0, 0.0, 0) == (
        config.group_grace_period,
        config.group_max_delay,
        config.group_max_size,
    )
    assert (8.0, 100, 3) == (
        config.janitor_interval,
        config.janitor_batch_size,
        config.max_crashes,
    )


def test_durations_may_be_timedeltas() -> None:
    """A duration is seconds, or a timedelta."""
    config = Server(
        URL,
        nothing,
        shutdown_timeout=dt.timedelta(minutes=1),
        lease_duration=dt.timedelta(seconds=30),
    ).config

    assert (60.0, 30.0) == (config.shutdown_timeout, config.lease_duration)


DURATIONS = [
    "task_check_interval",
    "shutdown_timeout",
    "health_check_interval",
    "delayed_task_check_interval",
    "group_grace_period",
    "group_max_delay",
    "janitor_interval",
    "lease_duration",
    "heartbeat_interval",
    "recovery_interval",
]


@pytest.mark.parametrize("name", DURATIONS)
@pytest.mark.parametrize("value", [-1, math.nan, math.inf, "1", None, True, 2**63])
def test_unusable_durations_are_refused(name: str, value: object) -> None:
    """A duration that is negative, not finite, too long or no number is refused by name."""
    with pytest.raises(InvalidOptionError, match=name):
        Server(URL, nothing, **{name: value})  # type: ignore[arg-type]  # That is it.


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("concurrency", 0),
        ("concurrency", -1),
        ("concurrency", 1.5),
        ("concurrency", True),
        ("janitor_batch_size", 0),
        ("group_max_size", -1),
        ("max_crashes", -1),
        ("heartbeat_interval", 0),
        ("group_grace_period", 0.99),
        ("lease_duration", 9.9),
        ("retry_delay", 5),
        ("is_failure", "no"),
        ("error_handler", []),
        ("health_check", 1),
        ("group_aggregator", 1),
        ("lifespan", 1),
        ("base_context", {}),
        ("log_level", "loud"),
    ],
)
def test_unusable_values_are_refused(name: str, value: object) -> None:
    """A value that makes no sense is refused, and the error names the option."""
    with pytest.raises(InvalidOptionError) as caught:
        Server(URL, nothing, **{name: value})  # type: ignore[arg-type]  # That is it.

    assert name == caught.value.option


async def _delay(*_: object) -> float:
    return 1.0


@pytest.mark.parametrize("name", ["retry_delay", "is_failure"])
def test_coroutine_functions_are_refused_where_they_cannot_be_awaited(name: str) -> None:
    """retry_delay and is_failure decide at once: a coroutine would count as true."""
    with pytest.raises(InvalidOptionError, match=name):
        Server(URL, nothing, **{name: _delay})  # type: ignore[arg-type]  # That is it.


@pytest.mark.parametrize("handler", [None, 5, "handler", lambda: None])
def test_unusable_handlers_are_refused(handler: object) -> None:
    """A handler is a router, or a function that takes a task."""
    with pytest.raises(InvalidOptionError):
        Server(URL, handler)  # type: ignore[arg-type]  # That is it.


@pytest.mark.parametrize("redis", [None, 5, "localhost", "http://localhost", ""])
def test_unusable_redis_is_refused(redis: object) -> None:
    """What is neither URL nor client is refused before anything is connected."""
    with pytest.raises(InvalidOptionError, match="redis"):
        Server(redis, nothing)  # type: ignore[arg-type]  # That is it.


def test_replace_changes_options() -> None:
    """`replace` returns a server that differs in what is given, and shares nothing else."""
    router = Router()
    server = Server(URL, router, concurrency=3, queues={"a": 1})
    other = server.replace(concurrency=5)

    assert (5, {"a": 1}) == (other.config.concurrency, other.config.queues)
    assert (3, "new") == (server.config.concurrency, server.state)
    assert other.handler is router


def test_repr_shows_no_credentials() -> None:
    """What a server shows of itself names Redis, without user name and password."""
    server = Server("redis://user:hunter2@example.com:6380/3", nothing, queues={"a": 2, "b": 1})

    assert "<Server new <RedisBroker redis://example.com:6380/3> queues=a=2,b=1>" == repr(server)
