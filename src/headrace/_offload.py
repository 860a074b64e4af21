"""Handlers that are not coroutines: threads for ``def``, processes for ``cpu=True``."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib
import inspect
import os
import pickle
import signal
import sys
import threading
import traceback
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import anyio
import anyio.to_process
import anyio.to_thread

from headrace._errors import HandlerCrashError, InvalidOptionError
from headrace._signature import describe
from headrace._typed import TypedTask

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Offload", "check_importable"]

T = TypeVar("T")


class Offload:
    """Runs functions in threads and processes, so that they do not hold up the event loop.

    Args:
        threads: How many threads may run at a time; None: as many as anyio allows.
        processes: How many processes; None: one for each CPU.
    """

    def __init__(self, threads: int | None = None, processes: int | None = None) -> None:
        self._threads = None if threads is None else anyio.CapacityLimiter(threads)
        self._processes = anyio.CapacityLimiter(processes or os.cpu_count() or 1)

    async def in_thread(self, call: Callable[[], T]) -> T:
        """Return what *call* returns in a thread, with this task's context variables.

        A thread cannot be stopped: when this task is cancelled, the cancellation is raised
        once *call* has ended, or at once where it had not begun.
        """
        job = _ThreadJob(call)
        try:
            value = await anyio.to_thread.run_sync(job.run, limiter=self._threads)
        except asyncio.CancelledError:
            await job.ended()
            raise
        if inspect.iscoroutine(value):  # A decorator has hidden that it is a coroutine function.
            value = await value
        return value

    async def in_process(
        self, task_type: str, function: Callable[..., object], arguments: Mapping[str, object]
    ) -> object:
        """Return what *function* returns in a process. Cancelling this task kills it.

        Raises:
            HandlerCrashError: If the process died, or nothing can carry its error.
            TypeError: If an argument or the value cannot be sent between processes.
        """
        try:
            request = pickle.dumps(arguments, pickle.HIGHEST_PROTOCOL)
        except Exception as error:
            raise TypeError(
                f"The arguments of task {task_type!r} cannot be sent to a process: {error}"
            ) from error
        module, name = function.__module__, function.__qualname__
        try:
            succeeded, answer = await anyio.to_process.run_sync(
                _run_in_child, module, name, request, cancellable=True, limiter=self._processes
            )
        except anyio.BrokenWorkerProcess as error:
            reason = f" ({error.__cause__!r})" if error.__cause__ else ""
            raise HandlerCrashError(
                f"The process that ran task {task_type!r} ({module}.{name}) died{reason}: it was "
                f"killed, ran out of memory, crashed in native code, or could not import the "
                f"main module, which needs `if __name__ == '__main__':` around what it runs"
            ) from error
        # What a child defines in the main module, it calls by this name.
        sys.modules.setdefault("__mp_main__", sys.modules["__main__"])
        if succeeded:
            return pickle.loads(answer)  # noqa: S301 - our own child wrote it
        raise _load_error(answer)


class _ThreadJob(Generic[T]):
    """One call in a thread, whose end can be waited for after a cancellation.

    anyio waits for its threads when one of its own scopes is cancelled, but
    ``asyncio.Task.cancel()`` and ``asyncio.timeout()`` make it let go of them.
    """

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._lock = threading.Lock()
        self._is_running = False
        self._is_abandoned = False
        self._notify: Callable[[], object] | None = None

    def run(self) -> T:
        """Make the call. Runs in the thread."""
        with self._lock:
            if self._is_abandoned:
                raise asyncio.CancelledError
            self._is_running = True
        try:
            return self._call()
        finally:
            with self._lock:
                self._is_running = False
                notify = self._notify
            if notify is not None:
                notify()

    async def ended(self) -> None:
        """Return when the call has ended, or will never begin."""
        event = asyncio.Event()
        loop = asyncio.get_running_loop()
        with self._lock:
            if not self._is_running:
                self._is_abandoned = True
                return
            self._notify = functools.partial(loop.call_soon_threadsafe, event.set)
        with anyio.CancelScope(shield=True):
            while not event.is_set():
                with contextlib.suppress(asyncio.CancelledError):  # One is on its way already.
                    await event.wait()


# --- Processes -------------------------------------------------------------------------------


def check_importable(function: Callable[..., object]) -> None:
    """Refuse a function whose name means something else.

    Raises:
        InvalidOptionError: If a process would not find it.
    """
    try:
        found = _find(function.__module__, function.__qualname__)
    except AttributeError:  # Its module is still being imported.
        return
    if found is not function:
        raise InvalidOptionError(
            "handler",
            describe(function),
            f"a process looks for it by this name and finds {found!r}; with cpu=True, bind the "
            f"task to the function's own name",
        )


def _find(module: str, qualname: str) -> object:
    """Return the function of this name; of a typed task, or what wraps one, its function."""
    found: object = importlib.import_module(module)
    for name in qualname.split("."):
        found = getattr(found, name)
    layer: Any = found
    while layer is not None:
        if isinstance(layer, TypedTask):
            return layer.__wrapped__
        layer = getattr(layer, "__wrapped__", None)
    return found


def _run_in_child(module: str, qualname: str, request: bytes) -> tuple[bool, bytes]:
    """Call the function; return whether it succeeded, and its value or its error."""
    # Ctrl-C and many supervisors signal the whole process group. What becomes of its tasks is
    # for the parent to decide; once it is gone, its children's input ends, and so do they.
    for ignored in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    try:
        function: Any = _find(module, qualname)
        if getattr(function, "__qualname__", None) != qualname:  # Another would run.
            raise TypeError(f"{module}.{qualname} leads to {function!r}")  # noqa: TRY301
        value = function(**pickle.loads(request))  # noqa: S301 - our own parent wrote it
        return True, _dump_value(value, f"{module}.{qualname}")
    except BaseException as error:  # noqa: BLE001 - the parent raises it
        return False, _dump_error(error, f"{module}.{qualname}")


def _dump_value(value: object, handler: str) -> bytes:
    try:
        return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        raise TypeError(
            f"{handler} returned a {type(value).__name__} that cannot be sent between "
            f"processes: {error}"
        ) from error


def _dump_error(error: BaseException, handler: str) -> bytes:
    text = f"{type(error).__name__}: {error}"
    if not isinstance(error, Exception):  # SystemExit would end the whole worker.
        return pickle.dumps(HandlerCrashError(f"{handler} raised {text}"))
    trace = "".join(traceback.format_exception(error))
    error.add_note(f"In a process of its own:\n{trace}")
    # An exception whose __init__ takes more than its message cannot be pickled as it is.
    for form in (error, (type(error), error.args, error.__dict__)):
        with contextlib.suppress(Exception):
            data = pickle.dumps(form, pickle.HIGHEST_PROTOCOL)
            copy = _load_error(data)
            if type(copy) is type(error) and str(copy) == str(error):
                return data
    return pickle.dumps(HandlerCrashError(f"{handler} raised {text}\n{trace}"))


def _load_error(data: bytes) -> BaseException:
    form = pickle.loads(data)  # noqa: S301 - our own child wrote it
    if isinstance(form, tuple):
        kind, args, state = form
        error: BaseException = kind.__new__(kind, *args)
        error.args = args
        error.__dict__.update(state)
        return error
    assert isinstance(form, BaseException)  # noqa: S101 - _dump_error made it
    return form
