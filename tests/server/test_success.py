"""What becomes of a task whose handler succeeds, and of its result."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from headrace import (
    Client,
    Inspector,
    Router,
    Task,
    TaskContext,
    TaskFailedError,
    TaskNotFoundError,
    TaskProgress,
    TaskState,
)
from tests.server.helpers import counters, eventually, queue_stats, serving

if TYPE_CHECKING:
    from tests.server.helpers import Watch


async def test_done_task_is_deleted(broker_url: str, client: Client, watch: Watch) -> None:
    """A task without retention is gone once its handler has returned, and counted."""

    async def handler(task: Task) -> None:
        pass

    async with serving(broker_url, handler, state_prober=watch.prober):
        info = await client.enqueue(Task("t"))
        await watch.until(info, TaskState.COMPLETED)

    with pytest.raises(TaskNotFoundError):
        await client.get_task(info.id)
    assert (1, 0) == await counters(client)


async def test_retention_keeps_the_result(broker_url: str, client: Client, watch: Watch) -> None:
    """What a handler returns is kept as the result, as JSON, while retention lasts."""
    router = Router()

    @router.task("sum", retention=60)
    async def add(a: int, b: int) -> dict[str, int]:
        return {"sum": a + b}

    async with serving(broker_url, router, state_prober=watch.prober):
        info = await client.enqueue(add.task(a=2, b=3))
        assert {"sum": 5} == await client.result(info, timeout=60)

    report = await client.get_task(info.id)
    assert TaskState.COMPLETED == report.state
    assert report.completed_at is not None
    assert (1, 0) == await counters(client)


async def test_empty_result_is_none(broker_url: str, client: Client) -> None:
    """No bytes are no JSON: as a result they count as none, unless somebody decodes them."""

    async def nothing(task: Task) -> bytes:
        return b""

    async with serving(broker_url, nothing):
        info = await client.enqueue(Task("t"), retention=60)
        assert await client.result(info, timeout=60) is None
        assert b"" == await client.result(info, timeout=60, decode=bytes)


async def test_retention_ends(broker_url: str, client: Client, watch: Watch) -> None:
    """When its retention has ended, a completed task is deleted."""

    async def handler(task: Task) -> None:
        pass

    async def is_gone() -> bool:
        return not (await queue_stats(client))[0].completed

    async with serving(broker_url, handler, state_prober=watch.prober, janitor_interval=0.05):
        info = await client.enqueue(Task("t"), retention=1)
        await watch.until(info, TaskState.COMPLETED)
        await eventually(is_gone)


async def test_handler_writes_its_result(broker_url: str, client: Client, watch: Watch) -> None:
    """Bytes may be written as the result while the handler runs."""

    async def handler(task: Task, context: TaskContext) -> None:
        await context.write_result(b"first")
        await context.write_result(b"\xff second")

    async with serving(broker_url, handler, state_prober=watch.prober):
        info = await client.enqueue(Task("t"), retention=60)
        assert b"\xff second" == await client.result(info, timeout=60, decode=bytes)


async def test_returned_value_replaces_what_was_written(broker_url: str, client: Client) -> None:
    """A value that is returned takes the place of what was written before."""

    async def handler(task: Task, context: TaskContext) -> str:
        await context.write_result(b'"draft"')
        return "final"

    async with serving(broker_url, handler):
        info = await client.enqueue(Task("t"), retention=60)
        assert "final" == await client.result(info, timeout=60)


async def test_progress_can_be_seen(broker_url: str, client: Client, watch: Watch) -> None:
    """Whoever asks for the task, or lists those that run, sees what its handler reported last."""
    reported, proceed = asyncio.Event(), asyncio.Event()

    async def handler(task: Task, context: TaskContext) -> None:
        await context.progress(0.25)
        await context.progress(0.5, "half way")
        reported.set()
        await proceed.wait()

    async with serving(broker_url, handler, state_prober=watch.prober):
        info = await client.enqueue(Task("t"))
        await reported.wait()
        seen = await client.get_task(info.id)
        async with Inspector(broker_url) as inspector:
            [listed] = await inspector.list_tasks("default", "active")
        proceed.set()

    assert info.progress is None
    assert TaskProgress(0.5, "half way") == seen.progress == listed.progress


async def test_progress_that_cannot_be_read_is_none(memory_url: str) -> None:
    """What another program wrote in its place hinders nobody."""
    async with Client(memory_url) as client:
        info = await client.enqueue(Task("t"))
        for rubbish in (b"", b"\xff", b"[]", b'{"fraction": "x", "note": ""}'):
            key = f"asynq:{{default}}:t:{info.id}"
            await client._broker._link.commands.one(("HSET", key, "hr:progress", rubbish))
            assert (await client.get_task(info.id)).progress is None


async def test_value_that_json_cannot_carry_fails(
    broker_url: str, client: Client, watch: Watch
) -> None:
    """A result that cannot be stored is a failure that says so."""

    async def handler(task: Task) -> object:
        return object()

    async with serving(broker_url, handler, state_prober=watch.prober):
        info = await client.enqueue(Task("t"), retention=60, max_retry=0)
        with pytest.raises(TaskFailedError, match="cannot be stored"):
            await client.result(info, timeout=60)
