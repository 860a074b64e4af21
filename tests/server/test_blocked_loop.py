"""A handler that blocks the event loop: its task stays its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from typing import TYPE_CHECKING

import redis

from headrace import Client, Server, Task, TaskState
from headrace._broker.keys import QueueKeys
from tests.server.helpers import PATIENCE, Watch, job, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

    from headrace import ServerOptions

KEYS = QueueKeys("default")
LEASE = 4
"""Seconds. Long enough for a machine that stalls for a second or two."""
BRISK: ServerOptions = {
    "lease_duration": LEASE,
    "heartbeat_interval": 0.25,
    "recovery_interval": 0.1,
}
"""Options of servers that soon see what has become of each other's tasks."""


@contextlib.contextmanager
def other_server(url: str, got: list[bytes]) -> Iterator[None]:
    """Have another server on the same queue, in an event loop of its own that nothing blocks."""
    loop = asyncio.new_event_loop()
    ready, end = threading.Event(), asyncio.Event()

    async def handler(task: Task) -> None:
        got.append(task.payload)

    async def run() -> None:
        async with Server(url, handler, **BRISK):
            ready.set()
            await end.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    try:
        assert ready.wait(PATIENCE)
        yield
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join()
        loop.close()


async def test_blocked_loop_keeps_its_task(
    redis_url: str, watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody else gets the task of a handler that blocks the loop; the log shows where it is."""
    caplog.set_level(logging.INFO, logger="headrace")
    stolen: list[bytes] = []
    extended: list[float] = []

    async def blocking(task: Task) -> None:
        give_up = time.monotonic() + PATIENCE
        with contextlib.closing(redis.Redis.from_url(redis_url)) as probe:
            first = probe.zscore(KEYS.lease, task_id)
            assert isinstance(first, float)
            # It blocks the loop for longer than the lease that it began with.
            while time.monotonic() < give_up and (not extended or extended[-1] < first + LEASE):
                time.sleep(0.05)  # noqa: ASYNC251 - that is it
                extended.append(float(probe.zscore(KEYS.lease, task_id) or 0))

    async with Client(redis_url) as client:
        info = await client.enqueue(job("mine"), retention=60)
        task_id = info.id
        options: ServerOptions = {**BRISK, "state_prober": watch.prober}
        async with serving(redis_url, blocking, **options):
            # The other one must come second, or it takes the task at once.
            await watch.until(info, TaskState.ACTIVE)
            with other_server(redis_url, stolen):
                await client.result(info, timeout=PATIENCE)
        crashes = await client._broker._link.commands.one(
            ("HGET", KEYS.task(info.id), "hr:crashes")
        )

    assert [] == stolen
    assert crashes is None
    assert extended == sorted(extended)
    [line] = [one for one in caplog.records if "event loop has been blocked" in one.getMessage()]
    assert "blocking" in line.getMessage()
    assert __file__ in line.getMessage()
