"""What a system's adapter gives, and the two programs that are made of it.

    python -m benchmarks.systems.NAME produce '{"url": URL}'
    python -m benchmarks.systems.NAME work '{"url": URL, "concurrency": 100, ...}'

Both write lines of JSON to their standard output: ``[name, {key: number}]``. The producer first
reads a line from its standard input: what to enqueue. The worker runs until it is killed.

Every system has the same four tasks, each with one integer:

- ``noop`` does nothing, ``rest`` sleeps for 10 ms: they are counted, and the worker writes
  ``done`` after every *total* of them, with how many different arguments (below *arguments*)
  it has seen.
- ``clock`` writes its argument and the time.
- ``hold`` writes ``start`` and its argument, sleeps for *hold* seconds, and writes ``end``.

Times are Unix times in nanoseconds: all processes are on one machine.
"""

from __future__ import annotations

import abc
import asyncio
import contextlib
import itertools
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

REST = 0.01
"""Seconds that a ``rest`` task sleeps."""
AT_ONCE = 100
"""Calls that are under way at once when enqueueing concurrently."""

BULK = 1_000
"""Tasks that one call enqueues in bulk."""


class Recorder:
    """Counts what ran, and tells the runner."""

    def __init__(self, total: int, arguments: int, hold: float) -> None:
        self._total = total
        self._ran = bytearray(arguments)
        self.hold = hold
        # A step of itertools.count is atomic, so handlers may run in threads.
        self._ended = itertools.count(1)
        self._first: tuple[int, float] | None = None
        # What a library prints must not get between the lines of the protocol.
        self._out = os.dup(sys.stdout.fileno())
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def say(self, name: str, **numbers: float) -> None:
        """Write one line."""
        os.write(self._out, json.dumps([name, numbers]).encode() + b"\n")

    def begin(self) -> None:
        """Note that a counted task starts."""
        if self._first is None:
            self._first = time.time_ns(), time.process_time()

    def end(self, argument: int) -> None:
        """Count a task; say so after every *total* of them."""
        self._ran[argument] = 1
        ended = next(self._ended)
        if ended % self._total == 0 and self._first is not None:
            first, cpu = self._first
            self.say(
                "done",
                tasks=ended,
                distinct=sum(self._ran),
                first=first,
                last=time.time_ns(),
                cpu_s=time.process_time() - cpu,
                cpu_total_s=time.process_time(),
            )

    def clock(self, argument: int) -> None:
        """Say when the task ran."""
        self.say("clock", argument=argument, at=time.time_ns())


recorder: Recorder
"""The recorder of this process. `run` sets it before a handler can run."""


async def noop(argument: int) -> None:
    """Do nothing."""
    recorder.begin()
    recorder.end(argument)


async def rest(argument: int) -> None:
    """Sleep for 10 ms."""
    recorder.begin()
    await asyncio.sleep(REST)
    recorder.end(argument)


async def clock(argument: int) -> None:
    """Say when this ran."""
    recorder.clock(argument)


async def hold(argument: int) -> None:
    """Sleep for *hold* seconds."""
    recorder.say("start", argument=argument, at=time.time_ns())
    await asyncio.sleep(recorder.hold)
    recorder.say("end", argument=argument, at=time.time_ns())


def noop_in_thread(argument: int) -> None:
    """Do nothing."""
    recorder.begin()
    recorder.end(argument)


def rest_in_thread(argument: int) -> None:
    """Sleep for 10 ms."""
    recorder.begin()
    time.sleep(REST)
    recorder.end(argument)


def clock_in_thread(argument: int) -> None:
    """Say when this ran."""
    recorder.clock(argument)


def hold_in_thread(argument: int) -> None:
    """Sleep for *hold* seconds."""
    recorder.say("start", argument=argument, at=time.time_ns())
    time.sleep(recorder.hold)
    recorder.say("end", argument=argument, at=time.time_ns())


COROUTINES: dict[str, Callable[[int], Coroutine[None, None, None]]] = {
    "noop": noop,
    "rest": rest,
    "clock": clock,
    "hold": hold,
}
FUNCTIONS: dict[str, Callable[[int], None]] = {
    "noop": noop_in_thread,
    "rest": rest_in_thread,
    "clock": clock_in_thread,
    "hold": hold_in_thread,
}


