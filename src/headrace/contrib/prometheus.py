"""Metrics for Prometheus: of a server's own work, and of the queues in Redis.

Needs the extra ``headrace[prometheus]``.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import weakref
from typing import TYPE_CHECKING, Final

try:
    from prometheus_client import REGISTRY, Counter, Gauge, Histogram
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
    from prometheus_client.registry import Collector
except ImportError as _error:
    raise ImportError(
        "headrace.contrib.prometheus needs the Prometheus client: "
        "pip install 'headrace[prometheus]'"
    ) from _error

from headrace import HeadraceError, Inspector, ServerObserver, TaskOutcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric
    from redis.asyncio import Redis, RedisCluster

    from headrace import QueueStats, Server, TaskEvent

__all__ = ["MAX_TASK_TYPES", "OTHER", "QueueCollector", "ServerMetrics", "instrument"]

MAX_TASK_TYPES: Final = 200
"""How many types of tasks get a label of their own."""
OTHER: Final = "other"
"""The label of all further types: other programs choose them, and each costs memory."""
MAX_LABEL_LENGTH: Final = 200

DURATIONS: Final = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
    *(30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0),
)
LAGS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
BATCHES: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)

DISTRIBUTIONS: Final = (
    (
        "headrace_event_loop_lag_seconds",
        "By how much the event loop woke the server up too late.",
        LAGS,
    ),
    ("headrace_dequeue_batch_size", "Tasks that were taken at once.", BATCHES),
    ("headrace_finish_batch_size", "Ends of attempts that were written at once.", BATCHES),
)
"""Histograms without labels: name, help, buckets."""

STATES: Final = (
    *("active", "pending", "scheduled", "retry", "archived", "completed", "aggregating"),
)
GAUGES: Final = {
    "size": ("asynq_queue_size", "Tasks in a queue, completed ones aside."),
    "latency": (
        "asynq_queue_latency_seconds",
        "How long the oldest pending task has been waiting.",
    ),
    "paused": ("asynq_queue_paused_total", "1 while a queue is paused."),
    "memory_usage": (
        "asynq_queue_memory_usage_approx_bytes",
        "About how much of Redis's memory a queue takes; missing where Redis cannot tell.",
    ),
}
"""Fields of `QueueStats`: name and help of their metrics."""
TOTALS: Final = {
    "processed_total": (
        "asynq_tasks_processed_total",
        "Attempts, failed ones included.",
    ),
    "failed_total": ("asynq_tasks_failed_total", "Attempts that failed."),
}
"""The same for counters."""
log: logging.Logger = logging.getLogger("headrace.metrics")


def instrument(server: Server, registry: CollectorRegistry = REGISTRY) -> ServerMetrics:
    """Count and time what *server* does from now on.

    Servers that share a registry share the metrics, too. Instrumenting one twice counts once.

    Args:
        server: Started or not.
        registry: Where the metrics are registered.

    Returns:
        The metrics. ``server.remove_observer(metrics)`` ends it.
    """
    metrics = _metrics_of.get(registry)
    if metrics is None:
        metrics = _metrics_of[registry] = ServerMetrics(registry)
    server.add_observer(metrics)
    return metrics


class ServerMetrics(ServerObserver):
    """The metrics of servers in this process. Made by `instrument`.

    Args:
        registry: Where they are registered; a registry takes one of these.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ("queue", "type", "outcome")
        self._duration = Histogram(
            "headrace_task_duration_seconds",
            "How long handlers ran.",
            labels,
            buckets=DURATIONS,
            registry=registry,
        )
        self._finished = Counter(
            "headrace_tasks_finished_total", "Attempts that ended.", labels, registry=registry
        )
        self._in_flight = Gauge(
            "headrace_tasks_in_flight", "Handlers that run.", ("queue",), registry=registry
        )
        self._leases_lost = Counter(
            "headrace_leases_lost_total",
            "Attempts that lost their lease: another worker runs the task, or will.",
            ("queue",),
            registry=registry,
        )
        self._retries = Counter(
            "headrace_retries_total",
            "Attempts that failed and are tried again.",
            ("queue",),
            registry=registry,
        )
        self._loop_lag, self._dequeued, self._written = (
            Histogram(name, text, buckets=buckets, registry=registry)
            for name, text, buckets in DISTRIBUTIONS
        )
        self._types: dict[str, str] = {}
        # To look a label up takes longer than to count.
        self._of_queue: dict[str, tuple[Gauge, Counter, Counter]] = {}
        self._of_end: dict[tuple[str, str, TaskOutcome], tuple[Histogram, Counter]] = {}

    def task_started(self, task: TaskEvent) -> None:
        """Count a handler that begins."""
        self._queue(task.queue)[0].inc()

    def task_finished(self, task: TaskEvent, outcome: TaskOutcome, seconds: float) -> None:
        """Count and time an attempt that ended."""
        in_flight, lost, retries = self._queue(task.queue)
        in_flight.dec()
        if outcome is TaskOutcome.LOST:
            lost.inc()
        elif outcome is TaskOutcome.RETRIED:
            retries.inc()
        key = (task.queue, self._type(task.type), outcome)
        end = self._of_end.get(key)
        if end is None:
            labels = (label(task.queue), key[1], str(outcome))
            end = self._duration.labels(*labels), self._finished.labels(*labels)
            self._of_end[key] = end
        end[0].observe(seconds)
        end[1].inc()

    def tasks_dequeued(self, count: int) -> None:
        """Note how many tasks came at once."""
        self._dequeued.observe(count)

    def ends_written(self, count: int) -> None:
        """Note how many ends were written at once."""
        self._written.observe(count)

    def loop_late(self, seconds: float) -> None:
        """Note how late the event loop is."""
        self._loop_lag.observe(seconds)

    def _queue(self, queue: str) -> tuple[Gauge, Counter, Counter]:
        metrics = self._of_queue.get(queue)
        if metrics is None:
            name = label(queue)
            metrics = self._of_queue[queue] = (
                self._in_flight.labels(name),
                self._leases_lost.labels(name),
                self._retries.labels(name),
            )
        return metrics

    def _type(self, task_type: str) -> str:
        known = self._types.get(task_type)
        if known is not None:
            return known
        if len(self._types) >= MAX_TASK_TYPES or len(task_type) > MAX_LABEL_LENGTH:
            return OTHER
        known = self._types[task_type] = label(task_type)
        return known


