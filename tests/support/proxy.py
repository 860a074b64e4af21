"""A TCP proxy in front of Redis that loses what a test tells it to lose."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from headrace._broker.scripts import SCRIPTS

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = ["LossyProxy"]


@dataclasses.dataclass(slots=True)
class _Loss:
    marks: tuple[bytes, ...]
    applied: bool
    times: int


class LossyProxy:
    """Forwards everything, except for what `lose` says.

    Args:
        url: Of the real Redis.

    Attributes:
        lost: How many commands or replies were lost.
    """

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._losses: list[_Loss] = []
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self.lost = 0
        self.url = ""

    def lose(self, script: str, *, applied: bool = True, times: int = 1) -> None:
        """Cut the connection instead of answering the next calls of a script.

        Args:
            script: Its name.
            applied: Cut after Redis has applied it, so that only the reply is lost; False:
                cut before Redis gets it.
            times: How many calls.
        """
        marks = (SCRIPTS[script].sha.encode(), f"-- {script}.lua:".encode())
        self._losses.append(_Loss(marks, applied, times))

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = urlunsplit(self._target._replace(netloc=f"127.0.0.1:{port}"))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for connection in list(self._connections):
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        far_reader, far_writer = await asyncio.open_connection(
            self._target.hostname, self._target.port
        )
        cut = asyncio.Event()
        pumps = [
            asyncio.create_task(self._forward(reader, far_writer, cut)),
            asyncio.create_task(_back(far_reader, writer, cut)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            pass  # The test is over; start_server's callback must not be seen to fail.
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            for end in (writer, far_writer):
                end.close()
                with contextlib.suppress(OSError):
                    await end.wait_closed()

    async def _forward(
        self, reader: asyncio.StreamReader, far: asyncio.StreamWriter, cut: asyncio.Event
    ) -> None:
        while data := await reader.read(1 << 20):
            loss = self._match(data)
            if loss is not None:
                self.lost += 1
                if not loss.applied:
                    return
                cut.set()
            far.write(data)
            await far.drain()

    def _match(self, data: bytes) -> _Loss | None:
        for loss in self._losses:
            if loss.times and any(mark in data for mark in loss.marks):
                loss.times -= 1
                return loss
        return None


async def _back(
    far: asyncio.StreamReader, writer: asyncio.StreamWriter, cut: asyncio.Event
) -> None:
    while data := await far.read(1 << 20):
        if cut.is_set():
            return
        writer.write(data)
        await writer.drain()
