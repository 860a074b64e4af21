"""Signals to a real worker: it ends in order, or at once, and says how by its exit code."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from headrace import Client, TaskState
from headrace._broker.keys import QueueKeys
from tests.process.conftest import enqueue
from tests.support.redis_server import RedisServer

if TYPE_CHECKING:
    from headrace import TaskInfo
    from tests.process.conftest import StartWorker
    from tests.support.processes import Journal, JournalingWorker

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
KEYS = QueueKeys("default")
GRACE = 1.0


def look(url: str, info: TaskInfo) -> TaskInfo:
    """Return the report on a task."""

    async def run() -> TaskInfo:
        async with Client(url) as client:
            return await client.get_task(info.id)

    return asyncio.run(run())


def until_logged(worker: JournalingWorker, text: str) -> None:
    """Wait until a worker has logged something."""
    give_up = time.monotonic() + 30
    while not any(text in line for line in worker.log_lines()) and time.monotonic() < give_up:
        time.sleep(0.01)  # The log is a file.


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_long_tasks_are_given_back(
    redis_url: str,
    redis_server: RedisServer,
    journal: Journal,
    start_worker: StartWorker,
    signum: signal.Signals,
) -> None:
    """Ends within grace and a second: what could finish is done, the rest in front again."""
    worker = start_worker(redis_url, concurrency=20, shutdown_timeout=GRACE).wait_until_ready()
    short = {info.id for info in enqueue(redis_url, 5, 0.5)}
    long = enqueue(redis_url, 15, 60)
    journal.until("begin", 20)
    waiting = enqueue(redis_url, 1, 60)
    asked_at = worker.send(signum)

    assert 0 == worker.wait()
    assert journal.events("closed")[0].at - asked_at <= GRACE + 1
    assert short == journal.tasks("end")
    assert {info.id for info in long} == journal.tasks("cancelled")
    with redis_server.client() as probe:
        ids = probe.lrange(KEYS.pending, 0, -1)
        crashes = [probe.hget(KEYS.task(info.id), "hr:crashes") for info in long]
        left = [probe.zcard(KEYS.lease), probe.llen(KEYS.active), probe.zcard("asynq:servers")]
    assert waiting[0].id.encode() == ids[0]
    assert {info.id.encode() for info in long} == set(ids[1:])
    assert [None] * 15 == crashes
    assert [0, 0, 0] == left
    assert {(TaskState.PENDING, 0)} == {
        (look(redis_url, info).state, look(redis_url, info).retried) for info in long[:2]
    }


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_second_signal_aborts(
    redis_url: str, journal: Journal, start_worker: StartWorker, signum: signal.Signals
) -> None:
    """A second signal ends the process at once, with 128 and its number."""
    worker = start_worker(redis_url, shutdown_timeout=600).wait_until_ready()
    [info] = enqueue(redis_url, 1, 600)
    journal.until("begin")
    worker.send(signum)
    until_logged(worker, "shutting down")
    worker.send(signum)

    assert 128 + signum == worker.wait()
    assert TaskState.ACTIVE == look(redis_url, info).state


def test_second_signal_reaches_a_blocked_loop(
    redis_url: str, journal: Journal, start_worker: StartWorker
) -> None:
    """Also a worker whose event loop is blocked by a handler can be aborted."""
    worker = start_worker(redis_url).wait_until_ready()
    enqueue(redis_url, 1, 600, type="block")
    journal.until("begin")
    worker.send(signal.SIGTERM)
    code: int | None = None
    while code is None:
        # One that comes just before the handler blocks is heard with the next one only.
        worker.send(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = worker.wait(0.5)

    assert code in {128 + signal.SIGTERM, 128 + signal.SIGINT}


@pytest.mark.parametrize("kind", ["stubborn", "thread"])
def test_stuck_handler_does_not_keep_the_process(
    redis_url: str, journal: Journal, start_worker: StartWorker, kind: str
) -> None:
    """A handler that nothing stops is named in the log, and the process ends with an error."""
    worker = start_worker(redis_url, shutdown_timeout=0).wait_until_ready()
    [info] = enqueue(redis_url, 1, 600, type=kind)
    journal.until("begin")
    worker.send(signal.SIGTERM)

    assert 1 == worker.wait()
    assert [True] == [info.id in line for line in worker.log_lines("ERROR")]
    assert TaskState.ACTIVE == look(redis_url, info).state


def test_stop_signal_ends_the_fetching_only(
    redis_url: str, journal: Journal, start_worker: StartWorker
) -> None:
    """After SIGTSTP running tasks go on and no new ones begin; SIGTERM ends the worker then."""
    worker = start_worker(redis_url, concurrency=2).wait_until_ready()
    running = {info.id for info in enqueue(redis_url, 1, 1)}
    journal.until("begin")
    worker.send(signal.SIGTSTP)
    until_logged(worker, "no more tasks are fetched")
    [waiting] = enqueue(redis_url, 1, 0)
    journal.until("end")
    worker.send(signal.SIGTERM)

    assert 0 == worker.wait()
    assert running == journal.tasks("begin") == journal.tasks("end")
    assert TaskState.PENDING == look(redis_url, waiting).state


def test_signal_while_redis_is_away(
    redis_executable: str, journal: Journal, start_worker: StartWorker
) -> None:
    """A worker ends within its grace period and a second although Redis does not answer."""
    with RedisServer(redis_executable) as redis:
        worker = start_worker(redis.url, shutdown_timeout=GRACE).wait_until_ready()
        enqueue(redis.url, 1, 60)
        journal.until("begin")
        redis.kill()
        asked_at = worker.send(signal.SIGTERM)
        code = worker.wait()

    assert 0 == code
    # The handler is interrupted, and then there is a second to say so to Redis.
    assert journal.events("closed")[0].at - asked_at <= GRACE + 2


def test_start_without_redis_fails(journal: Journal, start_worker: StartWorker) -> None:
    """A worker that cannot reach Redis ends with an error code and one line that says why."""
    worker = start_worker("redis://user:hunter2@127.0.0.1:1/0")

    assert 1 == worker.wait()
    text = "\n".join(worker.log_lines())
    assert "BrokerError: Redis did not answer" in text
    assert "hunter2" not in text