class AsyncAdapter(abc.ABC):
    """A system that is used from an event loop."""

    def __init__(self, url: str, *, schedules: bool = False) -> None:
        self.url = url
        self.schedules = schedules  # Whether a worker has scheduled tasks to expect.

    @abc.abstractmethod
    async def connect(self) -> None:
        """Make what `add` needs."""

    @abc.abstractmethod
    async def add(self, kind: str, argument: int) -> None:
        """Enqueue one task."""

    async def add_many(self, kind: str, arguments: Sequence[int]) -> None:
        """Enqueue in bulk."""
        raise NotImplementedError

    async def add_later(self, kind: str, argument: int, due: int) -> None:
        """Enqueue a task that is due at the Unix time *due*, in seconds."""
        raise NotImplementedError

    @abc.abstractmethod
    async def work(self, concurrency: int) -> None:
        """Run a worker until the process is killed."""

    async def add_all(self, mode: str, kind: str, count: int) -> None:
        """Enqueue *count* tasks in one of three ways."""
        if mode == "bulk":
            for start in range(0, count, BULK):
                await self.add_many(kind, range(start, min(start + BULK, count)))
        elif mode == "one":
            for argument in range(count):
                await self.add(kind, argument)
        else:
            left = iter(range(count))

            async def add_some() -> None:
                for argument in left:
                    await self.add(kind, argument)

            await asyncio.gather(*(add_some() for _ in range(AT_ONCE)))


class ThreadAdapter(abc.ABC):
    """A system whose calls block. The producer uses threads for what is to be concurrent."""

    def __init__(self, url: str, *, schedules: bool = False) -> None:
        self.url = url
        self.schedules = schedules  # Whether a worker has scheduled tasks to expect.

    @abc.abstractmethod
    def connect(self) -> None:
        """Make what `add` needs."""

    @abc.abstractmethod
    def add(self, kind: str, argument: int) -> None:
        """Enqueue one task."""

    def add_many(self, kind: str, arguments: Sequence[int]) -> None:
        """Enqueue in bulk."""
        raise NotImplementedError

    def add_later(self, kind: str, argument: int, due: int) -> None:
        """Enqueue a task that is due at the Unix time *due*, in seconds."""
        raise NotImplementedError

    @abc.abstractmethod
    def work(self, concurrency: int) -> None:
        """Run a worker until the process is killed."""

    def add_all(self, mode: str, kind: str, count: int) -> None:
        """Enqueue *count* tasks in one of three ways."""
        if mode == "bulk":
            for start in range(0, count, BULK):
                self.add_many(kind, range(start, min(start + BULK, count)))
        elif mode == "one":
            for argument in range(count):
                self.add(kind, argument)
        else:
            parts = [range(start, count, AT_ONCE) for start in range(AT_ONCE)]

            def add_some(arguments: Sequence[int]) -> None:
                for argument in arguments:
                    self.add(kind, argument)

            with ThreadPoolExecutor(AT_ONCE) as pool:
                list(pool.map(add_some, parts))


def wide(url: str) -> str:
    """Return *url* with room for more connections than redis-py's default of 100."""
    return f"{url}?max_connections=1000"


async def _produce(adapter: AsyncAdapter) -> None:
    await adapter.connect()
    await _answer(adapter.add_all, adapter.add, adapter.add_later)


def _produce_blocking(adapter: ThreadAdapter) -> None:
    adapter.connect()

    async def add_all(mode: str, kind: str, count: int) -> None:
        adapter.add_all(mode, kind, count)

    async def add(kind: str, argument: int) -> None:
        adapter.add(kind, argument)

    async def add_later(kind: str, argument: int, due: int) -> None:
        adapter.add_later(kind, argument, due)

    asyncio.run(_answer(add_all, add, add_later))


async def _answer(
    add_all: Callable[[str, str, int], Awaitable[None]],
    add: Callable[[str, int], Awaitable[None]],
    add_later: Callable[[str, int, int], Awaitable[None]],
) -> None:
    """Do what the runner asks for, one line after another, until it closes the input.

    Reading blocks the loop: nothing else is to run meanwhile.
    """
    recorder.say("ready")
    for line in sys.stdin:
        mode, kind, count, dues = json.loads(line)
        wall, cpu = time.perf_counter(), time.process_time()
        if mode == "now":
            await add(kind, time.time_ns() if kind == "clock" else count)
        elif mode == "later":
            for due in dues:
                await add_later(kind, due * 10**9, due)
        else:
            await add_all(mode, kind, count)
        recorder.say("added", seconds=time.perf_counter() - wall, cpu_s=time.process_time() - cpu)


def run_loop(main: Coroutine[None, None, None]) -> None:
    """Run *main* on uvloop, where it is installed."""
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    with contextlib.suppress(ImportError):
        import uvloop  # noqa: PLC0415 - not everywhere

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main)


def run(kind: type[AsyncAdapter | ThreadAdapter]) -> None:
    """Be the program of an adapter: what the command line asks for."""
    global recorder  # noqa: PLW0603 - handlers are functions, which find it here
    role, text = sys.argv[1:]
    settings = json.loads(text)
    recorder = Recorder(
        settings.get("total", 0), settings.get("arguments", 0), settings.get("hold", 0.0)
    )
    adapter = kind(settings["url"], schedules=settings.get("schedules", False))
    if isinstance(adapter, AsyncAdapter):
        if role == "produce":
            run_loop(_produce(adapter))
        else:
            run_loop(adapter.work(settings["concurrency"]))
    elif role == "produce":
        _produce_blocking(adapter)
    else:
        adapter.work(settings["concurrency"])
