"""Typed tasks: functions whose arguments travel as a JSON object, by name."""

from __future__ import annotations

import functools
import inspect
import typing
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    NotRequired,
    ParamSpec,
    Protocol,
    Required,
    TypeVar,
    final,
    overload,
)

import typing_extensions
from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo
from pydantic_core import SchemaSerializer, core_schema

from headrace._errors import InvalidOptionError, TaskArgumentsError
from headrace._signature import (
    Parameter,
    Role,
    describe,
    is_async,
    is_async_generator,
    is_generator,
    read_parameters,
)
from headrace._task import Options, Task
from headrace._validation import check_task_type

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace._context import TaskContext
    from headrace._task import TaskOptions

__all__ = ["TaskDecorator", "TypedTask"]

P = ParamSpec("P")
C = ParamSpec("C")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

MAX_PROBLEMS = 10
_EMPTY = inspect.Parameter.empty
_ANYTHING = (Any, object, _EMPTY)


class Arguments:
    """The arguments of one typed task <-> JSON.

    Args:
        task_type: For errors.
        name: The handler's name, for errors.
        parameters: The handler's parameters, of which those with the role ARGUMENT travel.

    Raises:
        InvalidOptionError: If one of them cannot travel.
    """

    def __init__(self, task_type: str, name: str, parameters: tuple[Parameter, ...]) -> None:
        self._task_type = task_type
        self._handler = name
        travelling = [one for one in parameters if one.role is Role.ARGUMENT]
        for parameter in travelling:
            self._check(parameter)
        named = [one for one in travelling if not one.is_variadic]
        rest = next((one for one in travelling if one.is_variadic), None)
        self._names = tuple(one.name for one in named)
        self._positional = tuple(
            one.name for one in named if one.kind is one.kind.POSITIONAL_OR_KEYWORD
        )
        self._takes_more = rest is not None
        # With **kwargs, a payload could fill what only the worker may fill.
        self._reserved = frozenset(one.name for one in parameters if one.role is not Role.ARGUMENT)
        self.signature = inspect.Signature(
            [
                inspect.Parameter(
                    one.name, one.kind, default=one.default, annotation=one.annotation
                )
                for one in travelling
            ]
        )
        adapter = self._adapter(named, rest)
        self._validate = adapter.validator.validate_json
        # JSON has no NaN; pydantic would write null, and mean nothing by it.
        settings = core_schema.CoreConfig(ser_json_inf_nan="strings")
        self._serialize = SchemaSerializer(adapter.core_schema, settings).to_json

    def _refusal(self, reason: str) -> InvalidOptionError:
        return InvalidOptionError("handler", self._handler, reason)

    def _check(self, parameter: Parameter) -> None:
        name, kind = parameter.name, parameter.kind
        if kind is kind.POSITIONAL_ONLY:
            reason = "is positional-only, but arguments travel by name; remove the `/`"
        elif kind is kind.VAR_POSITIONAL:
            reason = "takes positional arguments, but arguments travel by name; use a list"
        elif kind is kind.VAR_KEYWORD and (
            typing.get_origin(parameter.annotation) in {typing.Unpack, typing_extensions.Unpack}
        ):
            reason = "is unpacked from a TypedDict; write its keys out as parameters"
        elif isinstance(parameter.default, FieldInfo):
            reason = "has a pydantic field as its default; write Annotated[type, Field(...)]"
        elif name == "self" and parameter.annotation is _EMPTY:
            reason = "belongs to a method; register the bound method with add_task"
        else:
            return
        raise self._refusal(f"its parameter {name!r} {reason}")

    def _adapter(self, named: list[Parameter], rest: Parameter | None) -> TypeAdapter[Any]:
        fields: dict[str, Any] = {}
        for parameter in named:
            annotation = Any if parameter.annotation is _EMPTY else parameter.annotation
            wrap: Any = Required if parameter.is_required else NotRequired
            fields[parameter.name] = wrap[annotation]
        more: dict[str, Any] = {}
        if rest is not None and rest.annotation not in _ANYTHING:
            more["extra_items"] = rest.annotation
        # A TypedDict and not a model: its keys may have any name, and absent ones stay absent,
        # so that the function's own defaults apply.
        make_type: Any = typing_extensions.TypedDict
        shape = make_type("Arguments", fields, **more)
        shape.__pydantic_config__ = {"extra": "forbid" if rest is None else "allow"}
        try:
            adapter: TypeAdapter[Any] = TypeAdapter(shape)
            if not adapter.pydantic_complete:
                adapter.rebuild(raise_errors=True)
        except (PydanticUserError, NameError, TypeError) as error:
            reason = str(error).partition("\n")[0]
            raise self._refusal(f"pydantic cannot check its arguments: {reason}") from error
        return adapter

    def encode(self, args: tuple[object, ...], kwargs: dict[str, object]) -> bytes:
        """Return a call's arguments as JSON, in the order of the signature.

        Raises:
            TaskArgumentsError: If they do not fit the signature, or JSON cannot carry them.
        """
        given = self._by_name(args, kwargs)
        try:
            payload = self._serialize(given, by_alias=True, warnings=False)
        except (ValueError, TypeError) as error:
            raise TaskArgumentsError(self._task_type, str(error)) from None
        # As the worker will: a validator runs once on its way, and not on its own result.
        self.decode(payload)
        return payload

    def _by_name(self, args: tuple[object, ...], kwargs: dict[str, object]) -> dict[str, object]:
        if args:
            kwargs = self._with_positional(args, kwargs)
        given = {name: kwargs[name] for name in self._names if name in kwargs}
        if len(given) == len(kwargs):
            return given
        unknown = sorted(kwargs.keys() - given.keys())
        if not self._takes_more:
            raise TaskArgumentsError(self._task_type, f"it takes no {', '.join(unknown)}")
        return {**given, **{name: kwargs[name] for name in unknown}}

    def _with_positional(
        self, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> dict[str, object]:
        if len(args) > len(self._positional):
            raise TaskArgumentsError(
                self._task_type,
                f"{len(args)} positional arguments were given, it takes {len(self._positional)}",
            )
        positional = dict(zip(self._positional, args, strict=False))
        twice = positional.keys() & kwargs.keys()
        if twice:
            raise TaskArgumentsError(self._task_type, f"{', '.join(sorted(twice))} given twice")
        return {**positional, **kwargs}

    def decode(self, payload: bytes) -> dict[str, Any]:
        """Return the arguments in *payload*. An absent payload holds none.

        Raises:
            TaskArgumentsError: If it is no JSON object, or does not fit the signature.
        """
        try:
            arguments: dict[str, Any] = self._validate(payload or b"{}")
        except ValidationError as error:
            # Not its cause: that shows the values, which may be personal.
            raise TaskArgumentsError(self._task_type, _problems(error)) from None
        if self._takes_more and not self._reserved.isdisjoint(arguments):
            filled = ", ".join(sorted(self._reserved & arguments.keys()))
            raise TaskArgumentsError(self._task_type, f"the worker fills {filled} itself")
        return arguments


def _problems(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    lines = [
        ": ".join(filter(None, (".".join(map(str, one["loc"])), one["msg"])))
        for one in found[:MAX_PROBLEMS]
    ]
    if len(found) > MAX_PROBLEMS:
        lines.append(f"and {len(found) - MAX_PROBLEMS} more")
    return "; ".join(lines)


class TypedTask(Generic[P, C, R_co]):
    """What `Router.task` makes of a function: still the function, and a maker of tasks.

    ``send_welcome.task(user_id=42)`` makes a `Task` to enqueue; ``send_welcome(user_id=42)``
    calls the function. Its parameters of type are those of ``.task``, those of the function
    (which may begin with a `TaskContext`), and what the function returns.
    """

    __name__: str
    __wrapped__: Callable[C, R_co]

    def __init__(
        self,
        type: str,  # noqa: A002 - the field's word, and the wire's
        function: Callable[C, R_co],
        *,
        cpu: bool,
        options: TaskOptions,
    ) -> None:
        if isinstance(function, TypedTask):  # A second type for the same function.
            function = function.__wrapped__
        # First: it copies the function's own attributes, which are not to replace ours.
        functools.update_wrapper(self, function)
        self._type = check_task_type("type", type)
        self._options = Options.check(options)
        self._parameters = read_parameters(function)
        self._cpu = cpu
        check_callable(function)
        self._check_roles(describe(function))
        if cpu:
            check_cpu_handler(function)
        self._arguments = Arguments(type, describe(function), self._parameters)

    def _check_roles(self, name: str) -> None:
        for parameter in self._parameters:
            if parameter.role is Role.TASK:
                raise InvalidOptionError(
                    "handler",
                    name,
                    f"its parameter {parameter.name!r} wants the Task: use @router.handler, "
                    f"or a TaskContext for the task's ID and headers",
                )
            if self._cpu and parameter.role is not Role.ARGUMENT:
                kind = "a TaskContext" if parameter.role is Role.CONTEXT else "a dependency"
                raise InvalidOptionError(
                    "handler",
                    name,
                    f"its parameter {parameter.name!r} wants {kind}, which cannot leave the "
                    f"worker's process: with cpu=True a function gets its arguments only",
                )

    @property
    def type(self) -> str:
        """The type of the tasks that it makes and handles."""
        return self._type

    @property
    def options(self) -> Options:
        """The options that its tasks carry; those given at enqueue take precedence."""
        return self._options

    @property
    def cpu(self) -> bool:
        """Whether it runs in a process of its own."""
        return self._cpu

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """All parameters of the function, those that the worker fills too."""
        return self._parameters

    def task(self, /, *args: P.args, **kwargs: P.kwargs) -> Task:
        """Return a task that calls the function with these arguments.

        What was not given takes the function's default when the task runs.

        Raises:
            TaskArgumentsError: If the arguments do not fit the signature, or JSON cannot
                carry them.
        """
        return Task._checked(  # noqa: SLF001 - all of it has been checked
            self._type, self._arguments.encode(args, kwargs), self._options
        )

    def arguments_of(self, task: Task) -> dict[str, Any]:
        """Return the function's arguments that *task* carries, by name.

        Raises:
            TaskArgumentsError: If its payload does not fit the signature.
        """
        return self._arguments.decode(task.payload)

    def __call__(self, /, *args: C.args, **kwargs: C.kwargs) -> R_co:
        """Call the function itself."""
        return self.__wrapped__(*args, **kwargs)

    def __repr__(self) -> str:
        call = f"{describe(self.__wrapped__)}{self._arguments.signature}"
        return f"<TypedTask {self._type!r}: {call}>"


def check_callable(function: Callable[..., object]) -> None:
    """Refuse what cannot be a handler.

    Raises:
        InvalidOptionError: If it is a class or a generator function.
    """
    if isinstance(function, type):
        reason = "a class makes an instance; register a function or a bound method"
    elif is_generator(function) or is_async_generator(function):
        reason = "it yields, but a handler returns its result"
    else:
        return
    raise InvalidOptionError("handler", describe(function), reason)


def check_cpu_handler(function: Callable[..., object]) -> None:
    """Refuse a function that a process could not find by its name, or not run.

    Raises:
        InvalidOptionError: If it is a coroutine function, nested, a lambda, or no function.
    """
    if is_async(function):
        reason = "cpu=True is for `def` functions; a coroutine function runs in the event loop"
    elif not inspect.isfunction(function):
        reason = "cpu=True needs a function that a process can import by its name"
    elif "<lambda>" in function.__qualname__ or "<locals>" in function.__qualname__:
        reason = (
            "a process cannot import a lambda, nor what is defined within a function; with "
            "cpu=True, define it with `def` at the top of a module"
        )
    else:
        return
    raise InvalidOptionError("handler", describe(function), reason)


# --- How type checkers see the decorator -----------------------------------------------------


@final
class Anything:
    """Nobody's argument. A function that takes it first takes anything first."""


class TaskDecorator(Protocol):
    """Makes a typed task of a function.

    A leading `TaskContext` parameter is no parameter of ``.task(...)``. Behind a leading
    ``Any`` or ``object``, which could stand for one, ``.task(...)`` goes unchecked.
    """

    @overload
    def __call__(
        self, function: Callable[Concatenate[Anything, ...], R], /
    ) -> TypedTask[..., ..., R]: ...
    @overload
    def __call__(
        self, function: Callable[Concatenate[TaskContext, P], R], /
    ) -> TypedTask[P, Concatenate[TaskContext, P], R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> TypedTask[P, P, R]: ...
    def __call__(self, function: Callable[..., Any], /) -> TypedTask[..., ..., Any]:
        """Return the typed task that stands for *function*."""
        ...
