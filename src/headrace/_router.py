"""Which handler runs a task: typed tasks by their type, plain handlers by longest prefix."""

from __future__ import annotations

import contextlib
import types
from collections.abc import Callable
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    ParamSpec,
    Protocol,
    TypeAlias,
    TypeVar,
    Unpack,
    cast,
    overload,
    runtime_checkable,
)

from headrace._calls import (
    CallNext,
    Dispatch,
    Middleware,
    PlainHandler,
    check_middleware,
    typed_call,
)
from headrace._errors import InvalidOptionError, TaskArgumentsError
from headrace._offload import Offload, check_importable
from headrace._schedule import Schedule
from headrace._signature import describe
from headrace._table import AnyTypedTask, Dispatcher, Entry, HandlerTable
from headrace._task import Task, TaskOptions
from headrace._typed import TypedTask

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import timedelta

    from headrace._context import TaskContext
    from headrace._schedule import Misfire
    from headrace._typed import Anything, TaskDecorator

__all__ = [
    "CallNext",
    "Dispatch",
    "Dispatcher",
    "Handler",
    "Middleware",
    "Resolver",
    "Router",
    "as_dispatch",
]

P = ParamSpec("P")
C = ParamSpec("C")
R = TypeVar("R")

PlainFunction: TypeAlias = Callable[Concatenate[Task, ...], object]
F = TypeVar("F", bound=PlainFunction)
M = TypeVar("M", bound=Middleware)


@runtime_checkable
class Resolver(Protocol):
    """Tells a server what runs a type of task."""

    def resolve(self, task_type: str) -> Dispatch:
        """Return what runs tasks of *task_type*. It never fails: what it returns may."""
        ...


Handler: TypeAlias = Resolver | AnyTypedTask | PlainFunction
"""What a server takes as its handler: a router, or one function for all tasks."""


