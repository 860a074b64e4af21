"""The worker as a process: import, start, memory, and what it does when there is nothing to do."""

from __future__ import annotations

import socket
import subprocess
import time
import urllib.parse
from typing import TYPE_CHECKING, Final

from benchmarks.measures.base import Figures, Measure
from benchmarks.stand import READY_LIMIT

if TYPE_CHECKING:
    from benchmarks.catalog import System
    from benchmarks.stand import Stand

PARTS: Final = 10
"""Memory is looked at after the first of so many parts of the tasks, and after the last."""
MEGABYTE: Final = 1e6

_IMPORT = """
import sys, time
start = time.perf_counter()
__import__(sys.argv[1])
print(time.perf_counter() - start)
"""


def startup(stand: Stand, system: System) -> Figures:
    """Time of the import, and from the process's start to the first handler's."""
    figures = {}
    if system.package:
        python = stand.environments.python(system)
        printed = subprocess.run(  # noqa: S603 - our own command
            [python, "-c", _IMPORT, system.package],
            capture_output=True,
            text=True,
            check=True,
        )
        figures["import_ms"] = float(printed.stdout) * 1e3
    stand.redis.flushall()
    with stand.producer(system) as producer:
        producer.ask("now", "clock")
        producer.take("added", READY_LIMIT)
    with stand.worker(system) as worker:
        ran = worker.take("clock", READY_LIMIT)
        figures["start_ms"] = (ran["at"] - worker.started_at) / 1e6
    return figures


def memory(stand: Stand, system: System) -> Figures:
    """Resident memory of an idle worker, and after many tasks."""
    count = stand.sizes.remembered
    with stand.idle_worker(system, total=count // PARTS, arguments=count) as (producer, worker):
        idle = worker.memory
        producer.ask("concurrent", "noop", count)
        worker.take("done", stand.sizes.limit)
        early = worker.memory
        for _ in range(PARTS - 1):
            worker.take("done", stand.sizes.limit)
        time.sleep(stand.sizes.settle)
        late = worker.memory
    return {
        "tasks": count,
        "idle_mb": idle / MEGABYTE,
        "after_a_tenth_mb": early / MEGABYTE,
        "after_all_mb": late / MEGABYTE,
    }


def idle(stand: Stand, system: System) -> Figures:
    """Commands that clients send while there is nothing to do, and the CPU time that it takes."""
    with stand.idle_worker(system) as (producer, worker):
        producer.kill()
        redis_cpu, worker_cpu = stand.redis_cpu(), worker.cpu
        commands = _watch(stand.url, stand.sizes.watched)
        redis_cpu, worker_cpu = stand.redis_cpu() - redis_cpu, worker.cpu - worker_cpu
    return {
        "commands_per_s": commands / stand.sizes.watched,
        "redis_cpu_percent": redis_cpu / stand.sizes.watched * 100,
        "worker_cpu_percent": worker_cpu / stand.sizes.watched * 100,
    }


def _watch(url: str, seconds: float) -> int:
    """Count the commands of clients by MONITOR, which marks those of scripts; INFO counts both."""
    address = urllib.parse.urlsplit(url)
    until = time.monotonic() + seconds
    seen = b""
    with socket.create_connection((address.hostname or "", address.port or 6379)) as monitor:
        monitor.sendall(b"MONITOR\r\n")
        while (left := until - time.monotonic()) > 0:
            monitor.settimeout(left)
            try:
                seen += monitor.recv(65536)
            except TimeoutError:
                break
    lines = seen.split(b"\r\n")[1:]  # The first says OK.
    return sum(b" lua] " not in line for line in lines if line)


MEASURES: Final = [
    Measure("startup", "time to import, and to the first task", startup),
    Measure("memory", "resident memory of the worker", memory, once=True),
    Measure("idle", "what an idle worker costs", idle, once=True),
]
