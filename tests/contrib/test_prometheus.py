"""Metrics, scraped over HTTP while tasks run."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from headrace import Client, Router, Task, TaskEvent, TaskOutcome, TaskState
from headrace.contrib.health import monitoring
from headrace.contrib.prometheus import (
    MAX_TASK_TYPES,
    OTHER,
    QueueCollector,
    ServerMetrics,
    instrument,
)
from tests.server.helpers import PATIENCE, job, serving

if TYPE_CHECKING:
    from tests.server.helpers import Gate, Watch


class Samples:
    """What a scrape brought."""

    def __init__(self, text: str) -> None:
        self.values = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float | None:
        """Return a sample; None if there is none."""
        return self.values.get((name, frozenset(labels.items())))

    def labels(self, name: str, label: str) -> set[str]:
        """Return the values that a label of a metric has."""
        return {dict(labels)[label] for found, labels in self.values if found == name}


async def scrape(url: str) -> Samples:
    """Return what ``/metrics`` shows."""
    async with aiohttp.ClientSession() as session, session.get(f"{url}/metrics") as response:
        assert response.status == 200
        assert response.content_type == "text/plain"
        return Samples(await response.text())


async def test_server_is_counted_and_timed(
    client: Client, broker_url: str, gate: Gate, watch: Watch
) -> None:
    """What runs is in flight; what ended is counted and timed, by queue, type and outcome."""
    registry = CollectorRegistry()
    router = Router()
    router.add_handler("t", gate)

    @router.task("bad")
    async def bad() -> None:
        raise ValueError

    async with (
        serving(broker_url, router, state_prober=watch.prober) as server,
        monitoring(server, port=0, registry=registry) as url,
    ):
        instrument(server, registry)
        instrument(server, registry)  # Counts once all the same.
        running = await client.enqueue(job("a"))
        failing = await client.enqueue(bad.task())
        await gate.until_entered(1)
        await watch.until(failing, TaskState.RETRY)
        during = await scrape(url)
        gate.open()
        await watch.until(running, TaskState.COMPLETED)
        after = await scrape(url)

    assert during("headrace_tasks_in_flight", queue="default") == 1
    assert after("headrace_tasks_in_flight", queue="default") == 0
    ends = {"queue": "default", "type": "t", "outcome": "succeeded"}
    assert during("headrace_tasks_finished_total", **ends) is None
    assert after("headrace_tasks_finished_total", **ends) == 1
    assert after("headrace_task_duration_seconds_count", **ends) == 1
    assert after("headrace_tasks_finished_total", **{**ends, "type": "bad", "outcome": "retried"})
    assert after("headrace_retries_total", queue="default") == 1
    assert after("headrace_leases_lost_total", queue="default") == 0
    assert after("headrace_dequeue_batch_size_sum") == 2
    assert after("headrace_finish_batch_size_sum") == 2


async def test_queues_are_shown_as_asynq_shows_them(client: Client, broker_url: str) -> None:
    """The collector reads names, states and totals of asynq's exporter from Redis."""
    registry = CollectorRegistry()
    registry.register(QueueCollector(broker_url))
    await client.enqueue(Task("a"))
    await client.enqueue(Task("a"), process_in=60)
    await client.enqueue(Task("a"), queue="low", group="g")
    await client._broker._link.commands.one(("SET", "asynq:{low}:paused", "1"))
    await client._broker._link.commands.one(("SET", "asynq:{low}:processed", "7"))
    await client._broker._link.commands.one(("SET", "asynq:{low}:failed", "3"))

    seen = Samples(generate_latest(registry).decode())

    assert seen("headrace_redis_up") == 1
    states = {
        state: seen("asynq_tasks_enqueued_total", queue="default", state=state)
        for state in ("active", "pending", "scheduled", "retry", "archived", "completed")
    }
    expected = {"active": 0, "pending": 1, "scheduled": 1, "retry": 0, "archived": 0}
    assert states == {**expected, "completed": 0}
    assert seen("asynq_tasks_enqueued_total", queue="low", state="aggregating") == 1
    assert seen("asynq_queue_size", queue="default") == 2
    assert (seen("asynq_queue_latency_seconds", queue="default") or -1) >= 0
    assert (0, 1) == tuple(seen("asynq_queue_paused_total", queue=q) for q in ("default", "low"))
    assert seen("asynq_tasks_processed_total", queue="low") == 7
    assert seen("asynq_tasks_failed_total", queue="low") == 3
    if broker_url.startswith("redis:"):
        assert (seen("asynq_queue_memory_usage_approx_bytes", queue="default") or 0) > 0


