"""Start and stop of what runs until it is told to end: the same as a server's."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Literal, TypeAlias

import anyio

from headrace._errors import ServerClosedError, ServerStateError

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = ["Service", "ServiceState"]

ServiceState: TypeAlias = Literal["new", "active", "stopped", "closed"]


class Service:
    """It may be started once; then it is used up."""

    def __init__(self) -> None:
        self._state: ServiceState = "new"
        self._serving: asyncio.Task[None] | None = None
        self._started: asyncio.Event = asyncio.Event()

    async def _serve(self) -> None:
        """Run until cancelled; call `_is_active` once all is up."""
        raise NotImplementedError

    async def _close(self) -> None:
        """Close what was opened."""
        raise NotImplementedError

    @property
    def state(self) -> ServiceState:
        """``new``, ``active``, ``stopped`` (it enqueues no more) or ``closed``."""
        return self._state

    def _is_active(self) -> None:
        self._state = "active"
        self._started.set()

    async def start(self) -> None:
        """Start to enqueue what is due, and return. Nothing happens if it runs already.

        Raises:
            BrokerError: If Redis cannot be reached, or cannot be used.
            ServerClosedError: If it was shut down.
            ServerStateError: If it was stopped.
        """
        if self._state == "closed":
            raise ServerClosedError
        if self._state == "stopped":
            raise ServerStateError("This scheduler was stopped: it can be shut down, not started.")
        if self._serving is None:
            # A cancel scope must be left in the task that entered it, while a framework may
            # start and shut down in two different ones.
            self._serving = asyncio.create_task(self._live(), name="headrace scheduler")
        starting = asyncio.ensure_future(self._started.wait())
        try:
            await asyncio.wait([self._serving, starting], return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            with anyio.CancelScope(shield=True):
                if not self._started.is_set():
                    await self.shutdown()
            raise
        finally:
            starting.cancel()
        if not self._started.is_set():
            self._raise_if_failed()
            raise ServerClosedError  # It was shut down while it started.

    async def _live(self) -> None:
        try:
            await self._serve()
        except BaseExceptionGroup as group:
            raise _first(group) from None
        finally:
            self._state = "closed"
            with anyio.CancelScope(shield=True):
                await self._close()

    def stop(self) -> None:
        """Enqueue no more. Nothing happens unless it is active."""
        if self._state == "active":
            self._state = "stopped"

    async def shutdown(self) -> None:
        """Stop, and close. Once it is closed, this does nothing.

        Raises:
            Exception: What broke it, if something did.
        """
        if self._serving is None:
            self._state = "closed"
            await self._close()
            return
        self.stop()
        self._serving.cancel()
        await asyncio.wait([self._serving])
        self._raise_if_failed()

    async def run(self) -> None:
        """Start, and return when it was shut down. Cancelling this shuts it down, too.

        Raises:
            HeadraceError: See `start`.
            Exception: What broke it, if something did.
        """
        if self._state == "closed":
            raise ServerClosedError
        with contextlib.suppress(ServerClosedError):  # It was shut down while it started.
            await self.start()
        try:
            if self._serving is not None:
                await asyncio.wait([self._serving])
        finally:
            with anyio.CancelScope(shield=True):
                await self.shutdown()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with anyio.CancelScope(shield=True):
            await self.shutdown()

    def _raise_if_failed(self) -> None:
        serving = self._serving
        if serving is None or serving.cancelled():
            return
        error = serving.exception()
        if error is not None and not isinstance(error, asyncio.CancelledError):
            raise error


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first error in *group*, however deep it lies."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
