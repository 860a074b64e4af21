"""An event loop whose time jumps to the next timer as soon as it has nothing to do.

A test that asks for the fixture ``virtual_time`` runs on it. To have that, a conftest imports
both `virtual_time` and `pytest_asyncio_loop_factories` from here.
"""

from __future__ import annotations

import asyncio
import contextlib
import selectors
from typing import TYPE_CHECKING

import pytest_asyncio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

    import pytest
    from _typeshed import FileDescriptorLike

__all__ = ["VirtualTime", "VirtualTimeLoop", "pytest_asyncio_loop_factories", "virtual_time"]

EPOCH = 1_700_000_000.25
"""Wall time when the loop's time is 0. Not a whole second, lest that hide a mistake."""
_PATIENCE = 60.0


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Begins at time 0. Only its clock is virtual: sockets, pipes and threads are real."""

    def __init__(self) -> None:
        self._now = 0.0
        self.holds = 0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        """Return the seconds since the loop began."""
        return self._now

    def jump(self, seconds: float) -> None:
        """Let time pass at once."""
        self._now += seconds


class _JumpingSelector(selectors.BaseSelector):
    """Lets time pass instead of waiting."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        self._loop = loop
        self._real = selectors.DefaultSelector()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready; if nothing is, time has passed up to the next timer."""
        if events := self._real.select(0):
            return events
        if self._loop.holds:
            return self._real.select(_PATIENCE if timeout is None else min(timeout, 0.01))
        if timeout is None:
            # Only another thread can wake the loop now. If there is none, say so.
            if events := self._real.select(_PATIENCE):
                return events
            raise RuntimeError("Every task waits, and no timer is set: this test would hang")
        self._loop.jump(timeout)
        return []

    def register(
        self, fileobj: FileDescriptorLike, events: int, data: object = None
    ) -> selectors.SelectorKey:
        """Watch a file."""
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        """Watch a file no longer."""
        return self._real.unregister(fileobj)

    def modify(
        self, fileobj: FileDescriptorLike, events: int, data: object = None
    ) -> selectors.SelectorKey:
        """Watch a file for something else."""
        return self._real.modify(fileobj, events, data)

    def get_map(self) -> Mapping[FileDescriptorLike, selectors.SelectorKey]:
        """Return the files that are watched."""
        return self._real.get_map()

    def close(self) -> None:
        """Close the real selector."""
        self._real.close()


class VirtualTime:
    """The clocks of a test: the loop's, and a wall clock that goes with it."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        self._loop = loop

    @property
    def now(self) -> float:
        """The loop's time."""
        return self._loop.time()

    def time(self) -> float:
        """Return the wall time, as a `headrace._clock.Clock`."""
        return EPOCH + self._loop.time()

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Stop time, while a thread works on something that the loop waits for."""
        self._loop.holds += 1
        try:
            yield
        finally:
            self._loop.holds -= 1


@pytest_asyncio.fixture
async def virtual_time() -> AsyncIterator[VirtualTime]:
    """The clocks of the test, which runs in virtual time."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop), "import pytest_asyncio_loop_factories in a conftest"
    yield VirtualTime(loop)


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Give virtual time to the tests that ask for it, and a usual loop to the others."""
    if "virtual_time" in getattr(item, "fixturenames", ()):
        return {"virtual": VirtualTimeLoop}
    return {"usual": asyncio.new_event_loop}
