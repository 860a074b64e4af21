"""Waiting for a pending task without asking for one."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from headrace._broker.commands import Commands, checked
from headrace._broker.single import BLOCK_SECONDS
from headrace._errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace._broker.link import Link
    from headrace._broker.memory import Bell

__all__ = ["Waiting"]

MAX_WATCHED: Final = 8
"""Each queue that is watched takes a connection; beyond these it is asked now and then."""
CANCEL_AGAIN: Final = 0.1
"""Seconds after which a watcher that does not end is cancelled again."""


class Waiting:
    """Tells when a queue may hold a pending task, whoever put it there."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._commands: Commands | None = None
        self._watchers: dict[str, asyncio.Task[None]] = {}

    async def wait_for_pending(
        self, queues: Sequence[str], *, timeout: float, poll_interval: float
    ) -> None:
        """Return when one of *queues* may hold a task. See `ProcessorBroker`."""
        if not queues:
            await asyncio.sleep(min(timeout, poll_interval))
        elif self._link.connector.bell is not None:
            await self._wait_for_bell(self._link.connector.bell, queues, timeout)
        elif len(queues) > MAX_WATCHED:
            await asyncio.sleep(min(timeout, poll_interval))
        else:
            await self._wait_for_watchers(queues, timeout)

    async def _wait_for_bell(self, bell: Bell, queues: Sequence[str], timeout: float) -> None:
        rung = asyncio.Event()
        bell.hang(rung)
        try:
            # Only now: a task that came after the caller's last look rang too early for us.
            lengths = await self._link.commands.run(
                *(("LLEN", self._link.keys(queue).pending) for queue in queues)
            )
            if not any(checked(length) for length in lengths):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(timeout):
                        await rung.wait()
        finally:
            bell.take_down(rung)

    async def _wait_for_watchers(self, queues: Sequence[str], timeout: float) -> None:
        for queue in queues:
            if queue not in self._watchers:
                # It outlives this call: to end a blocked command costs its connection.
                self._watchers[queue] = asyncio.create_task(
                    self._watch(queue), name=f"headrace watcher of {queue}"
                )
        watchers = {self._watchers[queue]: queue for queue in queues}
        done, _ = await asyncio.wait(watchers, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        for watcher in done:
            del self._watchers[watchers[watcher]]
        errors = [error for watcher in done if (error := watcher.exception()) is not None]
        if errors:
            raise errors[0]

    async def _watch(self, queue: str) -> None:
        """Return when the queue has a pending task.

        Moving the list's last item to its own end changes nothing, but waits until there is
        one.
        """
        if self._commands is None:
            self._commands = Commands(self._link.connector.waiting())
        pending = self._link.keys(queue).pending
        command = ("BLMOVE", pending, pending, "RIGHT", "RIGHT", BLOCK_SECONDS)
        while True:
            try:
                if await self._commands.one(command) is not None:
                    return
            except BrokerError as error:
                # A full Redis refuses this command, though not those that drain it.
                if error.code != "OOM":
                    raise
                await asyncio.sleep(1)
                return

    async def close(self) -> None:
        """End what is under way."""
        watchers, self._watchers = list(self._watchers.values()), {}
        under_way = set(watchers)
        while under_way:
            # Again and again: asyncio.wait_for, by which redis-py sends, swallows a cancellation
            # that comes together with its result (Python 3.11; bugs.python.org/issue37658).
            for watcher in under_way:
                watcher.cancel()
            _, under_way = await asyncio.wait(under_way, timeout=CANCEL_AGAIN)
        await asyncio.gather(*watchers, return_exceptions=True)
        if self._commands is not None:
            await self._commands.close()
            self._commands = None
