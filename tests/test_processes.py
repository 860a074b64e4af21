"""Handlers in processes: those with `cpu=True`."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.from_thread
import pytest

from headrace import _offload
from headrace._depends import Depends
from headrace._errors import HandlerCrashError, InvalidOptionError, TaskArgumentsError
from headrace._router import Router, as_dispatch
from headrace._task import Task
from tests.support import cpu_handlers
from tests.support.cpu_handlers import PickyError, cpu_router
from tests.support.handlers import dispatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace._context import TaskContext

# Processes outlive a test, but not its event loop.
shared = pytest.mark.asyncio(loop_scope="module")
needs_kill = pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")


@shared
async def test_cpu_handler_runs_in_a_process() -> None:
    """It gets validated arguments, and its value comes back."""
    payload = {"size": {"width": 3, "height": "4"}}
    task = cpu_router.tasks["cpu:area"].task(size=cpu_handlers.Size(3, 4))

    for one in (Task("cpu:area", payload), task):
        result = await dispatch(cpu_router, one, retention=1)
        assert result is not None
        assert b'{"area":12,' == result[:11]
        assert str(os.getpid()).encode() not in result


@shared
async def test_cpu_arguments_are_validated_before() -> None:
    """The error is the one that archives the task at once."""
    with pytest.raises(TaskArgumentsError, match="size: Field required"):
        await dispatch(cpu_router, Task("cpu:area", {}))


@shared
async def test_cpu_task_is_still_the_function() -> None:
    """Called directly, it runs here."""
    assert {"area": 2, "pid": os.getpid()} == cpu_handlers.area(cpu_handlers.Size(1, 2))


@shared
@needs_kill
async def test_death_of_the_process_is_an_error() -> None:
    """The error names the task and the handler; the next task finds a process."""
    message = r"task 'cpu:die' \(tests.support.cpu_handlers.die\) died"
    with pytest.raises(HandlerCrashError, match=message):
        await dispatch(cpu_router, Task("cpu:die"))

    assert await dispatch(cpu_router, Task("cpu:area", {"size": {"width": 1, "height": 1}})) is None


@shared
async def test_exit_of_the_process_is_an_error() -> None:
    """sys.exit in a handler does not end the worker."""
    with pytest.raises(HandlerCrashError, match=r"handlers\.leave raised SystemExit: 3"):
        await dispatch(cpu_router, Task("cpu:exit"))


@shared
async def test_error_keeps_its_type_and_its_traceback() -> None:
    """Whatever its constructor takes; where it was raised stands in its notes."""
    with pytest.raises(PickyError, match="code 7") as caught:
        await dispatch(cpu_router, Task("cpu:picky"))

    assert (7, "h") == (caught.value.code, caught.value.hint)
    assert "in picky" in "".join(caught.value.__notes__)


@shared
async def test_error_that_cannot_be_copied_is_told() -> None:
    """Its type, its text and where it was raised are not lost."""
    with pytest.raises(HandlerCrashError, match=r"LockedError: do not copy(?s:.*)in locked"):
        await dispatch(cpu_router, Task("cpu:locked"))


@shared
async def test_value_that_cannot_be_copied_is_an_error() -> None:
    """The error names the handler."""
    with pytest.raises(
        TypeError, match=r"cpu_handlers.unpicklable returned a lock that cannot be sent"
    ):
        await dispatch(cpu_router, Task("cpu:unpicklable"))


@shared
async def test_argument_that_cannot_be_copied_is_an_error() -> None:
    """The error names the task."""
    with pytest.raises(TypeError, match="arguments of task 't' cannot be sent to a process"):
        await _offload.Offload().in_process("t", len, {"it": threading.Lock()})


@shared
@needs_kill
async def test_process_ignores_signals_to_its_group() -> None:
    """Ctrl-C and a supervisor's SIGTERM leave it to the worker what becomes of its tasks."""
    assert b'"survived"' == await dispatch(cpu_router, Task("cpu:interrupt"), retention=1)


@shared
@needs_kill
@pytest.mark.parametrize("by_scope", [False, True], ids=["asyncio", "anyio"])
async def test_cancellation_kills_the_process(tmp_path: Path, *, by_scope: bool) -> None:
    """A timeout ends what no cancellation could."""
    pid_file = tmp_path / "pid"
    scope = anyio.CancelScope()

    async def run() -> None:
        with scope:
            await dispatch(cpu_router, Task("cpu:endless", {"path": str(pid_file)}))

    task = asyncio.create_task(run())
    while not (pid_file.exists() and pid_file.read_text("ascii")):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    (scope.cancel if by_scope else task.cancel)()
    await asyncio.wait([task])

    assert task.cancelled() is not by_scope
    assert scope.cancelled_caught is by_scope
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text("ascii")), 0)


