"""What a handler, or a dependency of one, asks for: its parameters and their roles."""

from __future__ import annotations

import dataclasses
import enum
import functools
import inspect
import sys
import types
import typing
from typing import TYPE_CHECKING, Annotated, Any

from headrace._context import TaskContext
from headrace._errors import InvalidOptionError
from headrace._task import Task

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "Dependency",
    "Parameter",
    "Role",
    "describe",
    "is_async",
    "is_async_generator",
    "is_generator",
    "read_parameters",
]

# `if TYPE_CHECKING: from headrace import TaskContext` is what linters suggest; a name that
# nothing else explains means ours.
_OUR_NAMES: dict[str, object] = {"Task": Task, "TaskContext": TaskContext}
_EMPTY = inspect.Parameter.empty


@dataclasses.dataclass(frozen=True, slots=True)
class Dependency:
    """The mark that `Depends` leaves: call *function* for the parameter's value."""

    function: Callable[..., object] | None
    """None: the parameter's annotation."""
    use_cache: bool = True


class Role(enum.Enum):
    """What fills a parameter."""

    ARGUMENT = enum.auto()
    CONTEXT = enum.auto()
    TASK = enum.auto()
    DEPENDENCY = enum.auto()


@dataclasses.dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a function, its annotation resolved."""

    name: str
    kind: inspect._ParameterKind
    annotation: Any
    """``inspect.Parameter.empty`` where there is none."""
    default: object
    """``inspect.Parameter.empty`` where there is none."""
    role: Role
    dependency: Dependency | None = None

    @property
    def is_required(self) -> bool:
        """Whether a call without it fails."""
        return self.default is _EMPTY and not self.is_variadic

    def may_be(self, kind: type) -> bool:
        """Whether the annotation leaves room for an instance of *kind*."""
        wanted = typing.get_origin(self.annotation) or self.annotation
        if wanted in (_EMPTY, Any, types.UnionType) or not isinstance(wanted, type):
            return True
        try:
            return issubclass(kind, wanted)
        except TypeError:  # A protocol.
            return True

    @property
    def is_variadic(self) -> bool:
        """Whether it is ``*args`` or ``**kwargs``."""
        return self.kind in {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}


def describe(function: object) -> str:
    """Return the name that a person knows *function* by, such as ``"myapp.tasks.send"``."""
    while isinstance(function, functools.partial):
        function = function.func
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}.{named.__qualname__}"


def is_async(function: Callable[..., object]) -> bool:
    """Whether calling *function* makes a coroutine."""
    return _is_kind(inspect.iscoroutinefunction, function)


def is_generator(function: Callable[..., object]) -> bool:
    """Whether calling *function* makes a generator."""
    return _is_kind(inspect.isgeneratorfunction, function)


def is_async_generator(function: Callable[..., object]) -> bool:
    """Whether calling *function* makes an asynchronous generator."""
    return _is_kind(inspect.isasyncgenfunction, function)


def _is_kind(check: Callable[[object], bool], function: Callable[..., object]) -> bool:
    if check(function):
        return True
    # An object with a __call__ method; a class is not one: calling it makes an instance.
    return not isinstance(function, type) and check(getattr(function, "__call__", None))  # noqa: B004


def read_parameters(
    function: Callable[..., object], *, lenient_first: bool = False
) -> tuple[Parameter, ...]:
    """Return the parameters of *function*.

    Args:
        function: A function, or any callable that has a signature.
        lenient_first: Whether the first parameter's annotation does not matter.

    Raises:
        InvalidOptionError: If it has no signature, or an annotation that cannot be resolved.
    """
    if not callable(function):
        raise InvalidOptionError("handler", function, "it must be callable")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError, NameError) as error:
        raise InvalidOptionError("handler", describe(function), str(error)) from error
    scope = _Scope(function)
    parameters: list[Parameter] = []
    for parameter in signature.parameters.values():
        annotation = parameter.annotation
        if annotation is not _EMPTY:
            try:
                annotation = scope.resolve(parameter.name, annotation)
            except InvalidOptionError:
                if parameters or not lenient_first:
                    raise
                annotation = _EMPTY
        parameters.append(_parameter(function, parameter, annotation))
    return tuple(parameters)


class _Scope:
    """The names that the annotations of a function may use."""

    def __init__(self, function: Callable[..., object]) -> None:
        self._function = function
        target: Any = function
        while isinstance(target, functools.partial):
            target = target.func
        if isinstance(function, type):
            target = target.__init__
        elif not hasattr(target, "__globals__") and not hasattr(target, "__wrapped__"):
            target = getattr(target, "__call__", target)  # noqa: B004 - its globals are wanted
        target = inspect.unwrap(target)
        self._globals: dict[str, object] = getattr(target, "__globals__", {})
        self._locals = _enclosing_locals(target, self._globals)

    def resolve(self, name: str, annotation: object) -> object:
        """Return *annotation* with the names in it replaced by what they stand for."""
        try:
            return self._evaluate(annotation, self._locals)
        except NameError:
            pass
        except Exception as error:
            raise self._unresolved(name, annotation, error) from error
        try:
            # Their own names come first.
            return self._evaluate(annotation, {**_OUR_NAMES, **self._globals, **self._locals})
        except Exception as error:
            raise self._unresolved(name, annotation, error) from error

    def _evaluate(self, annotation: object, names: dict[str, object]) -> object:
        # One by one: a return annotation may stay unresolved, and an error names its parameter.
        holder = types.SimpleNamespace(__annotations__={"it": annotation})
        hints = typing.get_type_hints(holder, self._globals, names, include_extras=True)
        return hints["it"]

    def _unresolved(self, name: str, annotation: object, error: Exception) -> InvalidOptionError:
        shown = annotation if isinstance(annotation, str) else repr(annotation)
        return InvalidOptionError(
            "handler",
            describe(self._function),
            f"the annotation `{shown}` of its parameter {name!r} cannot be resolved ({error}). "
            f"Define or import the name above it, and not under `if TYPE_CHECKING:`",
        )


def _enclosing_locals(target: object, module: dict[str, object]) -> dict[str, object]:
    """Return the variables of the function that *target* is being defined in."""
    outer, nested, _ = getattr(target, "__qualname__", "").rpartition(".<locals>.")
    frame = sys._getframe(1) if nested else None  # noqa: SLF001 - inspect.stack() reads files
    while frame is not None:
        if frame.f_code.co_qualname == outer and frame.f_globals is module:
            return dict(frame.f_locals)
        frame = frame.f_back
    return {}


def _parameter(
    function: Callable[..., object],
    parameter: inspect.Parameter,
    annotation: Any,  # noqa: ANN401 - an annotation may be anything
) -> Parameter:
    # `type Db = Annotated[Session, Depends(session)]` (Python 3.12) stands for its value.
    plain = annotation.__value__ if type(annotation).__name__ == "TypeAliasType" else annotation
    dependency = _find_dependency(function, parameter, plain)
    if dependency is not None:
        role = Role.DEPENDENCY
        if dependency.function is None:
            dependency = dataclasses.replace(dependency, function=_bare(plain))
        if not callable(dependency.function):
            raise InvalidOptionError(
                "handler",
                describe(function),
                f"the dependency of its parameter {parameter.name!r} is "
                f"{dependency.function!r}, which cannot be called",
            )
    elif _means(plain, TaskContext):
        role = Role.CONTEXT
    elif _means(plain, Task):
        role = Role.TASK
    else:
        role = Role.ARGUMENT
    return Parameter(
        parameter.name, parameter.kind, annotation, parameter.default, role, dependency
    )


def _find_dependency(
    function: Callable[..., object], parameter: inspect.Parameter, annotation: object
) -> Dependency | None:
    marks = [*getattr(annotation, "__metadata__", ()), parameter.default]
    found = [mark for mark in map(_as_dependency, marks) if mark is not None]
    if len(found) > 1:
        raise InvalidOptionError(
            "handler",
            describe(function),
            f"its parameter {parameter.name!r} has {len(found)} dependencies; leave one",
        )
    return found[0] if found else None


def _as_dependency(mark: object) -> Dependency | None:
    if isinstance(mark, Dependency):
        return mark
    # FastAPI's own mark, so that an application's dependencies serve its tasks too.
    if type(mark).__name__ == "Depends" and hasattr(mark, "dependency"):
        return Dependency(mark.dependency, use_cache=getattr(mark, "use_cache", True))
    return None


def _bare(annotation: object) -> Any:  # noqa: ANN401 - an annotation may be anything
    if typing.get_origin(annotation) is Annotated:
        return typing.get_args(annotation)[0]
    return annotation


def _means(annotation: object, wanted: type) -> bool:
    """Whether *annotation* is *wanted*, ``wanted | None``, or one of these Annotated."""
    annotation = _bare(annotation)
    if typing.get_origin(annotation) in {typing.Union, types.UnionType}:
        members = [_bare(member) for member in typing.get_args(annotation)]
        return wanted in members and all(one is wanted or one is type(None) for one in members)
    return annotation is wanted
