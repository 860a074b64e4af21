"""What one task costs: enqueue, pick-up and drain on one Redis, with the CPU time of both sides.

    python benchmarks/hot_path.py --redis URL [--tasks N] [--concurrency N] [--repeat N] [--json]

Figures are medians with min-max over the repetitions. Redis should be on this machine and
otherwise idle: its CPU time is read from INFO. The database is flushed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import platform
import statistics
import sys
import time
from typing import TYPE_CHECKING

import redis
import redis.asyncio

import headrace

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Figures = dict[str, float]


class Bench:
    """One measurement after another on one Redis."""

    def __init__(self, url: str, tasks: int, concurrency: int) -> None:
        self.url, self.tasks, self.concurrency = url, tasks, concurrency
        self.redis = redis.asyncio.Redis.from_url(url)
        self.left = 0
        self.done = asyncio.Event()
        self.started_at: list[float] = []
        self.router = headrace.Router()
        self.router.add_handler("bench:noop", self._noop)
        self.router.add_handler("bench:clock", self._clock)

    async def _noop(self, _task: headrace.Task) -> None:
        self.left -= 1
        if not self.left:
            self.done.set()

    async def _clock(self, _task: headrace.Task) -> None:
        self.started_at.append(time.perf_counter())
        self.done.set()

    async def _redis_cpu(self) -> float:
        info = await self.redis.info("cpu")
        return float(info["used_cpu_user"]) + float(info["used_cpu_sys"])

    async def _commands(self) -> int:
        stats = await self.redis.info("commandstats")
        # A script's own commands are counted too; what came over the network is not.
        total = await self.redis.info("stats")
        del stats
        return int(total["total_commands_processed"])

    async def measure(self, count: int, work: Callable[[], Awaitable[None]]) -> Figures:
        """Run *work*, which handles *count* tasks, and return rates and costs."""
        redis_cpu, cpu, wall = await self._redis_cpu(), time.process_time(), time.perf_counter()
        await work()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        redis_cpu = await self._redis_cpu() - redis_cpu
        return {
            "tasks_per_s": count / wall,
            "cpu_us_per_task": cpu / count * 1e6,
            "redis_cpu_us_per_task": redis_cpu / count * 1e6,
        }

    def _server(self) -> headrace.Server:
        return headrace.Server(self.url, self.router, concurrency=self.concurrency)

    async def drain(self) -> Figures:
        """Run pending no-op tasks, with a server that has just started."""
        await self.redis.flushall()
        async with headrace.Client(self.url) as client:
            await client.enqueue_many([headrace.Task("bench:noop") for _ in range(self.tasks)])
        self.left = self.tasks
        self.done.clear()

        async def work() -> None:
            async with self._server():
                await self.done.wait()

        return await self.measure(self.tasks, work)

    async def enqueue_many(self) -> Figures:
        """Enqueue in bulk."""
        await self.redis.flushall()
        tasks = [headrace.Task("bench:noop") for _ in range(self.tasks)]
        async with headrace.Client(self.url) as client:
            await client.ping()

            async def work() -> None:
                await client.enqueue_many(tasks)

            return await self.measure(self.tasks, work)

    async def enqueue_concurrently(self) -> Figures:
        """Enqueue one by one from 100 coroutines."""
        await self.redis.flushall()
        each = self.tasks // 100
        async with headrace.Client(self.url) as client:
            await client.ping()

            async def producer() -> None:
                for _ in range(each):
                    await client.enqueue(headrace.Task("bench:noop"))

            async def work() -> None:
                await asyncio.gather(*(producer() for _ in range(100)))

            return await self.measure(each * 100, work)

    async def enqueue_one_by_one(self) -> Figures:
        """Enqueue one by one from one coroutine."""
        await self.redis.flushall()
        count = max(1, self.tasks // 10)
        async with headrace.Client(self.url) as client:
            await client.ping()

            async def work() -> None:
                for _ in range(count):
                    await client.enqueue(headrace.Task("bench:noop"))

            return await self.measure(count, work)

    async def pick_up(self) -> Figures:
        """Milliseconds from enqueue to the handler's start, on an idle worker."""
        await self.redis.flushall()
        latencies = []
        async with self._server(), headrace.Client(self.url) as client:
            await asyncio.sleep(0.5)
            for _ in range(100):
                self.started_at.clear()
                self.done.clear()
                start = time.perf_counter()
                await client.enqueue(headrace.Task("bench:clock"))
                await self.done.wait()
                latencies.append((self.started_at[0] - start) * 1e3)
                await asyncio.sleep(0.01)
        latencies.sort()
        return {
            "p50_ms": latencies[49],
            "p95_ms": latencies[94],
            "p99_ms": latencies[98],
        }

    async def idle(self) -> Figures:
        """Commands a second of an idle worker, counted by Redis, scripts' own included."""
        await self.redis.flushall()
        async with self._server():
            await asyncio.sleep(1)
            before, start = await self._network_commands(), time.perf_counter()
            await asyncio.sleep(10)
            commands = await self._network_commands() - before - 1
            return {"commands_per_s": commands / (time.perf_counter() - start)}

    async def _network_commands(self) -> int:
        stats = await self.redis.info("commandstats")
        inside = {"time", "zcard", "llen", "exists", "scard", "hmget", "zrangebyscore", "lrange"}
        return sum(
            stat["calls"]
            for name, stat in stats.items()
            if name.removeprefix("cmdstat_") not in inside
        )


MEASURES = (
    "enqueue_one_by_one",
    "enqueue_concurrently",
    "enqueue_many",
    "drain",
    "pick_up",
    "idle",
)


async def measure_all(args: argparse.Namespace) -> dict[str, dict[str, list[float]]]:
    """Return each measure's figures, a list of one value per repetition."""
    bench = Bench(args.redis, args.tasks, args.concurrency)
    results: dict[str, dict[str, list[float]]] = {}
    for round_ in range(args.repeat):
        for name in args.only or MEASURES:
            if name == "idle" and round_:
                continue  # Ten seconds are enough of it.
            figures = await getattr(bench, name)()
            for key, value in figures.items():
                results.setdefault(name, {}).setdefault(key, []).append(value)
    await bench.redis.aclose()
    return results


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--redis", required=True, metavar="URL", help="it is flushed")
    parser.add_argument("--tasks", type=int, default=20_000)
    parser.add_argument("--concurrency", type=int, default=100)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--only", action="append", choices=MEASURES)
    parser.add_argument("--uvloop", action="store_true", help="run on uvloop")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    factory = None
    if args.uvloop:
        import uvloop  # noqa: PLC0415 - optional

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        results = runner.run(measure_all(args))
    summary = {
        name: {
            key: {
                "median": statistics.median(values),
                "min": min(values),
                "max": max(values),
            }
            for key, values in figures.items()
        }
        for name, figures in results.items()
    }
    version = redis.Redis.from_url(args.redis).info("server")["redis_version"]
    machine = {
        "headrace": headrace.__version__,
        "python": platform.python_version(),
        "redis": version,
        "cpus": os.cpu_count(),
        "loop": "uvloop" if args.uvloop else "asyncio",
    }
    if args.json:
        json.dump({"machine": machine, "results": summary}, sys.stdout, indent=2)
        return
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    for name, figures in summary.items():
        for key, spread in figures.items():
            print(
                f"{name:22} {key:24} {spread['median']:10.1f}  "
                f"({spread['min']:.1f}-{spread['max']:.1f})"
            )


if __name__ == "__main__":
    main()
