"""Redis at the other end of a longer line: our proxy, calibrated to add 1 ms to a round trip."""

from __future__ import annotations

import statistics
import subprocess
import time
import urllib.parse
from typing import TYPE_CHECKING, Final

import redis

from benchmarks.programs import cpu_seconds

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ADDED: Final = 0.001
"""Seconds to add to a round trip: a half each way."""
CLOSE_ENOUGH: Final = 0.02
"""The part of those by which the round trip may be off."""
ATTEMPTS: Final = 5
PIPELINES: Final = 10
"""Pipelines one after another; each holds ten times as many commands as there are pings."""


class DelayedRedis:
    """A running proxy before a Redis.

    Args:
        program: The proxy's program.
        url: The Redis.
        pings: Round trips of which the median is taken.

    Attributes:
        url: The Redis through the proxy.
        figures: What the proxy really does: round trips in milliseconds, direct and through it;
            the commands a second of long pipelines, direct and through it; and the CPU time of
            the proxy for each of those commands, and for each command that is sent alone.
    """

    def __init__(self, program: Path, url: str, pings: int) -> None:
        self._program = program
        self._pings = pings
        self._direct_url = url
        self._start(ADDED / 2)
        try:
            self.figures = self._figures(self._calibrate())
        except BaseException:
            self.close()
            raise

    def _calibrate(self) -> float:
        """Restart the proxy until its round trip fits, and return the delay that makes it fit."""
        delay = ADDED / 2
        direct = _round_trip(self._direct_url, self._pings)
        for _ in range(ATTEMPTS):
            excess = _round_trip(self.url, self._pings) - direct - ADDED
            if abs(excess) < ADDED * CLOSE_ENOUGH:
                break
            # The proxy's own work takes time too, and the machine's timers.
            delay -= excess / 2
            self.close()
            self._start(delay)
        return delay

    def _start(self, delay: float) -> None:
        to = urllib.parse.urlsplit(self._direct_url)
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            [
                *(str(self._program), "-to", f"{to.hostname}:{to.port or 6379}"),
                *("-delay", f"{max(0, round(delay * 1e9))}ns"),
            ],
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None  # noqa: S101 - Popen was told to make a pipe
        address = self._process.stdout.readline().decode().strip()
        self.url = to._replace(netloc=address).geturl()

    def _figures(self, delay: float) -> Mapping[str, float]:
        before = cpu_seconds(self._process.pid)
        round_trip = _round_trip(self.url, self._pings)
        between = cpu_seconds(self._process.pid)
        rate = _rate(self.url, 10 * self._pings)
        after = cpu_seconds(self._process.pid)
        return {
            "delay_each_way_ms": delay * 1e3,
            "direct_round_trip_ms": _round_trip(self._direct_url, self._pings) * 1e3,
            "round_trip_ms": round_trip * 1e3,
            "direct_commands_per_s": _rate(self._direct_url, 10 * self._pings),
            "commands_per_s": rate,
            "cpu_us_per_command": (after - between) / (PIPELINES * 10 * self._pings) * 1e6,
            "cpu_us_per_round_trip": (between - before) / self._pings * 1e6,
        }

    def close(self) -> None:
        """End the proxy."""
        self._process.kill()
        self._process.communicate()


def _round_trip(url: str, pings: int) -> float:
    """Return the median seconds of a PING."""
    times = []
    with redis.Redis.from_url(url) as client:
        for _ in range(pings):
            start = time.perf_counter()
            client.ping()
            times.append(time.perf_counter() - start)
    return statistics.median(times)


def _rate(url: str, commands: int) -> float:
    """Return the commands a second of pipelines that hold so many."""
    with redis.Redis.from_url(url) as client:
        pipeline = client.pipeline(transaction=False)
        start = time.perf_counter()
        for _ in range(PIPELINES):
            for _ in range(commands):
                pipeline.ping()
            pipeline.execute()
        return PIPELINES * commands / (time.perf_counter() - start)
