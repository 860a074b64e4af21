"""What is registered with a router, and how a server looks it up."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, TypeAlias

from headrace._calls import PlainHandler, dispatch_of, typed_call, wrapped
from headrace._errors import HandlerNotFoundError, InvalidOptionError
from headrace._offload import Offload
from headrace._signature import describe
from headrace._typed import TypedTask
from headrace._validation import check_task_type

if TYPE_CHECKING:
    from headrace._calls import Call, Dispatch, Middleware, Overrides
    from headrace._context import TaskContext
    from headrace._task import Task

__all__ = ["AnyTypedTask", "Dispatcher", "Entry", "HandlerTable"]

AnyTypedTask: TypeAlias = TypedTask[..., ..., Any]

# Other programs choose the types of tasks; they must not fill the memory.
MAX_CACHED_TYPES = 1024


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """A handler, and the middleware of the routers that it came through."""

    handler: PlainHandler | AnyTypedTask
    middleware: tuple[Middleware, ...] = ()

    @property
    def name(self) -> str:
        """The handler's name, for a person."""
        if isinstance(self.handler, PlainHandler):
            return self.handler.name
        return describe(self.handler.__wrapped__)

    def within(self, middleware: tuple[Middleware, ...]) -> Entry:
        """Return this handler with *middleware* around what it has."""
        return Entry(self.handler, middleware + self.middleware)

    def call(self, offload: Offload, overrides: Overrides) -> Call:
        """Return what runs it.

        Raises:
            InvalidOptionError: If a dependency cannot be called with what there is.
        """
        if isinstance(self.handler, PlainHandler):
            return wrapped(self.handler.call(offload, overrides), self.middleware)
        return wrapped(typed_call(self.handler, offload, overrides), self.middleware)


class HandlerTable:
    """The handlers of one router.

    Attributes:
        typed: Typed tasks, by type.
        plain: Plain handlers, by pattern.
        not_found: The handler of last resort; None: tasks fail.
        middleware: What runs around all of them, the outermost first.
        overrides: Maps a dependency to what is called in its place.
        version: Rises with every change.
        is_closed: Whether another router has taken it over.
    """

    def __init__(self) -> None:
        self.typed: dict[str, Entry] = {}
        self.plain: dict[str, Entry] = {}
        self.not_found: Entry | None = None
        self.middleware: list[Middleware] = []
        self.overrides: Overrides = {}
        self.version: int = 0
        self.is_closed: bool = False

    @property
    def names(self) -> list[str]:
        """All types and patterns."""
        return [*self.typed, *self.plain]

    def find(self, task_type: str) -> Entry | None:
        """Return the handler of *task_type*: exactly it, or the longest prefix of it."""
        found = self.typed.get(task_type) or self.plain.get(task_type)
        if found is None:
            matching = [pattern for pattern in self.plain if task_type.startswith(pattern)]
            found = self.plain[max(matching, key=len)] if matching else self.not_found
        return found

    def changed(self) -> None:
        """Make servers look up again."""
        self.version += 1

    def check_open(self) -> None:
        """Refuse a change that nobody would notice.

        Raises:
            InvalidOptionError: If another router has taken this one over.
        """
        if self.is_closed:
            raise InvalidOptionError(
                "router",
                self.names,
                "another router has included it and would not notice; register before that, or "
                "with the other router",
            )

    def check_free(self, option: str, name: str) -> None:
        """Refuse a type or pattern that cannot be registered.

        Raises:
            InvalidOptionError: If it is blank or taken, or this router was taken over.
        """
        self.check_open()
        check_task_type(option, name)
        taken = self.typed.get(name) or self.plain.get(name)
        if taken is not None:
            raise InvalidOptionError(option, name, f"{taken.name} is registered for it already")

    def override(self, overrides: Overrides) -> None:
        """Call other functions in the place of dependencies.

        Raises:
            InvalidOptionError: If one of them needs what nothing fills. Nothing was changed.
        """
        self.check_open()
        entries = [*self.typed.values(), *self.plain.values(), self.not_found]
        for entry in filter(None, entries):
            entry.call(Offload(), overrides)
        self.overrides = overrides
        self.changed()

    def take_over(self, other: HandlerTable) -> None:
        """Add the handlers of *other*, within its middleware.

        Raises:
            InvalidOptionError: If both have the same. Nothing was added.
        """
        for name in other.names:
            self.check_free("router", name)
        if self.not_found is not None and other.not_found is not None:
            raise InvalidOptionError(
                "not_found", other.not_found.name, f"{self.not_found.name} is registered already"
            )
        around = tuple(other.middleware)
        for mine, theirs in ((self.typed, other.typed), (self.plain, other.plain)):
            mine.update({name: entry.within(around) for name, entry in theirs.items()})
        if other.not_found is not None:
            self.not_found = other.not_found.within(around)
        other.is_closed = True
        self.changed()


class Dispatcher:
    """A router's handlers with one server's limits. What it looked up, it remembers."""

    def __init__(self, table: HandlerTable, offload: Offload) -> None:
        self._table = table
        self._offload = offload
        self._version = -1
        self._by_type: dict[str, Dispatch] = {}

    def resolve(self, task_type: str) -> Dispatch:
        """Return what runs tasks of *task_type*."""
        if self._version != self._table.version or len(self._by_type) >= MAX_CACHED_TYPES:
            self._by_type.clear()
            self._version = self._table.version
        found = self._by_type.get(task_type)
        if found is None:
            found = self._by_type[task_type] = self._look_up(task_type)
        return found

    def _look_up(self, task_type: str) -> Dispatch:
        table = self._table
        entry = table.find(task_type)
        call = self._missing if entry is None else entry.call(self._offload, table.overrides)
        return dispatch_of(wrapped(call, table.middleware), entry.name if entry else "none")

    async def _missing(self, task: Task, _: TaskContext) -> object:
        raise HandlerNotFoundError(task.type, self._table.names)

    def __repr__(self) -> str:
        return f"<Dispatcher of {', '.join(self._table.names) or 'nothing'}>"
