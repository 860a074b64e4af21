"""Five scheduler processes, of which the one that was first is killed again and again."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.worker_process import command_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import redis

    from tests.support.redis_server import RedisServer

TICKS = int(os.environ.get("HEADRACE_TEST_TICKS", "12"))
"""How many there are to be; 60 takes a minute."""
MARKER = "headrace:{default}:tick:every-second"
PROGRAM = """
import os
from headrace import Scheduler, Task

scheduler = Scheduler(os.environ["HEADRACE_REDIS_URL"], heartbeat_interval=1)
scheduler.register("@every 1s", Task("tick"), entry_id="every-second", retention=60)
"""


class Fleet:
    """Schedulers in processes of their own. One that is killed is replaced."""

    def __init__(self, directory: Path, redis_url: str) -> None:
        (directory / "fleet.py").write_text(PROGRAM, "utf-8")
        self._directory = directory
        self._redis_url = redis_url
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start one more."""
        process = subprocess.Popen(
            [sys.executable, "-m", "headrace", "scheduler", "fleet:scheduler"],
            cwd=self._directory,
            env=command_environment(self._redis_url),
            stderr=subprocess.DEVNULL,
        )
        self._processes[process.pid] = process

    def is_whole(self, client: redis.Redis) -> bool:
        """Whether all of them are at work, those too that were started last."""
        names = b"".join(client.scan_iter("asynq:schedulers:*"))
        return all(f":{pid}:".encode() in names for pid in self._processes)

    def replace(self, pid: int) -> bool:
        """Kill one, if it is of this fleet, and start another."""
        process = self._processes.pop(pid, None)
        if process is None:
            return False
        process.kill()
        process.wait()
        self.start()
        return True

    def stop(self) -> list[int]:
        """End all in order; return their exit codes."""
        for process in self._processes.values():
            process.send_signal(signal.SIGTERM)
        return [process.wait(20) for process in self._processes.values()]

    def close(self) -> None:
        """Kill all that still run."""
        for process in self._processes.values():
            process.kill()
            process.wait()


@pytest.fixture
def fleet(tmp_path: Path, redis_url: str) -> Iterator[Fleet]:
    """No schedulers yet."""
    with contextlib.closing(Fleet(tmp_path, redis_url)) as fleet:
        yield fleet


def leader(client: redis.Redis) -> tuple[int, int]:
    """Return the last tick, and the process that enqueued it; 0 if none did."""
    marker = client.get(MARKER)
    assert isinstance(marker, bytes)
    tick, _, name = marker.decode().partition(" ")
    return int(tick), int(name.split(":")[-2]) if ":" in name else 0


@pytest.mark.timeout(TICKS * 3 + 240)
def test_leader_is_killed_again_and_again(
    fleet: Fleet, redis_server: RedisServer, record_property: Callable[[str, object], None]
) -> None:
    """Each second's task is enqueued once, whoever is killed: none is missing or doubled."""
    with contextlib.closing(redis_server.client()) as client:
        for _ in range(5):
            fleet.start()
        while client.zcard("asynq:schedulers") < 5:
            time.sleep(0.05)  # There is no event to wait for: other processes write it.
        begun, _ = leader(client)
        killed, seen = 0, begun
        while seen < begun + TICKS:
            tick, pid = leader(client)
            if tick > seen:
                seen = tick
                if fleet.is_whole(client):
                    killed += fleet.replace(pid)
            time.sleep(0.02)  # As above.
        codes = fleet.stop()
        end, _ = leader(client)
        times = pending_times(client)

    record_property("ticks", f"{end - begun}, {killed} kills")
    ticks = range(begun + 1, end + 1)
    since = [at for at in times if at >= begun + 1]
    assert len(ticks) == len(since)
    # None before its time; some may be late while the machine is busy.
    assert all(0 <= at - tick < 10 for at, tick in zip(since, ticks, strict=True))
    assert killed >= TICKS / 12
    assert set(codes) <= {0, 143, -15}


def pending_times(client: redis.Redis) -> list[float]:
    """Return when the pending tasks were enqueued, oldest first."""
    times = []
    for key in client.scan_iter("asynq:{default}:t:*"):
        since = client.hget(key, "pending_since")
        assert isinstance(since, bytes)
        times.append(int(since) / 1e9)
    return sorted(times)
