"""Whether a server makes progress: what it knows of itself, and the verdict."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import Sized

__all__ = ["HEARTBEATS_MISSED", "ServerHealth", "Vitals", "unstarted"]

HEARTBEATS_MISSED = 2.5
"""Heartbeat intervals after which one that did not come means trouble."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ServerHealth:
    """How a server is, judged by its progress.

    `alive` is about the process: where it is False, a restart may help. `ready` is about the
    work: where it is False, tasks do not run here for now; while Redis is away, say.
    """

    state: str
    """As `Server.state`."""
    alive: bool
    ready: bool
    reasons: tuple[str, ...]
    """Why it is not ready; empty if it is."""
    running: int
    """How many handlers run."""
    concurrency: int
    """How many may."""
    heartbeat_age: float | None
    """Seconds since Redis took the last heartbeat; None: it has taken none yet."""
    loop_lag: float
    """Seconds by which the event loop is late, or was at the last look."""


def unstarted(state: str, concurrency: int) -> ServerHealth:
    """Return the verdict on a server that does not run yet, or never did."""
    return ServerHealth(
        state=state,
        alive=state != "closed",
        ready=False,
        reasons=(f"the server is {state}",),
        running=0,
        concurrency=concurrency,
        heartbeat_age=None,
        loop_lag=0.0,
    )


class Vitals:
    """The signs of progress of one run of a server, by the event loop's clock.

    Args:
        patience: Seconds without a sign after which something is wrong.
        concurrency: How many handlers may run.
        tick: Seconds between two calls of `ticked`.

    Attributes:
        running: The handlers that run.
    """

    def __init__(self, *, patience: float, concurrency: int, tick: float = 0.5) -> None:
        self.tick = tick
        self.running: Sized = ()
        self._patience = patience
        self._concurrency = concurrency
        now = anyio.current_time()
        self._tick_due = now + tick
        self._lag = 0.0
        self._beat_at: float | None = None
        self._intake_due = now + patience
        self._intake_fails = False

    @property
    def is_full(self) -> bool:
        """Whether every slot is taken."""
        return len(self.running) >= self._concurrency

    def ticked(self) -> float:
        """Note that the event loop ran; return the seconds by which it was late."""
        now = anyio.current_time()
        self._lag = max(0.0, now - self._tick_due)
        self._tick_due = now + self.tick
        if self.is_full:  # Who has no slot need not fetch, and has some time once it does.
            self._expect_intake(now, self._patience)
        return self._lag

    def beat(self) -> None:
        """Note that Redis took a heartbeat."""
        self._beat_at = anyio.current_time()

    def fetched(self) -> None:
        """Note that Redis answered a dequeue."""
        self._intake_fails = False
        self._expect_intake(anyio.current_time(), self._patience)

    def waits(self, timeout: float) -> None:
        """Note that tasks are waited for, for *timeout* seconds at the most."""
        self._expect_intake(anyio.current_time(), timeout + self._patience)

    def fetch_failed(self) -> None:
        """Note that Redis did not answer a dequeue: what does not fetch is not stuck."""
        self._intake_fails = True

    def _expect_intake(self, now: float, within: float) -> None:
        self._intake_due = now + within

    def health(self, state: str) -> ServerHealth:
        """Return the verdict on a server in *state*."""
        now = anyio.current_time()
        late = now - self._tick_due
        loop_stands = late > self._patience
        intake_late = not self.is_full and now > self._intake_due
        reasons = [] if state == "active" else [f"the server is {state}"]
        if loop_stands:
            reasons.append(f"the event loop is {late:.1f} s late")
        if self._beat_at is None:
            reasons.append("Redis has taken no heartbeat yet")
        elif (age := now - self._beat_at) > self._patience:
            reasons.append(f"Redis took the last heartbeat {age:.1f} s ago")
        if self._intake_fails:
            reasons.append("Redis does not answer when asked for tasks")
        elif intake_late and state == "active":
            reasons.append("no task was asked for, though slots are free: the intake is stuck")
        stuck = intake_late and not self._intake_fails and state == "active"
        return ServerHealth(
            state=state,
            alive=state != "closed" and not loop_stands and not stuck,
            ready=not reasons,
            reasons=tuple(reasons),
            running=len(self.running),
            concurrency=self._concurrency,
            heartbeat_age=None if self._beat_at is None else now - self._beat_at,
            loop_lag=max(self._lag, late, 0.0),
        )
