"""Keeps the leases of running tasks while something blocks the event loop."""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, NoReturn

import anyio

from headrace._errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from anyio.abc import TaskStatus

    from headrace._broker.base import LeaseGuard
    from headrace._broker.values import Lease
    from headrace._log import RateLimitedLog

__all__ = ["GuardThread"]

_STOP_TIMEOUT = 2.0


class GuardThread:
    """A thread that looks whether the loop beats, and extends the leases if it does not.

    It tells time by the monotonic clock itself: the event loop's is what it distrusts. The
    loop counts as blocked after half a heartbeat interval, since the last heartbeat may have
    been a whole one before that, and a lease may last for as little as two.

    Args:
        guard: Extends leases, on a connection of its own. Closed when the thread ends.
        snapshot: Returns the leases of the running tasks. Called from the thread.
        lease_duration: Seconds to extend them to.
        heartbeat_interval: Seconds between extensions while the loop is blocked.
        log: Where blockages and failures go; used by the thread alone once it runs.
        time: Monotonic seconds.
    """

    def __init__(
        self,
        guard: LeaseGuard,
        *,
        snapshot: Callable[[], Sequence[Lease]],
        lease_duration: float,
        heartbeat_interval: float,
        log: RateLimitedLog,
        time: Callable[[], float] = monotonic,
    ) -> None:
        self._guard = guard
        self._snapshot = snapshot
        self._lease_duration = lease_duration
        self._interval = heartbeat_interval
        self._tolerance = heartbeat_interval / 2
        self._tick = heartbeat_interval / 8
        self._log = log
        self._time = time
        self._stopping = threading.Event()
        self._loop_thread = threading.get_ident()
        self._beat_at = self._looked_at = time()
        self._extended_at = 0.0
        self._blocked_since: float | None = None

    def beat(self) -> None:
        """Say that the event loop is alive. Call it from the loop."""
        self._beat_at = self._time()

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> NoReturn:
        """Beat, with the thread watching, until cancelled."""
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        self._loop_thread = threading.get_ident()
        self.beat()
        thread = threading.Thread(
            target=self._watch, args=(loop, ended), name="headrace-guard", daemon=True
        )
        thread.start()
        task_status.started()
        try:
            while True:
                self.beat()
                await anyio.sleep(self._tick)
        finally:
            self._stopping.set()
            # Redis may keep the thread waiting; it is a daemon, so that nobody else has to.
            with anyio.move_on_after(_STOP_TIMEOUT, shield=True):
                await ended.wait()
                thread.join()

    def look(self) -> None:
        """Extend the leases if the loop is blocked. One pass of the thread."""
        now = self._time()
        overslept = now - self._looked_at > self._tolerance
        self._looked_at = now
        blocked_since = self._beat_at
        if now - blocked_since <= self._tolerance:
            self._report_end(now)
        elif overslept and self._blocked_since is None:
            # All of the process stood still, not just the loop; give it time to beat.
            return
        elif self._blocked_since is None or now - self._extended_at >= self._interval:
            self._extend(now)
            self._report_begin(blocked_since, now)

    def _extend(self, now: float) -> None:
        self._extended_at = now
        try:
            leases = self._snapshot()
            if leases:
                self._guard.extend(leases, self._lease_duration)
        except Exception as error:  # noqa: BLE001 - the last line of defence has to go on
            message = "Could not extend leases while the event loop is blocked"
            self._log.fault("extend", message, exc=error)
            if isinstance(error, BrokerError):
                self._extended_at = now - self._interval  # Again at the next look.
        else:
            self._log.recovered("extend")

    def _report_begin(self, since: float, now: float) -> None:
        if self._blocked_since is not None:
            return
        self._blocked_since = since
        frame = sys._current_frames().get(self._loop_thread)  # noqa: SLF001 - no other way
        stack = "".join(traceback.format_stack(frame)) if frame is not None else "unknown"
        self._log.logger.error(
            "The event loop has been blocked for %.1f s; a thread extends the leases meanwhile. "
            "Make the handler a plain def, or await. It is at:\n%s",
            now - since,
            stack,
            extra={"seconds": now - since},
        )

    def _report_end(self, now: float) -> None:
        if self._blocked_since is None:
            return
        seconds, self._blocked_since = now - self._blocked_since, None
        self._log.logger.info(
            "The event loop runs again after %.1f s", seconds, extra={"seconds": seconds}
        )

    def _watch(self, loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
        try:
            while not self._stopping.wait(self._tick):
                self.look()
            self._guard.close()
        except Exception:  # Without a guard the server still works.
            self._log.logger.exception("The guard of the event loop stopped")
        finally:
            with suppress(RuntimeError):  # The loop was closed meanwhile: nobody waits.
                loop.call_soon_threadsafe(ended.set)
