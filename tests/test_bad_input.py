"""Bad input: refused with a clear error and nothing written, or read without harm."""

from __future__ import annotations

import asyncio
import datetime as dt
import math
from typing import TYPE_CHECKING

import pytest

from headrace import Client, Server, Task, TaskState
from headrace._errors import (
    BrokerError,
    HeadraceError,
    InvalidOptionError,
    TaskNotFoundError,
)
from tests.support.refusal import refuse
from tests.support.wire import dump, members

if TYPE_CHECKING:
    from tests.support.wire import RawClient

BAD_NAMES = {
    "empty": "",
    "blank": " \t ",
    "newline": "a\nb",
    "nul": "a\x00b",
    "escape": "\x1b[31m",
    "delete": "\x7f",
    "c1": "\x9b31m",
    "surrogate": "a\ud800",
    "10kB": "x" * 10_240,
    "513 bytes": "ü" * 256 + "x",
    "bytes": b"name",
    "number": 7,
    "list": ["a"],
}
BRACES = {"open": "a{b", "close": "a}b", "both": "{a}"}
GOOD_NAMES = ["a", "🚰", "größe", "a:b c/d", "x" * 512, "*?[a]\\", "<script>", "日本語"]
NO_DURATIONS = {
    "negative": -1,
    "nan": math.nan,
    "inf": math.inf,
    "-inf": -math.inf,
    "2^63": 2**63,
    "huge": 10**400,
    "bool": True,
    "text": "5",
    "list": [5],
    "negative timedelta": dt.timedelta(seconds=-1),
    "longest timedelta": dt.timedelta.max,
}
NO_INSTANTS = {
    "naive": dt.datetime(2030, 1, 1),  # noqa: DTZ001 - that is the point
    "first datetime": dt.datetime.min.replace(tzinfo=dt.UTC),
    "last datetime": dt.datetime.max.replace(tzinfo=dt.UTC),
    "zero": 0,
    "before 1970": -1.0,
    "first second": 0.5,
    "nan": math.nan,
    "inf": math.inf,
    "2^63": 2**63,
    "milliseconds": 1_700_000_000_000,
    "bool": True,
    "text": "2030-01-01",
    "date": dt.date(2030, 1, 1),
    "timedelta": dt.timedelta(days=1),
}


# --- Names ---------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["queue", "task_id", "group"])
@pytest.mark.parametrize("value", BAD_NAMES.values(), ids=BAD_NAMES)
async def test_bad_name(raw: RawClient, client: Client, option: str, value: object) -> None:
    """A name that is blank, too long, not text or not to be shown is refused."""
    await refuse(raw, client, Task("t"), {option: value})


@pytest.mark.parametrize("value", BRACES.values(), ids=BRACES)
async def test_queue_with_braces(raw: RawClient, client: Client, value: str) -> None:
    """Braces mark the queue within Redis keys: in its name they would lead elsewhere."""
    await refuse(raw, client, Task("t"), {"queue": value})


@pytest.mark.parametrize("value", BAD_NAMES.values(), ids=BAD_NAMES)
def test_bad_type(value: object) -> None:
    """A type must be a name, too."""
    with pytest.raises(InvalidOptionError, match="type"):
        Task(value)  # type: ignore[arg-type]  # That is the point.


@pytest.mark.parametrize("name", [*GOOD_NAMES, "{a}"])
async def test_good_names_make_the_round_trip(broker_url: str, name: str) -> None:
    """Everything else is a name: of a type, an ID, a group and, without braces, of a queue."""
    queue = name.strip("{}")
    seen: asyncio.Queue[Task] = asyncio.Queue()
    async with Client(broker_url) as client, Server(broker_url, seen.put, queues={queue: 1}):
        info = await client.enqueue(Task(name), queue=queue, task_id=name, retention=60)
        assert (name, queue) == (info.id, info.queue)
        task = await asyncio.wait_for(seen.get(), 60)
        assert await client.result(info, timeout=60) is None
        grouped = await client.enqueue(Task(name), queue=queue, group=name)
        assert grouped.group == name

    assert task.type == name


@pytest.mark.parametrize("value", [*BAD_NAMES.values(), *BRACES.values()])
async def test_bad_names_are_not_looked_up(client: Client, value: object) -> None:
    """Nor are they worth a question to Redis."""
    with pytest.raises(InvalidOptionError):
        await client.get_task("a", queue=value)  # type: ignore[arg-type]  # That is the point.
    if value not in BRACES.values():
        with pytest.raises(InvalidOptionError):
            await client.get_task(value)  # type: ignore[arg-type]
        with pytest.raises(InvalidOptionError):
            await client.result(value, timeout=1)  # type: ignore[call-overload]


async def test_unknown_task(client: Client) -> None:
    """An ID that nobody has is no bad input."""
    with pytest.raises(TaskNotFoundError):
        await client.result("a", timeout=1)


@pytest.mark.parametrize("queue", [*BAD_NAMES.values(), *BRACES.values()])
def test_server_refuses_bad_queues(queue: object) -> None:
    """A server with a queue that cannot be is an error, not silence."""
    with pytest.raises((InvalidOptionError, TypeError)):
        Server("memory://", print, queues={queue: 1})  # type: ignore[dict-item]


@pytest.mark.parametrize("weight", [0, -1, 1.5, True, "1", None, math.nan])
def test_server_refuses_bad_weights(weight: object) -> None:
    """A weight is a whole number from 1."""
    with pytest.raises(InvalidOptionError, match=r"queues\['q'\]"):
        Server("memory://", print, queues={"q": weight})  # type: ignore[dict-item]


# --- Durations and instants ----------------------------------------------------------------


