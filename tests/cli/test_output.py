"""What commands print: for a person, for a program, and for a terminal that must not obey it."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from typing import TYPE_CHECKING

import pytest

from headrace import Client, DailyStats, QueueLimits, Task, TaskState
from headrace._cli.output import json_value
from tests.cli.support import inspect, invoke

if TYPE_CHECKING:
    from headrace import Inspector


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b"caf\xc3\xa9", "café"),
        (b'{"a": 1}', '{"a": 1}'),
        (b"\xff", {"base64": "/w=="}),
        (b"", ""),
        (TaskState.RETRY, "retry"),
        (dt.date(2030, 1, 31), "2030-01-31"),
        (QueueLimits(rate=(1, 2)), {"max_active": None, "rate": [1, 2.0]}),
        (
            [DailyStats(queue="q", date=dt.date(2030, 1, 1), processed=1, failed=0)],
            [{"queue": "q", "date": "2030-01-01", "processed": 1, "failed": 0}],
        ),
        ({"a": (None, True, 1.5)}, {"a": [None, True, 1.5]}),
    ],
)
def test_json_values(value: object, shown: object) -> None:
    """Names of fields; text for bytes, or base64 where they are none."""
    assert json_value(value) == shown
    assert json.loads(json.dumps(json_value(value))) == shown


def test_names_that_command_a_terminal(memory_url: str) -> None:
    """Whatever another program has put into Redis is shown with its controls escaped."""
    evil = "\x1b]0;owned\x07"

    async def plant() -> None:
        async with Client(memory_url) as client:
            await client.enqueue(Task("t", evil.encode()), headers={"h": evil}, task_id="one")

    asyncio.run(plant())
    shown = [
        invoke("--redis", memory_url, "task", "ls"),
        invoke("--redis", memory_url, "task", "inspect", "one"),
        invoke("--redis", memory_url, "task", "inspect", evil),
        invoke("--redis", memory_url, "queue", "inspect", evil),
        invoke("--redis", memory_url, "schedule", "pause", evil),
    ]

    assert all("\x1b" not in done.out + done.err for done in shown)
    assert all("\\x1b" in done.out + done.err for done in shown)


def test_redis_info(redis_url: str, memory_url: str) -> None:
    """Redis tells of itself; the embedded one does not."""

    async def ask(inspector: Inspector) -> dict[str, str]:
        return await inspector.redis_info()

    assert "redis_version" in inspect(redis_url, ask)
    assert inspect(memory_url, ask) == {}


def test_long_payload_leaves_room_for_the_rest(memory_url: str) -> None:
    """On a narrow terminal IDs stay whole, and what is long is cut to one line."""

    async def plant() -> None:
        async with Client(memory_url) as client:
            await client.enqueue(Task("a:type", {"text": "x" * 500}))

    asyncio.run(plant())
    shown = invoke("task", "ls", "--redis", memory_url, COLUMNS="80").out
    [info] = invoke("task", "ls", "--redis", memory_url, "--json").json

    heading, row = shown.splitlines()
    assert heading.split() == ["ID", "TYPE", "PAYLOAD", "TRIES"]
    assert row.split()[:2] == [info["id"], "a:type"]
    assert row.endswith("0/25")
    assert "…" in row
