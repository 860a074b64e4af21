"""The worker's side: a server runs handlers for the tasks of its queues."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
from typing import TYPE_CHECKING, Literal, TypeAlias, Unpack

import anyio

from headrace._broker.redis import RedisBroker
from headrace._components import Builder
from headrace._config import ServerConfig
from headrace._errors import (
    InvalidOptionError,
    ServerClosedError,
    ServerStateError,
)
from headrace._events import Events
from headrace._health import unstarted
from headrace._log import RateLimitedLog
from headrace._router import as_dispatch
from headrace._scheduler import server_components
from headrace._worker.prober import StateProber

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from redis.asyncio import Redis, RedisCluster

    from headrace._broker.base import Broker
    from headrace._components import Components
    from headrace._config import TaskStateProber
    from headrace._events import ServerObserver
    from headrace._health import ServerHealth
    from headrace._options import ServerOptions
    from headrace._router import Handler
    from headrace._worker.execution import Execution

__all__ = ["Server", "ServerState"]

ServerState: TypeAlias = Literal["new", "active", "stopped", "closed"]

STUCK_AFTER = 2.0
"""Seconds after the grace period at which handlers that ignore their cancellation are stuck."""

WIND_DOWN = 5.0
"""Seconds after that for components which wait for an answer of Redis to give up."""

LAST_CHANCE = 1.0
"""Seconds that what is still to be written, or to be reported, has at the end."""


class Server:
    """Runs tasks: embedded with ``async with``, or by itself with `headrace.run`.

    It may be started once; then it is used up.

    Args:
        redis: A URL, or a client of redis.asyncio; see `Client`.
        handler: A `Router`, or one function ``fn(task)`` for all tasks.
        options: See `ServerOptions`.

    Raises:
        InvalidOptionError: If an argument cannot be used.

    Attributes:
        config: The options, checked.
        handler: As it was given.
    """

    def __init__(
        self,
        redis: str | Redis | RedisCluster,
        handler: Handler,
        **options: Unpack[ServerOptions],
    ) -> None:
        known = {field.name for field in dataclasses.fields(ServerConfig)}
        for name, value in options.items():
            if name not in known:
                raise InvalidOptionError(name, value, f"the options are {', '.join(sorted(known))}")
        self.config: ServerConfig = ServerConfig(**options)  # type: ignore[arg-type]  # It takes timedeltas.
        self.handler = handler
        self._redis = redis
        self._handlers = as_dispatch(handler, concurrency=self.config.concurrency)
        broker = RedisBroker(redis, clock=self.config.clock)
        self._broker: Broker = broker
        self._logger = logging.getLogger("headrace")
        if self.config.log_level is not None:
            level = self.config.log_level
            self._logger.setLevel(level.upper() if isinstance(level, str) else level)
        self._log = RateLimitedLog(self._logger)
        self._schedulers = server_components(broker, self.config, handler, log=self._log)
        self._prober = StateProber(self.config.state_prober, log=self._log)
        self._events = Events(self._log)
        self._state: ServerState = "new"
        self._components: Components | None = None
        self._serving: asyncio.Task[None] | None = None
        self._started: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        queues = ",".join(f"{name}={weight}" for name, weight in self.config.queues.items())
        return f"<Server {self._state} {self._broker!r} queues={queues}>"

    def replace(self, **options: Unpack[ServerOptions]) -> Server:
        """Return a new server that differs in *options*; the observers are the same."""
        fields = dataclasses.fields(ServerConfig)
        current = {field.name: getattr(self.config, field.name) for field in fields}
        server = Server(self._redis, self.handler, **{**current, **options})
        server._events.observers = self._events.observers
        return server

    @property
    def address(self) -> str:
        """Where Redis is, without credentials."""
        return self._broker.address

    @property
    def state(self) -> ServerState:
        """``new``, ``active``, ``stopped`` (it fetches no more) or ``closed``."""
        return self._state

    def set_state_prober(self, prober: TaskStateProber | None) -> None:
        """Report changes of state to *prober* from now on; None: to nobody."""
        self._prober.set(prober)

    def add_observer(self, observer: ServerObserver) -> None:
        """Tell *observer* from now on what the server does: for metrics and the like."""
        self._events.add(observer)

    def remove_observer(self, observer: ServerObserver) -> None:
        """Tell *observer* no more; nothing happens if it was not told."""
        self._events.remove(observer)

    def health(self) -> ServerHealth:
        """Return whether the server makes progress. Asks nobody; call it in its event loop."""
        if self._components is None:
            return unstarted(self._state, self.config.concurrency)
        return self._components.vitals.health(self._state)

    async def ping(self) -> None:
        """Ask Redis for a sign of life.

        Raises:
            BrokerError: If Redis did not answer.
            ServerClosedError: If the server was shut down.
        """
        if self._state == "closed":
            raise ServerClosedError
        await self._broker.ping()

    # --- Start and stop --------------------------------------------------------------------

    async def start(self) -> None:
        """Start to run tasks, and return. Nothing happens if it runs already.

        Raises:
            BrokerError: If Redis cannot be reached, or cannot be used.
            ServerClosedError: If the server was shut down.
            ServerStateError: If it was stopped; a stopped server only shuts down.
        """
        if self._state == "closed":
            raise ServerClosedError
        if self._state == "stopped":
            raise ServerStateError("This server was stopped: it can be shut down, not started.")
        if self._serving is None or self._started is None:
            # A cancel scope must be left in the task that entered it, while a framework may
            # start and shut down in two different ones: the server gets one of its own.
            self._started = asyncio.get_running_loop().create_future()
            self._serving = asyncio.create_task(self._serve(self._started), name="headrace server")
            self._serving.add_done_callback(self._close)
        try:
            await asyncio.wait([self._serving, self._started], return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            with anyio.CancelScope(shield=True):
                await self._take_back_start()
            raise
        if not self._started.done():
            self._raise_if_failed()
            raise ServerClosedError  # It was shut down while it started.

    async def _take_back_start(self) -> None:
        """Cancel a start that is under way, and return when nothing of it is left."""
        assert self._serving is not None  # noqa: S101 - callers started it
        assert self._started is not None  # noqa: S101 - as above
        if not self._started.done():
            self._serving.cancel()
            await asyncio.wait([self._serving], timeout=STUCK_AFTER)

    def _close(self, _serving: asyncio.Task[None]) -> None:
        self._state = "closed"

    def stop(self) -> None:
        """Fetch no more tasks; running ones go on. Nothing happens unless it is active."""
        if self._state == "active":
            self._state = "stopped"
            if self._components is not None:
                self._components.processor.stop()

    async def shutdown(self) -> None:
        """Stop, wait for running tasks, give back those that take too long, and close.

        Once it is closed, or if it was never started, this does nothing but close it.
        Handlers that ignore their cancellation are logged as stuck and keep their tasks: those
        run again elsewhere once this process has ended.
        """
        if self._serving is None:
            self._state = "closed"
            await self._broker.close()
            return
        await self._take_back_start()
        self.stop()
        grace = self.config.shutdown_timeout
        if self._components is not None:
            self._components.processor.drain(grace)
        done, _ = await asyncio.wait([self._serving], timeout=grace + STUCK_AFTER)
        if not done and not self._running():  # No handler is left: Redis is slow, or away.
            done, _ = await asyncio.wait([self._serving], timeout=WIND_DOWN)
        if done:
            self._raise_if_failed()
        else:
            self._report_stuck()

    async def run(self) -> None:
        """Start, and return when the server was shut down.

        Cancelling this shuts it down, too.

        Raises:
            HeadraceError: See `start`.
            Exception: What broke the server, if something did.
        """
        if self._state == "closed":
            raise ServerClosedError
        with contextlib.suppress(ServerClosedError):  # It was shut down while it started.
            await self.start()
        assert self._serving is not None  # noqa: S101 - start() sees to it
        try:
            await asyncio.wait([self._serving])
        finally:
            with anyio.CancelScope(shield=True):
                await self.shutdown()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # A scope that was cancelled around the block must not cut the shutdown short.
        with anyio.CancelScope(shield=True):
            await self.shutdown()

    def _raise_if_failed(self) -> None:
        assert self._serving is not None  # noqa: S101 - callers started it
        if not self._serving.cancelled() and (error := self._serving.exception()) is not None:
            raise error

    def _running(self) -> list[Execution]:
        components = self._components
        return list(components.processor.running.values()) if components is not None else []

    def _report_stuck(self) -> None:
        running = self._running()
        if not running:
            self._logger.error("No handler runs, but the server does not end; is it its lifespan?")
            return
        self._logger.error(
            "%d handlers ignore their cancellation and are stuck; their tasks stay theirs until "
            "this process ends: %s",
            len(running),
            ", ".join(f"{e.attempt.message.type} {e.lease.task_id}" for e in running),
            extra={"task_ids": [execution.lease.task_id for execution in running]},
        )

    # --- The run ---------------------------------------------------------------------------

    async def _serve(self, started: asyncio.Future[None]) -> None:
        """Be the server, from start to end, in a task of its own."""
        try:
            async with contextlib.AsyncExitStack() as stack:
                stack.push_async_callback(self._broker.close)
                await self._broker.check_server(allow_eviction=self.config.allow_eviction)
                for queue, limits in self.config.limits.items():
                    await self._broker.set_limits(queue, limits)
                lifespan = self.config.lifespan
                state = await stack.enter_async_context(lifespan()) if lifespan else None
                self._components = Builder(
                    config=self.config,
                    broker=self._broker,
                    handlers=self._handlers,
                    prober=self._prober,
                    events=self._events,
                    state=state,
                    schedulers=self._schedulers,
                    status=lambda: self._state,
                    log=self._log,
                ).build()
                await self._run_components(self._components, started)
        except BaseExceptionGroup as group:
            error = _first(group)
            if started.done() and not isinstance(error, asyncio.CancelledError):
                self._logger.critical("The server broke down", exc_info=error)
            raise error from None

    async def _run_components(self, components: Components, started: asyncio.Future[None]) -> None:
        """Run the components. The indentation is the order of shutdown."""
        async with anyio.create_task_group() as support:
            for component in components.support:
                await support.start(component.run)
            async with anyio.create_task_group() as feeders:
                for component in components.feeders:
                    await feeders.start(component.run)
                self._state = "active"
                self._logger.info("Headrace runs: %r", self)
                started.set_result(None)
                await components.processor.run()  # Returns once drained.
                feeders.cancel_scope.cancel()
            await components.finisher.drain()
            await components.syncer.drain(LAST_CHANCE)
            with anyio.move_on_after(LAST_CHANCE):
                await self._prober.deliver()
            support.cancel_scope.cancel()
        self._logger.info("Headrace has shut down")


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first error in *group*, however deep it lies."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