@pytest.mark.parametrize("option", ["timeout", "unique", "retention", "process_in"])
@pytest.mark.parametrize("value", NO_DURATIONS.values(), ids=NO_DURATIONS)
async def test_bad_duration(raw: RawClient, client: Client, option: str, value: object) -> None:
    """What is negative, endless or no number is no duration."""
    await refuse(raw, client, Task("t"), {option: value})


@pytest.mark.parametrize("option", ["timeout", "unique", "retention"])
@pytest.mark.parametrize("value", [0.5, 1.5, dt.timedelta(seconds=0.5)], ids=str)
async def test_fraction_of_a_second(
    raw: RawClient, client: Client, option: str, value: object
) -> None:
    """The wire holds whole seconds: half a one must not become none, which means no limit."""
    await refuse(raw, client, Task("t"), {option: value})


@pytest.mark.parametrize("option", ["timeout", "unique"])
async def test_no_duration_at_all(raw: RawClient, client: Client, option: str) -> None:
    """0 would be a limit that nothing meets, or no limit: whoever means none leaves it out."""
    await refuse(raw, client, Task("t"), {option: 0})


async def test_good_durations(client: Client) -> None:
    """Seconds and timedeltas mean the same; only waiting takes fractions."""
    info = await client.enqueue(
        Task("t"),
        timeout=dt.timedelta(minutes=1),
        retention=dt.timedelta(days=365 * 50),
        unique=60.0,
        process_in=dt.timedelta(seconds=59.5),
    )

    assert (60, 365 * 50 * 86_400) == (info.timeout, info.retention)
    assert info.state is TaskState.SCHEDULED


@pytest.mark.parametrize("option", ["deadline", "process_at"])
@pytest.mark.parametrize("value", NO_INSTANTS.values(), ids=NO_INSTANTS)
async def test_bad_instant(raw: RawClient, client: Client, option: str, value: object) -> None:
    """What has no time zone, or lies where no clock goes, is no instant."""
    await refuse(raw, client, Task("t"), {option: value})


async def test_good_instants(client: Client) -> None:
    """Any time zone will do, and Unix seconds."""
    zone = dt.timezone(dt.timedelta(hours=-5, minutes=-30))
    at = dt.datetime(2100, 2, 28, 23, 59, 59, 500_000, tzinfo=zone)
    info = await client.enqueue(Task("t"), process_at=at, deadline=at.timestamp() + 60)

    assert info.next_process_at == math.ceil(at.timestamp())
    assert info.deadline == int(at.timestamp()) + 60


async def test_two_times_at_once(raw: RawClient, client: Client) -> None:
    """process_at and process_in contradict each other."""
    with pytest.raises(InvalidOptionError, match="choose one"):
        await client.enqueue(Task("t"), process_in=1, process_at=2_000_000_000)
    assert await raw.execute_command("DBSIZE") == 0


@pytest.mark.parametrize("value", [1.0, 1.5, True, "3", 2**31, 2**63, math.nan, math.inf])
async def test_bad_max_retry(raw: RawClient, client: Client, value: object) -> None:
    """A number of retries is a whole one that the wire can carry."""
    await refuse(raw, client, Task("t"), {"max_retry": value})


async def test_negative_max_retry(client: Client) -> None:
    """As in asynq, it means none."""
    assert (await client.enqueue(Task("t"), max_retry=-5)).max_retry == 0


async def test_unknown_option(raw: RawClient, client: Client) -> None:
    """A misspelt option is not dropped in silence."""
    await refuse(raw, client, Task("t"), {"time_out": 5})


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *((name, math.nan) for name in ("lease_duration", "shutdown_timeout", "janitor_interval")),
        *((name, -1) for name in ("shutdown_timeout", "group_max_delay", "group_max_size")),
        *((name, 0) for name in ("task_check_interval", "concurrency", "janitor_batch_size")),
        ("concurrency", True),
        ("concurrency", 1.0),
        ("group_grace_period", 0.5),
        ("lease_duration", 5),
        ("heartbeat_interval", 2**63),
        ("queues", {}),
        ("queues", ["default"]),
    ],
)
def test_server_refuses_bad_settings(option: str, value: object) -> None:
    """A server that could not work is not built."""
    with pytest.raises(InvalidOptionError, match=option):
        Server("memory://", print, **{option: value})  # type: ignore[arg-type]


# --- What Redis refuses --------------------------------------------------------------------


async def test_keys_of_other_types_are_a_clear_error(raw: RawClient, client: Client) -> None:
    """The error names what it is about, and nothing was written."""
    await raw.execute_command("SET", "asynq:{default}:t:mine", "x")
    await raw.execute_command("SADD", "asynq:{low}:pending", "x")
    before = await dump(raw)

    with pytest.raises(BrokerError, match="mine") as caught:
        await client.enqueue(Task("t"), task_id="mine")
    assert (caught.value.code, caught.value.retryable) == ("WRONGTYPE", False)
    with pytest.raises(BrokerError, match="holds something else"):
        await client.enqueue(Task("t"), queue="low")
    assert await dump(raw) == before


async def test_errors_of_a_batch_are_told_one_by_one(raw: RawClient, client: Client) -> None:
    """What cannot be written hinders nobody else in its batch."""
    await raw.execute_command("SET", "asynq:{default}:t:bad", "x")
    tasks = [Task("t", task_id=name) for name in ("a", "bad", "b", "a")]
    results = await client.enqueue_many(tasks, return_errors=True)

    kinds = [isinstance(result, HeadraceError) for result in results]
    assert [False, True, False, True] == kinds
    assert ["b", "a"] == await members(raw, "asynq:{default}:pending")
