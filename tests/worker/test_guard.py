"""The guard thread: a blocked loop does not cost running tasks their leases."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

import pytest
from anyio.lowlevel import checkpoint

from headrace._broker.values import Lease
from headrace._errors import BrokerError
from headrace._log import RateLimitedLog
from headrace._worker.guard import GuardThread
from tests.support.fake_broker import FakeGuard
from tests.worker.helpers import lines, running

if TYPE_CHECKING:
    from collections.abc import Sequence

LEASES = [Lease("a", "x", "1"), Lease("b", "y", "2")]


class Watch:
    """A monotonic clock that a test sets."""

    now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def watch() -> Watch:
    """The guard's clock."""
    return Watch()


@pytest.fixture
def lease_guard() -> FakeGuard:
    """What extends leases."""
    return FakeGuard()


@pytest.fixture
def guard(lease_guard: FakeGuard, watch: Watch, caplog: pytest.LogCaptureFixture) -> GuardThread:
    """A guard for heartbeats of 8 s and leases of 20 s, whose thread does not run."""
    caplog.set_level(logging.DEBUG, logger="headrace")
    return GuardThread(
        lease_guard,
        snapshot=lambda: LEASES,
        lease_duration=20.0,
        heartbeat_interval=8.0,
        log=RateLimitedLog(logging.getLogger("headrace.guard"), time=watch),
        time=watch,
    )


def look_for(guard: GuardThread, watch: Watch, seconds: float) -> None:
    """Let time pass while the thread looks once a second, as it does at these settings."""
    for _ in range(int(seconds)):
        watch.now += 1
        guard.look()


def test_beating_loop_is_left_alone(
    guard: GuardThread, watch: Watch, lease_guard: FakeGuard, caplog: pytest.LogCaptureFixture
) -> None:
    """As long as the loop beats, the thread does nothing."""
    for _ in range(60):
        guard.beat()
        look_for(guard, watch, 1)

    assert lease_guard.extended == []
    assert not caplog.records


def test_blocked_loop_keeps_its_leases(
    guard: GuardThread, watch: Watch, lease_guard: FakeGuard
) -> None:
    """After half a heartbeat of silence it extends, and again once per heartbeat."""
    guard.beat()
    look_for(guard, watch, 4)
    assert lease_guard.extended == []
    look_for(guard, watch, 1)
    assert lease_guard.extended == [(LEASES, 20.0)]
    look_for(guard, watch, 7)
    assert len(lease_guard.extended) == 1
    look_for(guard, watch, 1)
    assert len(lease_guard.extended) == 2


@pytest.mark.parametrize("heartbeat", [1.0, 5.0, 30.0])
def test_no_lease_ends_before_the_guard_acts(
    lease_guard: FakeGuard, watch: Watch, heartbeat: float
) -> None:
    """Even a lease of two heartbeats, extended a whole one before the last beat, is saved."""
    guard = GuardThread(
        lease_guard,
        snapshot=lambda: LEASES,
        lease_duration=2 * heartbeat,
        heartbeat_interval=heartbeat,
        log=RateLimitedLog(logging.getLogger("headrace.guard")),
        time=watch,
    )
    lease_extended_at = watch.now
    watch.now += heartbeat
    guard.look()
    guard.beat()
    while not lease_guard.extended:
        watch.now += heartbeat / 8
        guard.look()

    assert watch.now - lease_extended_at < 2 * heartbeat * 0.9


