"""The virtual loop itself: the other tests rely on it."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import pytest

if TYPE_CHECKING:
    from tests.support.virtual_time import VirtualTime


async def test_sleeping_takes_no_time(virtual_time: VirtualTime) -> None:
    """A day of sleep passes at once, and the loop's clock shows it."""
    await anyio.sleep(86_400)

    assert virtual_time.now == pytest.approx(86_400)


async def test_tasks_wake_in_the_order_of_their_timers(virtual_time: VirtualTime) -> None:
    """Time jumps to the next timer only."""
    woken: list[tuple[float, str]] = []

    async def sleep(seconds: float, name: str) -> None:
        await asyncio.sleep(seconds)
        woken.append((round(virtual_time.now, 6), name))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sleep, 3.0, "late")
        tasks.start_soon(sleep, 1.5, "early")

    assert woken == [(1.5, "early"), (3.0, "late")]


async def test_timeouts_are_virtual(virtual_time: VirtualTime) -> None:
    """The deadlines of anyio and the time-outs of asyncio run on the same clock."""
    with anyio.move_on_after(5) as scope:
        await anyio.sleep_forever()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(7):
            await asyncio.Event().wait()

    assert scope.cancelled_caught
    assert virtual_time.now == pytest.approx(12)


async def test_hold_stops_time_while_a_thread_works(virtual_time: VirtualTime) -> None:
    """A timer does not go off while the loop waits for a thread under hold()."""
    go = threading.Event()
    asyncio.get_running_loop().call_later(60, go.set)
    with virtual_time.hold():
        answered = await anyio.to_thread.run_sync(go.wait, 0.05)

    assert not answered
    assert virtual_time.now == 0


def test_tests_that_do_not_ask_have_a_usual_loop(request: pytest.FixtureRequest) -> None:
    """The hook leaves all other tests alone."""
    assert "virtual_time" not in request.fixturenames
