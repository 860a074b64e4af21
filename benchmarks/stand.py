"""The test stand: one Redis, and the programs that use it."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import redis

from benchmarks.delay import DelayedRedis
from benchmarks.environments import PROXY_SOURCE
from benchmarks.programs import Program, command_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.catalog import System
    from benchmarks.environments import Environments
    from benchmarks.sizes import Sizes

Figures = dict[str, float]

CONCURRENCY = 100
READY_LIMIT = 60.0
"""Seconds in which a producer must be ready, or a worker must run its first task."""
SETTLED = 0.2
"""Seconds after the last handler in which its task is finished in Redis too."""


class Stand:
    """Starts producers and workers of any system on one Redis.

    Args:
        url: The Redis, which is emptied before each measurement.
        environments: Where the systems are installed.
        sizes: How much to measure.
        logs: The directory that gets what programs print.
    """

    def __init__(self, url: str, environments: Environments, sizes: Sizes, logs: Path) -> None:
        self.url = url
        self.environments = environments
        self.sizes = sizes
        self.redis = redis.Redis.from_url(url)
        self._logs = logs
        self._delayed: DelayedRedis | None = None
        logs.mkdir(parents=True, exist_ok=True)

    def close(self) -> None:
        """Stop the proxy, if it runs, and leave Redis empty."""
        if self._delayed is not None:
            self._delayed.close()
        self.redis.flushall()
        self.redis.close()

    def _start(self, system: System, role: str, settings: dict[str, object]) -> Program:
        log = self._logs / f"{system.name}-{role}.log"
        return Program(command_line(self.environments.command(system), role, settings), log)

    @contextlib.contextmanager
    def producer(self, system: System) -> Iterator[Program]:
        """Run a producer that is connected."""
        with self._start(system, "produce", {"url": self.url}) as program:
            program.take("ready", READY_LIMIT)
            yield program

    def worker(
        self,
        system: System,
        *,
        total: int = 0,
        arguments: int = 0,
        hold: float = 0.0,
        concurrency: int = CONCURRENCY,
        schedules: bool = False,
        url: str = "",
    ) -> Program:
        """Start a worker.

        Args:
            system: Whose.
            total: The number of tasks after which it says ``done``.
            arguments: The tasks' arguments are below this; 0: below *total*.
            hold: Seconds that a ``hold`` task takes.
            concurrency: How many tasks run at once.
            schedules: Whether it has scheduled tasks to expect.
            url: The Redis; "": the stand's own.
        """
        return self._start(
            system,
            "work",
            {
                "url": url or self.url,
                "total": total,
                "arguments": arguments or total,
                "hold": hold,
                "concurrency": concurrency,
                "schedules": schedules,
            },
        )

    def fill(self, system: System, kind: str, count: int) -> None:
        """Empty Redis, and enqueue *count* tasks."""
        self.redis.flushall()
        self.add(system, kind, count)

    def add(self, system: System, kind: str, count: int) -> None:
        """Enqueue *count* tasks the fastest way that *system* has."""
        mode = "concurrent" if "enqueue_bulk" in system.cannot else "bulk"
        with self.producer(system) as producer:
            producer.ask(mode, kind, count)
            producer.take("added", self.sizes.limit)

    @contextlib.contextmanager
    def idle_worker(
        self, system: System, *, total: int = 0, arguments: int = 0, schedules: bool = False
    ) -> Iterator[tuple[Program, Program]]:
        """Run a producer and a worker that has run one task, and has had time to settle."""
        self.redis.flushall()
        with (
            self.producer(system) as producer,
            self.worker(system, total=total, arguments=arguments, schedules=schedules) as worker,
        ):
            producer.ask("now", "clock")
            worker.take("clock", READY_LIMIT)
            time.sleep(self.sizes.settle)
            yield producer, worker

    def redis_cpu(self) -> float:
        """The CPU seconds that Redis has used."""
        info = self.redis.info("cpu")
        return float(info["used_cpu_user"]) + float(info["used_cpu_sys"])

    def delayed(self) -> DelayedRedis:
        """Return the way to Redis that takes longer; it is opened when it is first wanted."""
        if self._delayed is None:
            program = self.environments.build(PROXY_SOURCE)
            self._delayed = DelayedRedis(program, self.url, self.sizes.pings)
        return self._delayed

    @property
    def proxy_figures(self) -> dict[str, float]:
        """What the proxy gives; empty before it is wanted."""
        return {} if self._delayed is None else dict(self._delayed.figures)
