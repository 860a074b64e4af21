"""The end of waiting for tasks, whatever the Redis client does with a cancellation."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, cast

from headrace._broker.link import Link
from headrace._broker.waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace._broker.connections import Argument
    from headrace._broker.single import Connector
    from tests.support.virtual_time import VirtualTime


class DeafSender:
    """Waits for ever, and does not hear the first cancellation."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.is_closed = False

    async def send(self, _: Sequence[tuple[Argument, ...]]) -> list[object]:
        """Wait."""
        self.asked.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()
        raise AssertionError

    async def close(self) -> None:
        """Take note."""
        self.is_closed = True


class DeafConnector:
    """Leads to a `DeafSender`."""

    address = "nowhere"
    bell = None

    def __init__(self) -> None:
        self.sender = DeafSender()

    def waiting(self) -> DeafSender:
        """Return it."""
        return self.sender


async def test_swallowed_cancellation_does_not_hold_up_the_end(virtual_time: VirtualTime) -> None:
    """A watcher that did not hear that it was cancelled is cancelled again."""
    connector = DeafConnector()
    waiting = Waiting(Link(cast("Connector", connector)))
    wait = asyncio.create_task(waiting.wait_for_pending(["q"], timeout=60, poll_interval=1))
    await connector.sender.asked.wait()
    wait.cancel()
    await waiting.close()

    assert connector.sender.is_closed
    assert virtual_time.now < 1
