"""Payloads and headers: they arrive as they were, or are refused and nothing is written."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

import pytest

from headrace import Client, Server, Task
from headrace._errors import InvalidOptionError, PayloadTooLargeError
from tests.support.refusal import refuse
from tests.support.wire import members

if TYPE_CHECKING:
    from tests.support.wire import RawClient


async def test_payload_over_the_limit(raw: RawClient, broker_url: str) -> None:
    """1 MB by default, less or more if wanted, and None for no limit; none of a batch is kept."""
    mega = 1_048_576
    async with Client(broker_url) as client:
        await client.enqueue(Task("t", b"x" * mega), task_id="fits")
        with pytest.raises(PayloadTooLargeError) as caught:
            await client.enqueue(Task("t", b"x" * (mega + 1)))
        assert (mega + 1, mega) == (caught.value.size, caught.value.limit)
        with pytest.raises(PayloadTooLargeError):
            await client.enqueue_many([Task("t", b"y"), Task("t", b"x" * (mega + 1))])
    async with Client(broker_url, max_payload_size=10) as client:
        with pytest.raises(PayloadTooLargeError, match="11 bytes"):
            await client.enqueue(Task("t", "ü" * 4 + "x"))  # Quoted, as JSON.
    async with Client(broker_url, max_payload_size=None) as client:
        await client.enqueue(Task("t", b"x" * (mega + 1)), task_id="unlimited")
    async with Client(broker_url, max_payload_size=0) as client:
        await client.enqueue(Task("t"), task_id="nothing")
        with pytest.raises(PayloadTooLargeError):
            await client.enqueue(Task("t", b"x"))

    written = await members(raw, "asynq:{default}:pending")
    assert ["nothing", "unlimited", "fits"] == written


@pytest.mark.parametrize("limit", [-1, 1.5, True, "1 MB", math.inf])
def test_bad_limit(limit: object) -> None:
    """A limit is a number of bytes."""
    with pytest.raises(InvalidOptionError, match="max_payload_size"):
        Client("memory://", max_payload_size=limit)  # type: ignore[arg-type]


def endless() -> list[object]:
    """Return a list that contains itself."""
    items: list[object] = []
    items.append(items)
    return items


def deep() -> list[object]:
    """Return a list that is nested deeper than anybody can follow."""
    items: list[object] = []
    for _ in range(100_000):
        items = [items]
    return items


@pytest.mark.parametrize(
    "payload",
    [math.nan, {"x": math.inf}, object(), {"a": {1, 2}}, {b"k": 1}, "\ud800", endless(), deep()],
    ids=["nan", "inf", "object", "set", "key", "surrogate", "endless", "deep"],
)
def test_payload_that_is_not_json(payload: object) -> None:
    """What JSON cannot carry is refused when the task is made."""
    with pytest.raises(InvalidOptionError, match="payload") as caught:
        Task("t", payload)  # type: ignore[arg-type]  # That is the point.
    assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x00",
        bytes(range(256)) * 4_096,
        "größe 🚰".encode(),
        bytearray(b"x"),
        memoryview(b"y"),
    ],
    ids=["empty", "nul", "1 MB", "text", "bytearray", "memoryview"],
)
async def test_bytes_make_the_round_trip(broker_url: str, payload: bytes) -> None:
    """Every byte arrives as it was."""
    assert bytes(payload) == (await received(broker_url, Task("t", payload))).payload


@pytest.mark.parametrize(
    "payload", [{"größe": "🚰", "n": 1}, "", [], {}, 0, False, [None, 1.5, "\u2028\x00"]], ids=repr
)
async def test_json_makes_the_round_trip(broker_url: str, payload: object) -> None:
    """So does every value that JSON can carry."""
    task = await received(broker_url, Task("t", payload))  # type: ignore[arg-type]  # JSON values.

    assert payload == task.json()


async def received(broker_url: str, task: Task) -> Task:
    """Return *task* as a handler gets it."""
    seen: asyncio.Queue[Task] = asyncio.Queue()
    async with Client(broker_url) as client, Server(broker_url, seen.put):
        await client.enqueue(task)
        return await asyncio.wait_for(seen.get(), 60)


async def test_headers_make_the_round_trip(broker_url: str) -> None:
    """Any text does, also what is empty, long, or looks like something else."""
    headers = {"größe": "🚰", "": "", "a\nb": "\x00\x1b[0m", "long": "x" * 100_000}

    assert headers == dict((await received(broker_url, Task("t", headers=headers))).headers)


@pytest.mark.parametrize(
    "headers",
    ["k=v", [("k", "v")], {"k": 1}, {1: "v"}, {"k": None}, {"k": "\ud800"}, {"k": b"v"}],
    ids=repr,
)
async def test_bad_headers(raw: RawClient, client: Client, headers: object) -> None:
    """Headers are text that UTF-8 can carry."""
    await refuse(raw, client, Task("t"), {"headers": headers})


@pytest.mark.parametrize("task", [None, "t", b"t", {"type": "t"}, Task], ids=repr)
async def test_not_a_task(raw: RawClient, client: Client, task: object) -> None:
    """Something else than a task is refused, also amidst others."""
    with pytest.raises(InvalidOptionError, match="task"):
        await client.enqueue(task)  # type: ignore[arg-type]
    with pytest.raises(InvalidOptionError, match="task"):
        await client.enqueue_many([Task("t"), task])  # type: ignore[list-item]
    assert await raw.execute_command("DBSIZE") == 0
