"""From a handler to a call: what runs when a task of its type arrives."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic_core import to_json

from headrace._context import TaskContext
from headrace._depends import Plan
from headrace._errors import InvalidOptionError
from headrace._signature import Role, describe, is_async, read_parameters
from headrace._task import Task
from headrace._typed import check_callable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace._offload import Offload
    from headrace._signature import Parameter
    from headrace._typed import TypedTask

__all__ = [
    "Call",
    "CallNext",
    "Dispatch",
    "Middleware",
    "Overrides",
    "PlainHandler",
    "check_middleware",
    "dispatch_of",
    "typed_call",
    "wrapped",
]

Call: TypeAlias = Callable[[Task, TaskContext], Awaitable[object]]
"""Runs a task and returns the handler's value."""
Dispatch: TypeAlias = Callable[[Task, TaskContext], Awaitable[bytes | None]]
"""Runs a task and returns the result to be stored; None: nothing to store."""
CallNext: TypeAlias = Callable[[Task], Awaitable[object]]
"""Runs the rest: the further middleware, then the handler. Returns the handler's value."""
Middleware: TypeAlias = Callable[[Task, CallNext], Awaitable[object]]
"""Runs around the handlers; returns the value that counts as the handler's."""
Overrides: TypeAlias = "Mapping[Callable[..., object], Callable[..., object]]"
"""Maps a dependency to the function that is called in its place."""


def dispatch_of(call: Call, name: str) -> Dispatch:
    """Return *call* with its value encoded; *name* is the handler's, for errors."""

    async def dispatch(task: Task, context: TaskContext) -> bytes | None:
        value = await call(task, context)
        if value is None or not context.retention:
            return None
        return _encode(value, task, name)

    return dispatch


def _encode(value: object, task: Task, name: str) -> bytes:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    try:
        return to_json(value, inf_nan_mode="strings")
    except ValueError as error:
        raise TypeError(
            f"The handler of task {task.type!r} ({name}) returned a {type(value).__name__} that "
            f"cannot be stored as its result: {error}. Return bytes, or what JSON can carry"
        ) from error


# --- Handlers --------------------------------------------------------------------------------


def typed_call(task: TypedTask[..., ..., Any], offload: Offload, overrides: Overrides) -> Call:
    """Return what runs a typed task: check its arguments, fill in the rest, call the function.

    Raises:
        InvalidOptionError: If a dependency cannot be called with what there is.
    """
    function, parameters = task.__wrapped__, task.parameters
    arguments_of = task.arguments_of
    invoke: Callable[..., Awaitable[object]]
    if task.cpu:

        def invoke(**arguments: object) -> Awaitable[object]:
            return offload.in_process(task.type, function, arguments)

    else:
        invoke = _awaitable(function, offload)
    plan = Plan(function, parameters, overrides)
    contexts = [one.name for one in parameters if one.role is Role.CONTEXT]

    def call(task: Task, context: TaskContext) -> Awaitable[object]:
        arguments = arguments_of(task)
        for name in contexts:
            arguments[name] = context
        return invoke(**arguments)

    def call_with_plan(task: Task, context: TaskContext) -> Awaitable[object]:
        return plan.run(invoke, arguments_of(task), task, context, offload)

    return call_with_plan if plan else call


def _awaitable(function: Callable[..., Any], offload: Offload) -> Callable[..., Awaitable[object]]:
    if is_async(function):
        return function

    def in_thread(*args: object, **kwargs: object) -> Awaitable[object]:
        return offload.in_thread(functools.partial(function, *args, **kwargs))

    return in_thread


class PlainHandler:
    """A function that takes the task itself.

    Its first parameter is the task; others are filled by their annotation.

    Raises:
        InvalidOptionError: If it takes no task, or something that nothing can fill.
    """

    def __init__(self, function: Callable[..., object]) -> None:
        self._parameters = read_parameters(function, lenient_first=True)
        self.function: Callable[..., object] = function
        self.name: str = describe(function)
        check_callable(function)
        self._check()
        Plan(function, self._injected, {})

    def _check(self) -> None:
        kinds = inspect.Parameter
        first = self._parameters[0] if self._parameters else None
        if first is None or first.kind in {kinds.KEYWORD_ONLY, kinds.VAR_KEYWORD}:
            raise self._refusal("it must take the task as its first parameter")
        if first.role in {Role.CONTEXT, Role.DEPENDENCY} or not first.may_be(Task):
            raise self._refusal(
                f"its first parameter gets the Task, but {first.name!r} is annotated otherwise; "
                f"@router.task is for arguments"
            )
        for parameter in self._parameters[1:]:
            is_filled = (
                parameter.role is not Role.ARGUMENT and parameter.kind is not kinds.POSITIONAL_ONLY
            )
            if parameter.is_required and not is_filled:
                raise self._refusal(
                    f"nothing fills its parameter {parameter.name!r}: beside the task, a handler "
                    f"gets a TaskContext and dependencies; @router.task is for arguments"
                )

    def _refusal(self, reason: str) -> InvalidOptionError:
        return InvalidOptionError("handler", self.name, reason)

    @property
    def _injected(self) -> Sequence[Parameter]:
        return [one for one in self._parameters[1:] if one.role is not Role.ARGUMENT]

    def call(self, offload: Offload, overrides: Overrides) -> Call:
        """Return what runs it.

        Raises:
            InvalidOptionError: If a dependency cannot be called with what there is.
        """
        invoke = _awaitable(self.function, offload)
        plan = Plan(self.function, self._injected, overrides)
        if plan:

            def call(task: Task, context: TaskContext) -> Awaitable[object]:
                return plan.run(functools.partial(invoke, task), {}, task, context, offload)

            return call
        return _plain_call(invoke, self._injected)


def _plain_call(invoke: Callable[..., Awaitable[object]], injected: Sequence[Parameter]) -> Call:
    contexts = [one.name for one in injected if one.role is Role.CONTEXT]
    tasks = [one.name for one in injected if one.role is Role.TASK]
    if not injected:
        return lambda task, _: invoke(task)
    return lambda task, context: invoke(
        task, **dict.fromkeys(contexts, context), **dict.fromkeys(tasks, task)
    )


# --- Middleware ------------------------------------------------------------------------------


def check_middleware(function: object) -> None:
    """Refuse what cannot run around a handler.

    Raises:
        InvalidOptionError: If it is no coroutine function of the task and the next call.
    """
    name = describe(function) if callable(function) else function
    if not callable(function) or not is_async(function):
        raise InvalidOptionError(
            "middleware", name, "it must be `async def middleware(task, call_next)`"
        )
    try:
        inspect.signature(function).bind(None, None)
    except TypeError as error:
        raise InvalidOptionError(
            "middleware", name, f"it is called with the task and call_next ({error})"
        ) from error


def wrapped(call: Call, middleware: Sequence[Middleware]) -> Call:
    """Return *call* within *middleware*, the first of which is the outermost."""
    for layer in reversed(middleware):
        call = _layer(layer, call)
    return call


def _layer(middleware: Middleware, inner: Call) -> Call:
    def call(task: Task, context: TaskContext) -> Awaitable[object]:
        return middleware(task, lambda changed: inner(changed, context))

    return call
