"""Workers that are killed, or stand still: others finish their tasks."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from typing import TYPE_CHECKING

from headrace import Client, TaskState
from headrace._broker.keys import QueueKeys
from tests.process.conftest import enqueue
from tests.server.helpers import queue_stats
from tests.support.processes import begun_not_ended, first_after

if TYPE_CHECKING:
    from pathlib import Path

    from headrace import QueueStats
    from tests.process.conftest import StartWorker
    from tests.support.processes import Journal
    from tests.support.redis_server import RedisServer

log = logging.getLogger(__name__)

KEYS = QueueKeys("default")
QUICK = {"lease_duration": 1, "heartbeat_interval": 0.25, "recovery_interval": 0.2}
RESTART_BOUND = 20.0
"""Seconds within which an interrupted task is to run again, with the default settings."""


def stats(url: str) -> QueueStats:
    """Return what the queue holds."""

    async def run() -> QueueStats:
        async with Client(url) as client:
            return (await queue_stats(client))[0]

    return asyncio.run(run())


def until_empty(url: str) -> QueueStats:
    """Wait until the queue holds no task; return what it counted."""
    give_up = time.monotonic() + 30
    while (found := stats(url)).size and time.monotonic() < give_up:
        time.sleep(0.05)  # There is no event to wait for: the last end is just being written.
    return found


def test_killed_worker_with_default_settings(
    redis_url: str,
    journal: Journal,
    start_worker: StartWorker,
) -> None:
    """Killed in the middle of 500 tasks: another worker ends all, and begins again within 20 s."""
    ids = {info.id for info in enqueue(redis_url, 500, 0.5)}
    first = start_worker(redis_url, concurrency=50).wait_until_ready()
    second = start_worker(redis_url, concurrency=50).wait_until_ready()
    journal.until("begin", 120)
    killed_at = first.send(signal.SIGKILL)
    first.wait()
    interrupted = begun_not_ended(journal, first.pid)
    journal.until("end", 500, distinct=True, timeout=60)
    counted = until_empty(redis_url)

    begins = journal.events("begin", second.pid)
    again = {task: first_after(begins, task, killed_at) for task in interrupted}
    times = sorted(event.at - killed_at for event in again.values() if event is not None)
    log.info("%d tasks began again %.1f to %.1f s after the kill", len(times), times[0], times[-1])
    assert ids == journal.tasks("end")
    assert None not in again.values()
    assert times[-1] <= RESTART_BOUND
    assert (0, 500, 0) == (counted.size, counted.processed, counted.failed)


def test_killed_worker_with_short_leases(
    redis_url: str, journal: Journal, start_worker: StartWorker
) -> None:
    """A second worker that starts only after the kill finishes every task just the same."""
    ids = {info.id for info in enqueue(redis_url, 200, 0.2)}
    first = start_worker(redis_url, concurrency=20, **QUICK).wait_until_ready()
    journal.until("begin", 50)
    first.send(signal.SIGKILL)
    first.wait()
    interrupted = begun_not_ended(journal, first.pid)
    start_worker(redis_url, concurrency=50, **QUICK)
    journal.until("end", 200, distinct=True)
    counted = until_empty(redis_url)

    assert interrupted
    assert ids == journal.tasks("end")
    assert (0, 200) == (counted.size, counted.processed)


def test_task_that_kills_its_worker_is_archived(
    redis_url: str, redis_server: RedisServer, journal: Journal, start_worker: StartWorker
) -> None:
    """A task whose worker dies every time is archived, and spends no retries before that."""
    [poison] = enqueue(redis_url, 1, 0, type="die")
    for crashes in (1, 2):
        worker = start_worker(redis_url, max_crashes=2, **QUICK)
        assert -signal.SIGKILL == worker.wait()
        assert crashes == len(journal.events("begin"))
    start_worker(redis_url, max_crashes=2, **QUICK).wait_until_ready()
    with redis_server.client() as probe:
        while not probe.zcard(KEYS.archived):
            time.sleep(0.05)  # Recovery sets no event.

    async def report() -> tuple[object, ...]:
        async with Client(redis_url) as client:
            info = await client.get_task(poison.id)
            return info.state, info.retried, info.last_error

    state, retried, error = asyncio.run(report())
    assert (TaskState.ARCHIVED, 0) == (state, retried)
    assert "its worker died 2 times" in str(error)
    assert 2 == len(journal.events("begin"))


def test_woken_zombie_changes_nothing(
    redis_url: str, journal: Journal, start_worker: StartWorker, tmp_path: Path
) -> None:
    """A worker that stood still past its lease finds its task taken, and writes nothing."""
    first = start_worker(redis_url, **QUICK).wait_until_ready()
    [info] = enqueue(redis_url, 1, tmp_path / "mark", type="once", retention=3600)
    journal.until("begin", 1, pid=first.pid)
    first.send(signal.SIGSTOP)
    second = start_worker(redis_url, **QUICK)
    journal.until("end", 1, pid=second.pid)
    first.send(signal.SIGCONT)
    journal.until("cancelled", 1, pid=first.pid)

    async def result() -> object:
        async with Client(redis_url) as client:
            return await client.result(info, timeout=60)

    assert second.pid == asyncio.run(result())
    first.send(signal.SIGTERM)
    assert 0 == first.wait()
    assert second.pid == asyncio.run(result())
    assert 1 == stats(redis_url).processed


def test_zombie_that_finishes_is_refused(
    redis_url: str, journal: Journal, start_worker: StartWorker
) -> None:
    """A zombie that has its result ready before it learns of its loss cannot write it."""
    # Nothing but its end tells it: the first heartbeat comes long after.
    deaf = {"lease_duration": 60, "heartbeat_interval": 30}
    first = start_worker(redis_url, **deaf).wait_until_ready()
    [info] = enqueue(redis_url, 1, 1, retention=3600)
    journal.until("begin", 1, pid=first.pid)
    first.send(signal.SIGSTOP)
    _end_lease(redis_url, info.id)
    second = start_worker(redis_url, **QUICK)
    journal.until("end", 1, pid=second.pid)
    first.send(signal.SIGCONT)
    journal.until("end", 1, pid=first.pid)
    first.send(signal.SIGTERM)
    assert 0 == first.wait()

    async def result() -> object:
        async with Client(redis_url) as client:
            return await client.result(info, timeout=60)

    assert second.pid == asyncio.run(result())
    assert 1 == stats(redis_url).processed
    assert any("was lost" in line for line in first.log_lines("WARNING"))


def _end_lease(url: str, task_id: str) -> None:
    """Have a lease end now, as if its worker had stood still for long."""

    async def run() -> None:
        async with Client(url) as client:
            commands = client._broker._link.commands
            await commands.one(("ZADD", KEYS.lease, 1, task_id))
            await commands.one(("HSET", KEYS.task(task_id), "hr:lease", 1))

    asyncio.run(run())
