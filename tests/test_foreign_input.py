"""What other programs, or accidents, leave in Redis: read without harm to anybody else."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from headrace import Client, Server, Task, TaskState
from headrace._message import MAX_ERROR_CHARS
from tests.support.wire import encode, members, message_of, plant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.wire import RawClient


ROTTEN = {
    "empty": b"",
    "random": b"\xff\xfe\x00\x80",
    "truncated": encode("x", "default")[:-1],
    "text": b"not a message",
    "oversized": b"\x12\xff\xff\xff\x7f" + b"x" * 2_000_000,
    "another": encode("another", "default"),
}


class Collector:
    """A handler that notes what it gets, and says when it has all."""

    def __init__(self, *wanted: str) -> None:
        self.missing = set(wanted)
        self.complete = asyncio.Event()

    async def __call__(self, task: Task) -> None:
        """Note a task, by the name in its payload."""
        self.missing.discard(task.payload.decode())
        if not self.missing:
            self.complete.set()


def summed(_group: str, tasks: Sequence[Task]) -> Task:
    """Aggregate."""
    return Task("sum", b"+".join(task.payload for task in tasks))


async def plant_mixed(raw: RawClient, data: bytes) -> tuple[list[str], list[str]]:
    """Plant a message that cannot be read beside a good one in every state; name both."""
    states = ["pending", "scheduled", "retry", "active", "aggregating"]
    for state in states:
        group = "g" if state == "aggregating" else ""
        bad, good = f"bad-{state}", f"good-{state}"
        await plant(raw, "default", bad, state, data=data, score=1, group=group)
        message = encode(good, "default", payload=good.encode(), group_key=group)
        await plant(raw, "default", good, state, data=message, score=1, group=group)
    return [f"good-{state}" for state in states], [f"bad-{state}" for state in states]


@pytest.mark.parametrize("data", ROTTEN.values(), ids=ROTTEN)
async def test_rotten_messages_stop_nobody(broker_url: str, raw: RawClient, data: bytes) -> None:
    """Whatever state they are in, the others run; they end in the archive as they are."""
    good, bad = await plant_mixed(raw, data)
    collector = Collector(*good)
    server = Server(
        broker_url,
        collector,
        delayed_task_check_interval=0.05,
        recovery_interval=0.05,
        group_aggregator=summed,
        group_grace_period=1,
        shutdown_timeout=5,
    )
    async with server:
        await asyncio.wait_for(collector.complete.wait(), 60)

    assert sorted(bad) == sorted(await members(raw, "asynq:{default}:archived"))
    kept = await raw.execute_command("HGET", "asynq:{default}:t:bad-pending", "msg")
    assert data == kept


async def test_unknown_fields_survive(broker_url: str, raw: RawClient) -> None:
    """What a newer program wrote into a message is there after a failure of ours."""
    newer = b"\xfa\x3e\x03new"  # Field 1007.
    await plant(raw, "default", "a", data=encode("a", "default", payload=b"p") + newer)

    async def fail(_task: Task) -> None:
        raise ValueError("oh")

    async with Client(broker_url) as client, Server(broker_url, fail, retry_delay=_an_hour):
        await until_state(client, "a", TaskState.RETRY)
    data = await raw.execute_command("HGET", "asynq:{default}:t:a", "msg")

    assert isinstance(data, bytes)
    assert data.endswith(newer)
    message = await message_of(raw, "default", "a")
    assert (1, b"p") == (message.retried, message.payload)


def _an_hour(_retried: int, _error: BaseException, _task: Task) -> float:
    return 3_600


async def until_state(client: Client, task_id: str, state: TaskState) -> None:
    """Wait until a task has come so far."""
    async with asyncio.timeout(60):
        while (await client.get_task(task_id)).state is not state:  # noqa: ASYNC110 - sets no event
            await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    "text", ["x" * 100_000_000, "\ud800\udfff", "\x1b[31m\x00", "🚰" * 20_000], ids=lambda t: t[:1]
)
async def test_error_texts(broker_url: str, text: str) -> None:
    """However long or odd an error is, what is kept of it is short, and can be read."""

    async def fail(_task: Task) -> None:
        raise RuntimeError(text)

    async with Client(broker_url) as client, Server(broker_url, fail):
        await client.enqueue(Task("t"), task_id="a", max_retry=0)
        await until_state(client, "a", TaskState.ARCHIVED)
        info = await client.get_task("a")

    assert info.last_error.startswith("RuntimeError: ")
    assert len(info.last_error) <= MAX_ERROR_CHARS + 100
    info.last_error.encode()
