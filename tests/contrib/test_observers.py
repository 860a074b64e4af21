"""What observers of a server are told, and what it costs to have none."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from headrace import (
    Client,
    RevokeTask,
    Router,
    Server,
    ServerObserver,
    SkipRetry,
    Snooze,
    Task,
    TaskEvent,
    TaskOutcome,
    TaskState,
)
from headrace import _events as events
from tests.server.helpers import PATIENCE, job, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Unpack

    import pytest

    from headrace import ServerOptions
    from headrace._router import Handler
    from tests.server.helpers import Gate, Watch


class Recorder(ServerObserver):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.started: list[TaskEvent] = []
        self.finished: list[tuple[TaskEvent, TaskOutcome]] = []
        self.seconds: list[float] = []
        self.batches: list[tuple[str, int]] = []
        self._told = asyncio.Event()

    def task_started(self, task: TaskEvent) -> None:
        """Keep it."""
        self.started.append(task)
        self._told.set()

    def task_finished(self, task: TaskEvent, outcome: TaskOutcome, seconds: float) -> None:
        """Keep it."""
        self.finished.append((task, outcome))
        self.seconds.append(seconds)
        self._told.set()

    def tasks_dequeued(self, count: int) -> None:
        """Keep it."""
        self.batches.append(("dequeue", count))

    def ends_written(self, count: int) -> None:
        """Keep it."""
        self.batches.append(("finish", count))

    async def ended(self, count: int) -> list[TaskOutcome]:
        """Wait until so many attempts have ended, and return how."""
        async with asyncio.timeout(PATIENCE):
            while len(self.finished) < count:
                self._told.clear()
                await self._told.wait()
        return [outcome for _, outcome in self.finished]


@contextlib.asynccontextmanager
async def observed(
    url: str, handler: Handler, recorder: Recorder, **options: Unpack[ServerOptions]
) -> AsyncIterator[Server]:
    """Have a server running that was observed from its start."""
    options.setdefault("shutdown_timeout", 1.0)
    server = Server(url, handler, **options)
    server.add_observer(recorder)
    async with server:
        yield server


async def outcome_of(client: Client, url: str, router: Router, task: Task) -> TaskOutcome:
    """Run *task* and return what an observer was told of its first attempt."""
    recorder = Recorder()
    await client.enqueue(task)
    async with observed(url, router, recorder):
        [outcome] = await recorder.ended(1)
    return outcome


async def test_each_end_has_its_outcome(client: Client, broker_url: str) -> None:
    """An observer learns how an attempt ended."""
    router = Router()
    errors = {
        "ok": None,
        "fail": ValueError("x"),
        "skip": SkipRetry("x"),
        "revoke": RevokeTask("x"),
        "snooze": Snooze(60),
    }

    @router.not_found
    async def run(task: Task) -> None:
        if (error := errors[task.type]) is not None:
            raise error

    seen = {
        name: await outcome_of(client, broker_url, router, Task(name, retention=60))
        for name in errors
    }

    assert seen == {
        "ok": TaskOutcome.SUCCEEDED,
        "fail": TaskOutcome.RETRIED,
        "skip": TaskOutcome.ARCHIVED,
        "revoke": TaskOutcome.REVOKED,
        "snooze": TaskOutcome.POSTPONED,
    }


async def test_shutdown_is_an_outcome(client: Client, broker_url: str, gate: Gate) -> None:
    """A task that a shutdown interrupts is told as given back, with the time that it ran."""
    recorder = Recorder()
    await client.enqueue(job("a"))
    async with observed(broker_url, gate, recorder, shutdown_timeout=0):
        await gate.until_entered(1)

    [(task, outcome)] = recorder.finished
    assert (task.queue, task.type, task.attempt) == ("default", "t", 1)
    assert outcome is TaskOutcome.REQUEUED
    assert recorder.seconds[0] > 0


async def test_lost_lease_is_an_outcome(redis_url: str, gate: Gate) -> None:
    """An attempt whose task was taken from it is told as lost."""
    recorder = Recorder()
    async with Client(redis_url) as redis_client:
        info = await redis_client.enqueue(job("a"))
        async with observed(redis_url, gate, recorder):
            await gate.until_entered(1)
            commands = redis_client._broker._link.commands
            await commands.one(("HSET", f"asynq:{{default}}:t:{info.id}", "hr:attempt", "other"))
            gate.open()
            assert await recorder.ended(1) == [TaskOutcome.LOST]


async def test_batches_are_told(client: Client, broker_url: str, gate: Gate) -> None:
    """How many tasks were taken and written at once adds up to how many there are."""
    recorder = Recorder()
    await client.enqueue_many([job(str(n)) for n in range(20)])
    gate.open()
    async with observed(broker_url, gate, recorder, concurrency=8):
        await recorder.ended(20)

    assert sum(n for kind, n in recorder.batches if kind == "dequeue") == 20
    assert sum(n for kind, n in recorder.batches if kind == "finish") == 20
    assert max(n for _, n in recorder.batches) <= 8


async def test_observer_that_fails_costs_no_task(
    client: Client, broker_url: str, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    """What an observer raises is logged; the others, and the task, do not notice."""

    class Broken(ServerObserver):
        def task_started(self, task: TaskEvent) -> None:
            raise ZeroDivisionError(task.type)

    recorder = Recorder()
    gate.open()
    with caplog.at_level(logging.ERROR, "headrace"):
        async with serving(broker_url, gate) as server:
            server.add_observer(Broken())
            server.add_observer(recorder)
            await client.enqueue(job("a"))
            assert await recorder.ended(1) == [TaskOutcome.SUCCEEDED]

    assert "An observer failed" in caplog.text


async def test_late_observer_hears_of_no_end_without_a_beginning(
    client: Client, broker_url: str, gate: Gate, watch: Watch
) -> None:
    """One that is added while a task runs is not told of it; one that is removed is."""
    early, late = Recorder(), Recorder()
    async with serving(broker_url, gate, state_prober=watch.prober) as server:
        server.add_observer(early)
        info = await client.enqueue(job("a"))
        await gate.until_entered(1)
        server.remove_observer(early)
        server.add_observer(late)
        gate.open()
        await watch.until(info, TaskState.COMPLETED)

    assert (1, 1) == (len(early.started), len(early.finished))
    assert not late.started
    assert not late.finished


async def test_nothing_is_made_for_nobody(
    client: Client, broker_url: str, gate: Gate, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an observer no event is built, and none is told."""

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("nobody asked")

    monkeypatch.setattr(events.TaskWatch, "__init__", refuse)
    monkeypatch.setattr(events.TaskEvent, "__init__", refuse)
    monkeypatch.setattr(events.Outgoing, "__init__", refuse)
    monkeypatch.setattr(events.Events, "tell", refuse)
    gate.open()
    async with serving(broker_url, gate, state_prober=watch.prober):
        info = await client.enqueue(job("a"))
        await watch.until(info, TaskState.COMPLETED)


async def test_replaced_server_keeps_its_observers(broker_url: str, gate: Gate) -> None:
    """What the command line changes of a server does not cost it its metrics."""
    recorder = Recorder()
    async with serving(broker_url, gate) as server:
        server.add_observer(recorder)

        assert server.replace(concurrency=2)._events.observers == (recorder,)
