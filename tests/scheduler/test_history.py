"""The history of an entry's enqueues."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace import Inspector, SchedulerEnqueueEvent
from headrace._broker.redis import RedisBroker
from headrace._broker.schedules import HISTORY_SIZE, EnqueuedAt
from headrace._fleet_message import encode_scheduler_event

if TYPE_CHECKING:
    from tests.support.wire import RawClient

START = 1_700_000_000


async def test_the_last_thousand_enqueues_are_kept(broker_url: str, raw: RawClient) -> None:
    """Older ones go as new ones come; what an entry leaves behind ends by itself."""
    broker = RedisBroker(broker_url)
    await broker.record_enqueues(
        [
            EnqueuedAt("entry", encode_scheduler_event(event), event.enqueue_time)
            for event in (
                SchedulerEnqueueEvent(f"task-{n}", START + n) for n in range(HISTORY_SIZE + 3)
            )
        ]
    )
    await broker.close()

    async with Inspector(broker_url) as inspector:
        newest = (await inspector.enqueue_events("entry"))[0]
    key = "asynq:scheduler_history:entry"
    assert HISTORY_SIZE == await raw.execute_command("ZCARD", key)
    assert 0 == await raw.execute_command("ZCOUNT", key, 0, START + 2)
    assert SchedulerEnqueueEvent("task-1002", START + 1002) == newest
    assert 0 < int(str(await raw.execute_command("TTL", key)))