async def test_queues_are_read_while_a_server_works(
    client: Client, broker_url: str, gate: Gate
) -> None:
    """A scrape in the server's event loop shows the task that it runs."""
    registry = CollectorRegistry()
    registry.register(QueueCollector(broker_url))
    async with (
        serving(broker_url, gate) as server,
        monitoring(server, port=0, registry=registry) as url,
    ):
        await client.enqueue(job("a"))
        await gate.until_entered(1)
        seen = await scrape(url)
        gate.open()

    assert seen("asynq_tasks_enqueued_total", queue="default", state="active") == 1


async def test_redis_that_is_away_costs_the_queues_only() -> None:
    """The scrape goes on, and says that Redis did not answer."""
    registry = CollectorRegistry()
    registry.register(QueueCollector("redis://127.0.0.1:1", timeout=1.0))

    seen = Samples(generate_latest(registry).decode())

    assert seen("headrace_redis_up") == 0
    assert seen.labels("asynq_queue_size", "queue") == set()


def finished(metrics: ServerMetrics, task_type: str) -> None:
    """Tell *metrics* of an attempt."""
    task = TaskEvent(task_id="x", type=task_type, queue="q", attempt=1)
    metrics.task_started(task)
    metrics.task_finished(task, TaskOutcome.SUCCEEDED, 0.1)


def test_types_of_tasks_do_not_fill_the_memory() -> None:
    """Beyond the first 200 types, and where they are long, all count as "other"."""
    registry = CollectorRegistry()
    metrics = ServerMetrics(registry)
    for n in range(MAX_TASK_TYPES + 50):
        finished(metrics, f"type {n}")
    finished(metrics, "x" * 10_000)

    seen = Samples(generate_latest(registry).decode())

    types = seen.labels("headrace_tasks_finished_total", "type")
    assert len(types) == MAX_TASK_TYPES + 1
    ends = {"queue": "q", "type": OTHER, "outcome": "succeeded"}
    assert seen("headrace_tasks_finished_total", **ends) == 51


@pytest.mark.parametrize("name", ['quo"te', "new\nline", "back\\slash", "\udcff", "\0", "日本"])
def test_names_of_other_programs_do_not_break_a_scrape(name: str) -> None:
    """Whatever a task's type holds, the page can be read."""
    registry = CollectorRegistry()
    finished(ServerMetrics(registry), name)

    types = Samples(generate_latest(registry).decode()).labels(
        "headrace_tasks_finished_total", "type"
    )

    assert types == {name.encode("utf-8", "backslashreplace").decode()}


async def test_servers_share_the_metrics_of_a_registry(memory_url: str, gate: Gate) -> None:
    """Two servers of a process can be instrumented."""
    registry = CollectorRegistry()
    async with serving(memory_url, gate) as one, serving(memory_url, gate) as other:
        assert instrument(one, registry) is instrument(other, registry)


async def test_loop_lag_is_measured(
    memory_url: str, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How late the event loop is shows while the server runs."""
    registry = CollectorRegistry()
    measured = asyncio.Event()
    async with serving(memory_url, gate) as server:
        metrics = instrument(server, registry)
        tell = metrics._loop_lag.observe

        def observe(seconds: float) -> None:
            tell(seconds)
            measured.set()

        monkeypatch.setattr(metrics._loop_lag, "observe", observe)
        async with asyncio.timeout(PATIENCE):
            await measured.wait()

    seen = Samples(generate_latest(registry).decode())
    assert (seen("headrace_event_loop_lag_seconds_count") or 0) >= 1
