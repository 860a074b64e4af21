"""Signals, and what they make a server do. A stand-in for the server says what it was told."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
import threading
from textwrap import dedent
from typing import TYPE_CHECKING, cast

import pytest

from headrace import Router, Server
from headrace._run import run, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
HANDLED = (signal.SIGTERM, signal.SIGINT, *([] if sys.platform == "win32" else [signal.SIGTSTP]))


class StandIn:
    """Runs until it is shut down, and keeps a list of what it was told."""

    def __init__(self, *signals: signal.Signals, error: Exception | None = None) -> None:
        self.told: list[str] = []
        self.state = "new"
        self._signals, self._error = signals, error
        self._heard, self._end = asyncio.Event(), asyncio.Event()

    async def run(self) -> None:
        """Send the process those signals, one at a time, and wait for the end."""
        self.state = "active"
        # What a handler raises would drag it along in its traceback.
        assert sys.exception() is None
        self.told.append("run")
        for signum in self._signals:
            self._heard.clear()
            signal.raise_signal(signum)
            await self._heard.wait()
        if self._error is not None:
            raise self._error
        await self._end.wait()

    async def shutdown(self) -> None:
        """Let `run` return."""
        self.told.append("shutdown")
        self.state = "closed"
        self._heard.set()
        self._end.set()

    def stop(self) -> None:
        """Take note."""
        self.told.append("stop")
        self._heard.set()


def stand_in(server: StandIn) -> Server:
    """Return *server* as what the functions under test take."""
    return cast("Server", server)


@pytest.fixture(autouse=True)
def handlers_are_put_back() -> Iterator[None]:
    """Every test leaves the signals as it found them."""
    before = [signal.getsignal(signum) for signum in HANDLED]
    yield
    assert before == [signal.getsignal(signum) for signum in HANDLED]


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
async def test_signal_shuts_down(signum: signal.Signals) -> None:
    """SIGTERM and SIGINT shut the server down; `serve` returns normally."""
    server = StandIn(signum)

    await serve(stand_in(server))

    assert server.told == ["run", "shutdown"]


@needs_posix
async def test_sigtstp_stops_fetching() -> None:
    """SIGTSTP stops the server; only a second signal shuts it down."""
    server = StandIn(signal.SIGTSTP, signal.SIGTERM)

    await serve(stand_in(server))

    assert server.told == ["run", "stop", "shutdown"]


async def test_error_of_the_server_comes_out() -> None:
    """A server that breaks raises, and the signals are put back all the same."""
    with pytest.raises(ValueError, match="broken"):
        await serve(stand_in(StandIn(error=ValueError("broken"))))


async def test_earlier_handler_is_put_back() -> None:
    """A program's own handler works again afterwards."""

    def own(_signum: int, _frame: object) -> None:
        """Do nothing."""

    before = signal.signal(signal.SIGTERM, own)
    try:
        await serve(stand_in(StandIn(signal.SIGINT)))

        assert own is signal.getsignal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)


async def test_serve_outside_of_the_main_thread_says_what_to_do() -> None:
    """Signals reach the main thread only."""
    caught: list[BaseException] = []

    def other() -> None:
        try:
            asyncio.run(serve(stand_in(StandIn())))
        except RuntimeError as error:
            caught.append(error)

    thread = threading.Thread(target=other)
    thread.start()
    await asyncio.to_thread(thread.join)

    assert "server.run()" in str(caught[0])


async def test_run_within_a_loop_says_what_to_do() -> None:
    """`run` makes a loop of its own, which cannot be inside of another."""
    with pytest.raises(RuntimeError, match="async with server"):
        run(stand_in(StandIn()))


def test_run_returns_after_a_signal() -> None:
    """`run` blocks until the signal, and then returns None."""
    server = StandIn(signal.SIGTERM)

    assert None is run(stand_in(server))  # type: ignore[func-returns-value]
    assert server.told == ["run", "shutdown"]


async def test_cancelled_serve_shuts_down() -> None:
    """Who cancels it gets the server shut down first, and the signals back."""
    started, ended = asyncio.Event(), asyncio.Event()

    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        started.set()
        try:
            yield
        finally:
            ended.set()

    task = asyncio.ensure_future(serve(Server("memory://", Router(), lifespan=lifespan)))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert ended.is_set()


async def test_signal_during_the_start_ends_it() -> None:
    """A worker that waits for something at its start can be stopped."""

    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        signal.raise_signal(signal.SIGTERM)
        await asyncio.Event().wait()
        yield

    server = Server("memory://", Router(), lifespan=lifespan)
    await serve(server)

    assert server.state == "closed"


# A server that never ends. "blocked": nor does it let go of the loop, which is when an operator
# needs the second signal. "left": its shutdown returns and leaves its handlers behind.
STUCK = """
    import asyncio, logging, sys, time
    from headrace._run import run

    logging.basicConfig(level="INFO", format="%(message)s")

    class Stuck:
        state = "active"

        async def run(self):
            print("running", flush=True)
            if "blocked" in sys.argv:
                while True:
                    time.sleep(60)
            await asyncio.Event().wait()

        async def shutdown(self):
            print("shutting down", flush=True)
            if "left" not in sys.argv:
                await asyncio.Event().wait()

    run(Stuck())
"""


@contextlib.contextmanager
def stuck(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a process whose server never ends."""
    process = subprocess.Popen(  # noqa: S603 - our own code
        [sys.executable, "-c", dedent(STUCK), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "running\n"
            yield process
        finally:
            process.kill()


@needs_posix
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_second_signal_aborts(second: signal.Signals) -> None:
    """The second signal ends the process with 128 + its number, and says so in the log."""
    with stuck() as process:
        assert process.stdout is not None
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "shutting down\n"
        process.send_signal(second)

        assert 128 + second == process.wait()
        assert process.stderr is not None
        assert f"Second signal ({second.name}): aborted" in process.stderr.read()


@needs_posix
def test_handlers_that_are_stuck_cannot_keep_the_process() -> None:
    """When the shutdown has left handlers behind, the process ends, with code 1."""
    with stuck("left") as process:
        process.send_signal(signal.SIGTERM)

        assert process.wait() == 1


@needs_posix
def test_second_signal_aborts_a_blocked_loop() -> None:
    """A handler that never lets go of the event loop cannot hold up an abort."""
    with stuck("blocked") as process:
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)

        assert process.wait() in {128 + signal.SIGTERM, 128 + signal.SIGINT}
