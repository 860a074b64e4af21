"""Dependencies in FastAPI's manner: `Depends`, and the plan by which they are called.

A dependency is a function that a handler's parameter names; its own parameters may name
further ones. It may return its value or yield it, and what follows the yield runs when the
handler has ended, however it ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import enum
from typing import TYPE_CHECKING, Any, TypeVar

import anyio

from headrace._errors import InvalidOptionError
from headrace._signature import (
    Dependency,
    Parameter,
    Role,
    describe,
    is_async,
    is_async_generator,
    is_generator,
    read_parameters,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from types import TracebackType

    from headrace._context import TaskContext
    from headrace._offload import Offload
    from headrace._task import Task

__all__ = ["Depends", "Plan"]

T = TypeVar("T")


def Depends(dependency: Callable[..., object] | None = None, *, use_cache: bool = True) -> Any:  # noqa: N802, ANN401
    """Fill a parameter with what *dependency* returns or yields.

    Write it as the parameter's default, ``db: Session = Depends(session)``, or in its
    annotation, ``db: Annotated[Session, Depends(session)]``. The first form also tells type
    checkers that ``.task(...)`` does not take the parameter.

    A dependency's parameters are filled by their annotation (`TaskContext`, `Task`, further
    dependencies) or else by name, with the task's argument of that name. ``def`` functions
    run in a thread.

    Args:
        dependency: A function, a generator function that yields once, or a class. None: the
            parameter's annotation.
        use_cache: Whether one call serves all parameters of one run that name *dependency*.
    """
    # Any, as in FastAPI: the parameter's own type is what matters.
    return Dependency(dependency, use_cache=use_cache)


class _Kind(enum.Enum):
    COROUTINE = enum.auto()
    FUNCTION = enum.auto()
    ASYNC_GENERATOR = enum.auto()
    GENERATOR = enum.auto()


def _kind(function: Callable[..., object]) -> _Kind:
    if is_async_generator(function):
        return _Kind.ASYNC_GENERATOR
    if is_generator(function):
        return _Kind.GENERATOR
    return _Kind.COROUTINE if is_async(function) else _Kind.FUNCTION


@dataclasses.dataclass(frozen=True, slots=True)
class _Wiring:
    """Where the parameters of a function get their values."""

    contexts: tuple[str, ...]
    tasks: tuple[str, ...]
    steps: tuple[tuple[str, int], ...]
    arguments: tuple[tuple[str, object], ...] = ()
    """Names of the task's arguments, and what stands in where one was not sent."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Step:
    """One call of one dependency."""

    function: Callable[..., object]
    kind: _Kind
    wiring: _Wiring