class QueueCollector(Collector):
    """The state of all queues, read from Redis at each scrape; named as asynq's exporter does.

    Register it: ``registry.register(QueueCollector("redis://localhost:6379"))``. It works
    wherever a registry is collected, in an event loop or not. One per Redis is enough,
    whatever the number of workers.

    Args:
        redis: A URL, or a client of redis.asyncio; see `headrace.Client`.
        timeout: Seconds that Redis may take. After that, ``headrace_redis_up`` is 0 and the
            other metrics are missing from this scrape.

    Raises:
        InvalidOptionError: If *redis* cannot be used.
    """

    def __init__(self, redis: str | Redis | RedisCluster, *, timeout: float = 3.0) -> None:
        self._redis = redis
        self._timeout = timeout
        Inspector(redis)  # Refuses what cannot be used now, and not at the first scrape.

    def describe(self) -> Iterable[Metric]:
        """Return the names, without asking Redis."""
        return _families([], up=False)

    def collect(self) -> Iterator[Metric]:
        """Ask Redis, and yield what it holds."""
        try:
            stats = self._read_anywhere()
        except TimeoutError:
            log.warning("Redis gave no metrics within %g s", self._timeout)
            yield _up(is_up=False)
        except HeadraceError as error:
            log.warning("Redis could not be asked for metrics: %s", error)
            yield _up(is_up=False)
        else:
            yield from _families(stats, up=True)

    def _read_anywhere(self) -> list[QueueStats]:
        """Read in a thread of its own: an event loop may run in this one."""
        with concurrent.futures.ThreadPoolExecutor(1, "headrace-metrics") as thread:
            return thread.submit(lambda: asyncio.run(self._read())).result()

    async def _read(self) -> list[QueueStats]:
        async with asyncio.timeout(self._timeout), Inspector(self._redis) as inspector:
            return await inspector.stats()


def label(text: str) -> str:
    """Return *text* as a label's value: what is no Unicode would break the whole scrape."""
    return text.encode("utf-8", "backslashreplace").decode()


def _up(*, is_up: bool) -> Metric:
    return GaugeMetricFamily("headrace_redis_up", "Whether Redis answered.", float(is_up))


def _families(stats: Iterable[QueueStats], *, up: bool) -> list[Metric]:
    enqueued = GaugeMetricFamily(
        "asynq_tasks_enqueued_total", "Tasks in a queue, by state.", labels=("queue", "state")
    )
    gauges = {
        field: GaugeMetricFamily(name, text, labels=("queue",))
        for field, (name, text) in GAUGES.items()
    }
    totals = {
        field: CounterMetricFamily(name, text, labels=("queue",))
        for field, (name, text) in TOTALS.items()
    }
    for queue in stats:
        name = label(queue.queue)
        for state in STATES:
            enqueued.add_metric((name, state), getattr(queue, state))
        for field, family in (gauges | totals).items():
            value = getattr(queue, field)
            if value is not None:
                family.add_metric((name,), value)
    return [_up(is_up=up), enqueued, *gauges.values(), *totals.values()]


_metrics_of: weakref.WeakKeyDictionary[CollectorRegistry, ServerMetrics] = (
    weakref.WeakKeyDictionary()
)
