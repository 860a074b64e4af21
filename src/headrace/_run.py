"""Running a server as a process: signals in, graceful shutdown out."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import os
import signal
import threading
from typing import TYPE_CHECKING, NoReturn, cast

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, TracebackType
    from typing import Protocol, Self

    class Runnable(Protocol):
        """A `Server`, a `Scheduler` or a `PeriodicTaskManager`."""

        @property
        def state(self) -> str:
            """``new``, ``active``, ``stopped`` or ``closed``."""
            ...

        def stop(self) -> None:
            """Begin nothing more."""
            ...

        async def run(self) -> None:
            """Start, and return when it was shut down."""
            ...

        async def shutdown(self) -> None:
            """Stop, and close."""
            ...


__all__ = ["run", "serve"]

FLUSH_TIMEOUT = 0.5
"""Seconds that an abort waits for the log: whoever reads it may be stuck too."""

log = logging.getLogger("headrace")


def run(server: Runnable) -> None:
    """Run *server*, or a scheduler, in an event loop of its own until a signal ends it.

    SIGTERM and SIGINT shut it down: it stops fetching, gives running tasks its
    *shutdown_timeout*, and returns. A second one ends the process at once, with 128 + the
    signal's number; other workers take over the tasks when their leases end. SIGTSTP stops
    the fetching only. The loop is uvloop's where that is installed.

    Handlers that ignore their cancellation, such as a thread that hangs, could keep the process
    for ever, and with it their tasks: then it ends without returning, with exit code 1.

    Raises:
        RuntimeError: If an event loop runs in this thread, or it is not the main thread.
        BrokerError: If Redis cannot be reached, or cannot be used, at the start.
        ServerStateError: If the server was stopped or shut down before.
    """
    if _in_event_loop():
        raise RuntimeError(
            "An event loop runs here already. Use `async with server` inside of it, or "
            "`await headrace.serve(server)` to handle signals too."
        )
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(serve(server))
        if server.state != "closed":
            _exit_now(1)  # The server has logged who is stuck. The loop would wait for them.


async def serve(server: Runnable) -> None:
    """Run *server* in the running event loop until a signal ends it, as `run` does.

    The handlers that the signals had before are put back at the end. It returns even if
    handlers ignore their cancellation; they stay behind in the loop.

    Raises:
        RuntimeError: If this is not the main thread, which alone gets signals.
        BrokerError: If Redis cannot be reached, or cannot be used, at the start.
        ServerStateError: If the server was stopped or shut down before.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError(
            "Signals reach the main thread only. Use `await server.run()` in this one, and "
            "`await server.shutdown()` to end it."
        )
    with _Signals(server) as signals:
        running = asyncio.ensure_future(server.run())
        try:
            await asyncio.wait({running, signals.shut_down}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            running.cancel()
            await asyncio.wait({running})
            raise
        if running.done() or server.state == "closed":
            await running


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes uvloop's loops; None, for asyncio's own, where it is not installed."""
    try:
        uvloop = importlib.import_module("uvloop")
    except ImportError:
        return None
    return cast("Callable[[], asyncio.AbstractEventLoop]", uvloop.new_event_loop)


class _Signals:
    """Turns signals into calls of *server* while it is entered.

    Handlers of `signal.signal` and not of the loop: they run while a handler blocks the loop,
    which is when an operator needs the second signal. They wake the loop as the one that
    `asyncio.Runner` installs for SIGINT does, by ``call_soon_threadsafe``.

    Attributes:
        shut_down: Done once the shutdown that a signal asked for has returned.
    """

    def __init__(self, server: Runnable) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._ending = False
        self._shutdown: asyncio.Task[None] | None = None
        self._previous: dict[int, object] = {}
        self.shut_down: asyncio.Future[None] = self._loop.create_future()

    def __enter__(self) -> Self:
        self._install(signal.SIGTERM, self._on_end)
        self._install(signal.SIGINT, self._on_end)
        if hasattr(signal, "SIGTSTP"):  # Not on Windows.
            self._install(signal.SIGTSTP, self._on_stop)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for signum, previous in self._previous.items():
            if previous is not None:  # None: not installed by Python, so out of its reach.
                signal.signal(signum, previous)  # type: ignore[arg-type]  # From signal.signal.

    def _install(self, signum: int, handler: Callable[[int, FrameType | None], None]) -> None:
        self._previous[signum] = signal.signal(signum, handler)

    def _on_end(self, signum: int, _frame: FrameType | None) -> None:
        if self._ending:
            _abort(signum)
        self._ending = True
        self._loop.call_soon_threadsafe(self._begin_shutdown, signum)

    def _on_stop(self, _signum: int, _frame: FrameType | None) -> None:
        self._loop.call_soon_threadsafe(self._stop)

    def _begin_shutdown(self, signum: int) -> None:
        log.info("%s: shutting down; a second one aborts at once", signal.Signals(signum).name)
        self._shutdown = asyncio.ensure_future(self._shut_down())

    async def _shut_down(self) -> None:
        try:
            await self._server.shutdown()
        except Exception as error:  # noqa: BLE001 - whoever waits for the server gets it, too
            log.debug("The shutdown failed: %s", error)
        finally:
            self.shut_down.set_result(None)

    def _stop(self) -> None:
        if self._server.state == "active":
            log.info("SIGTSTP: no more tasks are fetched; running ones go on")
            self._server.stop()


def _abort(signum: int) -> NoReturn:
    """End the process now. Nothing is written to Redis."""
    _exit_now(
        128 + signum,
        f"Second signal ({signal.Signals(signum).name}): aborted; running tasks start again "
        f"elsewhere when their leases end",
    )


def _exit_now(code: int, reason: str = "") -> NoReturn:
    """End the process without waiting for anybody, after *reason* was logged."""

    def flush() -> None:
        if reason:
            log.warning(reason)
        with contextlib.suppress(Exception):
            logging.shutdown()

    # In a thread and with a limit: a signal may have interrupted a thread that holds the log's
    # lock, and a full pipe would hold up the end.
    flusher = threading.Thread(target=flush, daemon=True)
    flusher.start()
    flusher.join(FLUSH_TIMEOUT)
    os._exit(code)
