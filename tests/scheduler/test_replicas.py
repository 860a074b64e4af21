"""Defect 17 of the wire's description: replicas of a scheduler each enqueue every tick."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from headrace import Scheduler, Task

if TYPE_CHECKING:
    from tests.support.wire import RawClient


async def test_defect_17_replicas_enqueue_a_tick_once(broker_url: str, raw: RawClient) -> None:
    """Go's schedulers each enqueue every tick: three of them, three tasks."""
    enqueued = asyncio.Queue[str]()
    schedulers = [
        Scheduler(
            broker_url,
            post_enqueue=lambda info, _error: enqueued.put_nowait(info.id if info else "refused"),
        )
        for _ in range(3)
    ]
    for scheduler in schedulers:
        scheduler.register("@every 1s", Task("t"), entry_id="e")
        await scheduler.start()
    async with asyncio.timeout(60):
        told = [await enqueued.get() for _ in range(3)]
    for scheduler in schedulers:
        await scheduler.shutdown()

    listed = await raw.execute_command("LRANGE", "asynq:{default}:pending", 0, -1)
    ids = [task_id.decode() for task_id in cast("list[bytes]", listed)]
    sinces = [
        await raw.execute_command("HGET", f"asynq:{{default}}:t:{task_id}", "pending_since")
        for task_id in ids
    ]
    seconds = {int(cast("bytes", since)) // 10**9 for since in sinces}
    assert "refused" not in told
    assert set(told) <= set(ids)
    assert len(seconds) == len(ids)