class Plan:
    """The dependencies of one handler, in the order in which they are called.

    Args:
        handler: Whose dependencies; for errors.
        parameters: The handler's.
        overrides: Maps a dependency to the function that is called in its place.

    Raises:
        InvalidOptionError: If one of them cannot be called with what there is.
    """

    def __init__(
        self,
        handler: Callable[..., object],
        parameters: Sequence[Parameter],
        overrides: Mapping[Callable[..., object], Callable[..., object]],
    ) -> None:
        self._handler = handler
        self._overrides = overrides
        self._arguments = {
            parameter.name: parameter.default
            for parameter in parameters
            if parameter.role is Role.ARGUMENT and not parameter.is_variadic
        }
        self._steps: list[_Step] = []
        self._cache: dict[Callable[..., object], int] = {}
        self._open: list[Callable[..., object]] = []
        injected = [one for one in parameters if one.role is not Role.ARGUMENT]
        self._wiring = self._wire(injected)

    def __bool__(self) -> bool:
        return bool(self._steps)

    # --- Building ------------------------------------------------------------------------

    def _wire(self, parameters: Sequence[Parameter]) -> _Wiring:
        by_role: dict[Role, list[str]] = {role: [] for role in Role}
        for parameter in parameters:
            by_role[parameter.role].append(parameter.name)
        return _Wiring(
            contexts=tuple(by_role[Role.CONTEXT]),
            tasks=tuple(by_role[Role.TASK]),
            steps=tuple(
                (parameter.name, self._add(parameter.dependency))
                for parameter in parameters
                if parameter.dependency is not None
            ),
            arguments=tuple((name, self._arguments[name]) for name in by_role[Role.ARGUMENT]),
        )

    def _add(self, dependency: Dependency) -> int:
        """Return the index of the step that calls *dependency*."""
        original = dependency.function
        assert original is not None  # noqa: S101 - read_parameters has filled it in
        function = self._overrides.get(original, original)
        if dependency.use_cache and function in self._cache:
            return self._cache[function]
        if function in self._open:
            path = " -> ".join(map(describe, [*self._open, function]))
            raise self._refusal(f"its dependencies need one another: {path}")
        self._open.append(function)
        wiring = self._wire(self._usable(function))
        self._open.pop()
        self._steps.append(_Step(function, _kind(function), wiring))
        index = len(self._steps) - 1
        if dependency.use_cache:
            self._cache[function] = index
        return index

    def _usable(self, function: Callable[..., object]) -> list[Parameter]:
        """Return the parameters of *function* that can be filled."""
        usable: list[Parameter] = []
        for parameter in read_parameters(function):
            if parameter.is_variadic:
                continue
            if parameter.kind is not parameter.kind.POSITIONAL_ONLY and (
                parameter.role is not Role.ARGUMENT or parameter.name in self._arguments
            ):
                usable.append(parameter)
            elif parameter.is_required:
                raise self._refusal(
                    f"its dependency {describe(function)} needs {parameter.name!r}, which is "
                    f"no argument of the task, no TaskContext and no dependency"
                )
        return usable

    def _refusal(self, reason: str) -> InvalidOptionError:
        return InvalidOptionError("handler", describe(self._handler), reason)

    # --- Running -------------------------------------------------------------------------

    async def run(
        self,
        invoke: Callable[..., Awaitable[T]],
        arguments: dict[str, object],
        task: Task,
        context: TaskContext,
        offload: Offload,
    ) -> T:
        """Call the dependencies, then *invoke* with all that it needs, then clean up.

        A dependency sees the error, or the cancellation, that ended the handler. It may
        raise another in its place, but it cannot make a failure a success.
        """
        stack = contextlib.AsyncExitStack()
        try:
            values: list[object] = []
            for step in self._steps:
                ready = _fill(step.wiring, values, arguments, task, context)
                values.append(await _call(step, ready, stack, offload))
            ready = _fill(self._wiring, values, arguments, task, context)
            result = await invoke(**{**arguments, **ready})
        except BaseException as error:
            # The handler's scope may be cancelled, and rolling back takes time.
            with anyio.CancelScope(shield=True):
                await stack.__aexit__(type(error), error, error.__traceback__)
            raise
        await stack.aclose()
        return result


def _fill(
    wiring: _Wiring,
    values: Sequence[object],
    arguments: Mapping[str, object],
    task: Task,
    context: TaskContext,
) -> dict[str, object]:
    filled = {name: values[index] for name, index in wiring.steps}
    for name in wiring.contexts:
        filled[name] = context
    for name in wiring.tasks:
        filled[name] = task
    for name, default in wiring.arguments:
        filled[name] = arguments.get(name, default)
    return filled


async def _call(
    step: _Step, arguments: dict[str, object], stack: contextlib.AsyncExitStack, offload: Offload
) -> object:
    function: Callable[..., Any] = step.function
    match step.kind:
        case _Kind.COROUTINE:
            value: object = await function(**arguments)
        case _Kind.FUNCTION:
            value = await offload.in_thread(lambda: function(**arguments))
        case _Kind.ASYNC_GENERATOR:
            manager = contextlib.asynccontextmanager(function)(**arguments)
            value = await stack.enter_async_context(manager)
        case _Kind.GENERATOR:
            threaded = _InThread(contextlib.contextmanager(function)(**arguments), offload)
            # Pushed first: a cancellation may come while the thread enters.
            stack.push_async_exit(threaded.exit)
            value = await threaded.enter()
    return value


class _InThread:
    """Enters and leaves a context manager in threads."""

    def __init__(
        self, manager: contextlib.AbstractContextManager[object], offload: Offload
    ) -> None:
        self._manager = manager
        self._offload = offload
        self._is_entered = False
        self._is_left = False

    async def enter(self) -> object:
        return await self._offload.in_thread(self._enter)

    def _enter(self) -> object:
        value = self._manager.__enter__()
        self._is_entered = True
        return value

    async def exit(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        if not self._is_entered:
            return None
        swallow: bool | None = None
        interruption: asyncio.CancelledError | None = None
        with anyio.CancelScope(shield=True):
            while not self._is_left:
                try:
                    swallow = await self._offload.in_thread(
                        lambda: self._exit(kind, error, traceback)
                    )
                except asyncio.CancelledError as cancelled:
                    # Where no thread was free yet, it has not run: it must, so again.
                    interruption = cancelled
        if interruption is not None:
            raise interruption
        return swallow

    def _exit(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        self._is_left = True
        return self._manager.__exit__(kind, error, traceback)