class Router:
    """Maps types of tasks to handlers.

    A task goes to the typed task of exactly its type; else to the plain handler whose pattern
    is its type, or the longest prefix of it; else to the not-found handler.

    Functions defined with ``async def`` run in the event loop, those with ``def`` in threads,
    and typed tasks with ``cpu=True`` in processes.
    """

    def __init__(self) -> None:
        self._table = HandlerTable()
        self._dispatcher = Dispatcher(self._table, Offload())
        self._schedules: list[Schedule] = []

    # --- Typed tasks -------------------------------------------------------------------------

    def task(
        self,
        type: str,  # noqa: A002 - the field's word, and the wire's
        *,
        cpu: bool = False,
        **options: Unpack[TaskOptions],
    ) -> TaskDecorator:
        """Make a function a typed task: its arguments travel as a JSON object, by name.

        A parameter annotated `TaskContext` gets the context; `Depends` marks dependencies.

        Args:
            type: The type of its tasks, such as ``"email:welcome"``.
            cpu: Whether to run it in a process: for a ``def`` function that computes for long.
                Its arguments and its result must be picklable, and it gets no context.
            options: What its tasks carry; see `TaskOptions`. Those at enqueue take precedence.

        Raises:
            InvalidOptionError: If the type is taken, an option cannot be used, or the
                function's arguments cannot travel.
        """

        def decorate(function: Callable[..., Any], /) -> AnyTypedTask:
            return self.add_task(type, function, cpu=cpu, **options)

        return cast("TaskDecorator", decorate)

    @overload
    def add_task(
        self,
        type: str,
        function: Callable[Concatenate[Anything, ...], R],
        *,
        cpu: bool = False,
        **options: Unpack[TaskOptions],
    ) -> TypedTask[..., ..., R]: ...
    @overload
    def add_task(
        self,
        type: str,
        function: Callable[Concatenate[TaskContext, P], R],
        *,
        cpu: bool = False,
        **options: Unpack[TaskOptions],
    ) -> TypedTask[P, Concatenate[TaskContext, P], R]: ...
    @overload
    def add_task(
        self,
        type: str,
        function: Callable[P, R],
        *,
        cpu: bool = False,
        **options: Unpack[TaskOptions],
    ) -> TypedTask[P, P, R]: ...
    def add_task(
        self,
        type: str,  # noqa: A002
        function: Callable[..., Any],
        *,
        cpu: bool = False,
        **options: Unpack[TaskOptions],
    ) -> AnyTypedTask:
        """Do what `task` does, not as a decorator: for bound methods, say."""
        self._table.check_free("type", type)
        task: AnyTypedTask = TypedTask(type, function, cpu=cpu, options=options)
        typed_call(task, Offload(), {})  # Refuses dependencies that cannot be called.
        self._table.typed[type] = Entry(task)
        self._table.changed()
        return task

    def cron(
        self,
        spec: str,
        *,
        misfire: Misfire = "skip",
        jitter: float | timedelta = 0.0,
        entry_id: str | None = None,
        **options: Unpack[TaskOptions],
    ) -> Callable[[TypedTask[P, C, R]], TypedTask[P, C, R]]:
        """Have the servers of this router enqueue a typed task whenever *spec* is due.

        It stands above `task`, as often as there are specs. The function gets no arguments, so
        each of its parameters needs a default. See `Schedule` for the arguments.

        Raises:
            InvalidOptionError: If an argument cannot be used, or the function is no typed task
                that can do without arguments.
        """

        def decorate(task: TypedTask[P, C, R], /) -> TypedTask[P, C, R]:
            self._table.check_open()
            if not isinstance(task, TypedTask):
                raise InvalidOptionError(
                    "cron", describe(task), "put @router.cron(...) above @router.task(...)"
                )
            make: Callable[[], Task] = task.task
            try:
                new = make()
            except TaskArgumentsError as error:
                raise InvalidOptionError(
                    "cron", describe(task.__wrapped__), f"it needs arguments: {error.problems}"
                ) from None
            self._schedules.append(
                Schedule(spec, new, misfire=misfire, jitter=jitter, entry_id=entry_id, **options)
            )
            return task

        return decorate

    @property
    def schedules(self) -> tuple[Schedule, ...]:
        """What `cron` has been given."""
        return tuple(self._schedules)

    # --- Plain handlers ----------------------------------------------------------------------

    def handler(self, pattern: str) -> Callable[[F], F]:
        """Register a function for all tasks whose type begins with *pattern*.

        The function gets the `Task`; further parameters may be a `TaskContext` or
        dependencies. The longest pattern wins, and a typed task of that type before it.

        Raises:
            InvalidOptionError: If the pattern is blank or taken, or the function takes
                something else.
        """

        def decorate(function: F, /) -> F:
            self.add_handler(pattern, function)
            return function

        return decorate

    def add_handler(self, pattern: str, function: PlainFunction) -> None:
        """Do what `handler` does, not as a decorator."""
        self._table.check_free("pattern", pattern)
        self._table.plain[pattern] = Entry(PlainHandler(function))
        self._table.changed()

    def not_found(self, function: F) -> F:
        """Register the function for tasks that nothing else is registered for.

        Without one, such a task fails with a `HandlerNotFoundError`.
        """
        self._table.check_open()
        before = self._table.not_found
        if before is not None:
            raise InvalidOptionError(
                "not_found", describe(function), f"{before.name} is registered already"
            )
        self._table.not_found = Entry(PlainHandler(function))
        self._table.changed()
        return function

    # --- Around the handlers -----------------------------------------------------------------

    def middleware(self, function: M) -> M:
        """Run ``async def function(task, call_next)`` around every handler of this router.

        ``await call_next(task)`` runs the rest and returns the handler's value; what the
        middleware returns takes its place. The first that is registered is the outermost.
        """
        self._table.check_open()
        check_middleware(function)
        self._table.middleware.append(function)
        self._table.changed()
        return function

    def include(self, router: Router) -> None:
        """Take over the handlers of *router*, within its middleware.

        Nothing can be registered with *router* from then on: it would not get here.

        Raises:
            InvalidOptionError: If both have the same type or pattern. Nothing was taken over.
        """
        self._table.check_open()
        if not isinstance(router, Router) or router is self:  # type: ignore[redundant-expr]
            raise InvalidOptionError("router", router, "another Router is needed")
        self._table.take_over(router._table)
        self._schedules += router._schedules

    @contextlib.contextmanager
    def override(
        self, dependency: Callable[..., object], replacement: Callable[..., object]
    ) -> Iterator[None]:
        """Call *replacement* wherever *dependency* is meant, while the block runs: for tests.

        Raises:
            InvalidOptionError: If *replacement* needs what nothing fills.
        """
        before = self._table.overrides
        self._table.override({**before, dependency: replacement})
        try:
            yield
        finally:
            self._table.override(before)

    # --- Looking up --------------------------------------------------------------------------

    @property
    def tasks(self) -> Mapping[str, AnyTypedTask]:
        """The typed tasks, by type."""
        return types.MappingProxyType(
            {
                name: entry.handler
                for name, entry in self._table.typed.items()
                if isinstance(entry.handler, TypedTask)
            }
        )

    @property
    def patterns(self) -> tuple[str, ...]:
        """The patterns of the plain handlers, as they were registered."""
        return tuple(self._table.plain)

    def bind(self, concurrency: int | None = None, *, processes: int | None = None) -> Dispatcher:
        """Return what one server looks its handlers up with.

        Args:
            concurrency: How many threads ``def`` handlers may take up at a time. None: as
                many as anyio allows, 40.
            processes: How many processes ``cpu=True`` handlers may take up. None: one per CPU.

        Raises:
            InvalidOptionError: If a process could not find a ``cpu=True`` handler.
        """
        for task in self.tasks.values():
            if task.cpu:
                check_importable(task.__wrapped__)
        return Dispatcher(self._table, Offload(concurrency, processes))

    def resolve(self, task_type: str) -> Dispatch:
        """Return what runs tasks of *task_type*, with the limits that `bind` has without any."""
        return self._dispatcher.resolve(task_type)

    def __repr__(self) -> str:
        return f"<Router tasks={list(self._table.typed)} patterns={list(self._table.plain)}>"


def as_dispatch(handler: Handler, *, concurrency: int | None = None) -> Resolver:
    """Return what a server looks its handlers up with.

    Args:
        handler: A router, another object with a ``resolve`` method, a typed task, or a
            function ``fn(task)`` for tasks of all types.
        concurrency: See `Router.bind`.

    Raises:
        InvalidOptionError: If *handler* is none of these.
    """
    if isinstance(handler, Router):
        return handler.bind(concurrency)
    if isinstance(handler, TypedTask):
        router = Router()
        router._table.typed[handler.type] = Entry(handler)  # noqa: SLF001 - as add_task would
        return router.bind(concurrency)
    if isinstance(handler, Resolver) and not isinstance(handler, type):
        return handler
    router = Router()
    router.not_found(handler)
    return router.bind(concurrency)