def top_level(n: int) -> int:
    """Be a function that a process can import."""
    return n


async def coroutine() -> None:
    """Be a coroutine function."""


def wants_context(ctx: TaskContext) -> None:
    """Want what cannot leave the worker."""


def wants_dependency(it: object = Depends(coroutine)) -> None:
    """Want what cannot leave the worker."""


def refused_cpu_handlers() -> list[tuple[Callable[..., Any], str]]:
    """Return functions that cannot run in a process, and why."""

    def nested() -> None: ...

    return [
        (nested, "defined within a function"),
        (lambda: None, "cannot import a lambda"),
        (coroutine, "runs in the event loop"),
        (functools.partial(top_level, 1), "import by its name"),
        ("".join, "import by its name"),
        (wants_context, "'ctx' wants a TaskContext"),
        (wants_dependency, "'it' wants a dependency"),
    ]


@pytest.mark.parametrize(("function", "reason"), refused_cpu_handlers())
def test_unusable_cpu_handler_is_refused_at_decoration(
    function: Callable[..., Any], reason: str
) -> None:
    """What a process could not find or not run shows at import."""
    router = Router()

    with pytest.raises(InvalidOptionError, match=reason):
        router.add_task("t", function, cpu=True)
    assert not router.tasks


def renamed(n: int) -> int:
    """Be found under a name that means something else."""
    return n


hidden_router = Router()
hidden_router.add_task("t", renamed, cpu=True)
renamed = top_level


@shared
async def test_process_does_not_run_another_function() -> None:
    """Where a name came to mean something else, the task fails."""
    with pytest.raises(TypeError, match=r"renamed leads to <function top_level"):
        await dispatch(hidden_router, Task("t", {"n": 1}))


def test_cpu_handler_that_its_name_does_not_lead_to_is_refused() -> None:
    """It shows when a server takes the router, not when a process runs something else."""
    with pytest.raises(InvalidOptionError, match=r"renamed' .* finds <function top_level"):
        as_dispatch(hidden_router)


def test_registered_function_is_found_as_it_is() -> None:
    """Registered without the decorator, a function stays what its name means."""
    router = Router()
    router.add_task("t", top_level, cpu=True)

    assert callable(as_dispatch(router).resolve("t"))


def test_decorator_around_a_typed_task_does_not_hide_it() -> None:
    """A process finds the function beneath."""
    with contextlib.ExitStack() as stack:
        original = cpu_handlers.area
        wrapper = functools.wraps(original)(functools.partial(original))
        stack.callback(setattr, cpu_handlers, "area", original)
        cpu_handlers.area = wrapper  # type: ignore[assignment]

        assert original.__wrapped__ is _offload._find(cpu_handlers.__name__, "area")


def test_main_module_needs_its_guard(tmp_path: Path) -> None:
    """Handlers, arguments and errors of the main module reach the process and come back."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, "utf-8")
    source = str(Path(_offload.__file__).parents[1])
    done = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": source},
        capture_output=True,
        timeout=50,
        check=False,
        text=True,
    )

    assert ("Area(value=12) MyError('mine')\n", "") == (done.stdout, done.stderr)


SCRIPT = """
import asyncio, dataclasses
from headrace._context import TaskContext
from headrace._message import TaskMessage
from headrace._router import Router

router = Router()

@dataclasses.dataclass
class Area:
    value: int

class MyError(Exception): ...

@router.task("area", cpu=True)
def area(width: int, height: int) -> Area:
    if not width:
        raise MyError("mine")
    return Area(width * height)

async def main() -> None:
    seen = []

    @router.middleware
    async def see(task, call_next):
        try:
            seen.append(await call_next(task))
        except MyError as error:
            seen.append(error)

    bound = router.bind()
    context = TaskContext(TaskMessage(id="i", type="area", queue="q"), annotate=None)
    for width in (3, 0):
        await bound.resolve("area")(area.task(width=width, height=4), context)
    print(seen[0], repr(seen[1]))

if __name__ == "__main__":
    asyncio.run(main())
"""