def test_episode_is_logged_once_with_the_stack(
    guard: GuardThread, watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    """One line says where the loop is stuck, and one when it is free again."""
    guard.beat()
    look_for(guard, watch, 60)
    assert len(caplog.records) == 1
    assert "has been blocked for 5.0 s" in lines(caplog)[0]
    assert "test_episode_is_logged_once_with_the_stack" in lines(caplog)[0]
    guard.beat()
    look_for(guard, watch, 1)
    assert lines(caplog, logging.INFO)[1:] == ["The event loop runs again after 61.0 s"]
    look_for(guard, watch, 60)
    assert len(caplog.records) == 3


def test_stopped_process_is_not_a_blocked_loop(
    guard: GuardThread, watch: Watch, lease_guard: FakeGuard, caplog: pytest.LogCaptureFixture
) -> None:
    """If the thread itself stood still, the loop gets time to beat before it is blamed."""
    guard.beat()
    watch.now += 60
    guard.look()
    guard.beat()
    look_for(guard, watch, 1)

    assert lease_guard.extended == []
    assert not caplog.records


def test_still_blocked_after_a_stop(
    guard: GuardThread, watch: Watch, lease_guard: FakeGuard
) -> None:
    """A loop that does not use that time is blocked."""
    guard.beat()
    watch.now += 60
    guard.look()
    look_for(guard, watch, 1)

    assert len(lease_guard.extended) == 1


def test_failure_is_survived_and_tried_again_soon(
    guard: GuardThread,
    watch: Watch,
    lease_guard: FakeGuard,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """While Redis does not answer it tries at every look, but logs a line per ten seconds."""
    lease_guard.error = BrokerError("gone")
    guard.beat()
    look_for(guard, watch, 14)
    faults = [line for line in lines(caplog) if "Could not extend" in line]
    assert len(faults) == 1
    lease_guard.error = None
    look_for(guard, watch, 1)

    assert len(lease_guard.extended) == 1


def test_any_error_is_survived(
    lease_guard: FakeGuard, watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even a mistake in the program ends the last line of defence."""

    def snapshot() -> Sequence[Lease]:
        raise RuntimeError("a mistake")

    guard = GuardThread(
        lease_guard,
        snapshot=snapshot,
        lease_duration=20.0,
        heartbeat_interval=8.0,
        log=RateLimitedLog(logging.getLogger("headrace.guard"), time=watch),
        time=watch,
    )
    guard.beat()
    look_for(guard, watch, 30)

    assert any("a mistake" in line for line in lines(caplog))


def test_nothing_runs_nothing_is_extended(lease_guard: FakeGuard, watch: Watch) -> None:
    """Without running tasks Redis is not asked."""
    guard = GuardThread(
        lease_guard,
        snapshot=list,
        lease_duration=20.0,
        heartbeat_interval=8.0,
        log=RateLimitedLog(logging.getLogger("headrace.guard"), time=watch),
        time=watch,
    )
    guard.beat()
    look_for(guard, watch, 30)

    assert lease_guard.extended == []


class SignallingGuard(FakeGuard):
    """Says when it was called."""

    def __init__(self) -> None:
        super().__init__()
        self.called = threading.Event()

    def extend(self, leases: Sequence[Lease], duration: float) -> None:
        """Record, then signal."""
        super().extend(leases, duration)
        self.called.set()


async def test_thread_acts_while_the_loop_is_blocked(caplog: pytest.LogCaptureFixture) -> None:
    """For real: a handler blocks the loop until the thread has extended the leases."""
    lease_guard = SignallingGuard()
    guard = GuardThread(
        lease_guard,
        snapshot=lambda: LEASES,
        lease_duration=15.0,
        heartbeat_interval=0.4,
        log=RateLimitedLog(logging.getLogger("headrace.guard")),
    )
    async with running(guard):
        await checkpoint()
        assert lease_guard.called.wait(20), "the loop is blocked here, and nobody noticed"

    assert lease_guard.extended[0] == (LEASES, 15.0)
    assert "test_thread_acts_while_the_loop_is_blocked" in lines(caplog)[0]


async def test_thread_ends_with_its_component() -> None:
    """Cancelling run() ends the thread and closes its connection."""
    lease_guard = FakeGuard()
    guard = GuardThread(
        lease_guard,
        snapshot=lambda: LEASES,
        lease_duration=15.0,
        heartbeat_interval=5.0,
        log=RateLimitedLog(logging.getLogger("headrace.guard")),
    )
    async with running(guard):
        names = {thread.name: thread.daemon for thread in threading.enumerate()}
        assert names["headrace-guard"] is True

    assert "headrace-guard" not in {thread.name for thread in threading.enumerate()}
    assert lease_guard.closed
