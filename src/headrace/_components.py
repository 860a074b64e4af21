"""Builds the components of one server. Knows all of them, but not their order."""

from __future__ import annotations

import dataclasses
import functools
import os
import socket
from typing import TYPE_CHECKING, Protocol, TypedDict

from headrace._broker.keys import server_key
from headrace._broker.values import GroupLimits
from headrace._clock import new_uuid
from headrace._config import retry_delay_from
from headrace._health import HEARTBEATS_MISSED, Vitals
from headrace._worker.aggregator import Aggregator
from headrace._worker.execution import Executor
from headrace._worker.finisher import Finisher
from headrace._worker.forwarder import Forwarder
from headrace._worker.guard import GuardThread
from headrace._worker.healthchecker import Healthchecker
from headrace._worker.heartbeater import Heartbeater, Identity
from headrace._worker.intake import Intake
from headrace._worker.janitor import Janitor
from headrace._worker.monitor import LoopMonitor
from headrace._worker.outcome import Cause, Judge
from headrace._worker.processor import Processor
from headrace._worker.reconciler import Reconciler
from headrace._worker.recoverer import Recoverer
from headrace._worker.reporter import Reporter
from headrace._worker.subscriber import Subscriber
from headrace._worker.syncer import Syncer

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator, Sequence

    from anyio.abc import TaskStatus

    from headrace._broker.base import Broker
    from headrace._config import ServerConfig
    from headrace._events import Events
    from headrace._log import RateLimitedLog
    from headrace._router import Resolver
    from headrace._worker.prober import StateProber

__all__ = ["Builder", "Component", "Components"]


class Component(Protocol):
    """Runs until it is cancelled."""

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        """Call ``started()`` once ready, and loop."""
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """The components, by when they have to end."""

    support: Sequence[Component]
    """They outlive the last handler."""
    feeders: Sequence[Component]
    """They bring the processor its work."""
    processor: Processor
    finisher: Finisher
    syncer: Syncer
    vitals: Vitals


class _Service(TypedDict):
    """What all components that look after queues are told."""

    queues: tuple[str, ...]
    log: RateLimitedLog
    rng: random.Random


@dataclasses.dataclass(slots=True, kw_only=True)
class Builder:
    """Builds the components of one run of a server."""

    config: ServerConfig
    broker: Broker
    """Where the tasks are."""
    handlers: Resolver
    """Looks up what runs a type of task."""
    prober: StateProber
    """Reports changes of state."""
    events: Events
    """Tells observers what happens."""
    state: object
    """What the server's lifespan yielded."""
    schedulers: Sequence[Component]
    """Enqueue the tasks of the server's schedules."""
    status: Callable[[], str]
    """Returns the server's state."""
    log: RateLimitedLog

    def build(self) -> Components:
        """Return the components, wired, none of them started."""
        config, broker, log = self.config, self.broker, self.log
        reporter = Reporter(self.prober, log=log.logger, events=self.events)
        syncer = Syncer(
            broker,
            log=log,
            rng=config.rng,
            lease_duration=config.lease_duration,
            settled=reporter.settled,
        )
        finisher = Finisher(broker, syncer, log=log, events=self.events)
        vitals = Vitals(
            patience=HEARTBEATS_MISSED * config.heartbeat_interval, concurrency=config.concurrency
        )
        processor = self._processor(self._executor(finisher, reporter), vitals)
        vitals.running = processor.running
        return Components(
            support=[syncer, self.prober, *self._support(processor, vitals)],
            feeders=[*self._feeders(), *self.schedulers],
            processor=processor,
            finisher=finisher,
            syncer=syncer,
            vitals=vitals,
        )

    def _executor(self, finisher: Finisher, reporter: Reporter) -> Executor:
        config, logger = self.config, self.log.logger
        judge = Judge(
            retry_delay=config.retry_delay or retry_delay_from(config.rng),
            is_failure=config.is_failure,
            rng=config.rng,
            log=logger,
        )
        return Executor(
            resolve=self.handlers.resolve,
            judge=judge,
            finisher=finisher,
            broker=self.broker,
            reporter=reporter,
            error_handler=config.error_handler,
            state=self.state,
            log=logger,
        )

    def _processor(self, executor: Executor, vitals: Vitals) -> Processor:
        config = self.config
        intake = Intake(
            self.broker,
            weights=config.queues,
            strict_priority=config.strict_priority,
            lease_duration=config.lease_duration,
            poll_interval=config.task_check_interval,
            rng=config.rng,
            log=self.log,
            vitals=vitals,
            events=self.events,
        )
        return Processor(
            intake,
            executor,
            concurrency=config.concurrency,
            lease_duration=config.lease_duration,
            base_context=config.base_context,
            log=self.log,
            rng=config.rng,
        )

    # --- What outlives the last handler ------------------------------------------------------

    def _support(self, processor: Processor, vitals: Vitals) -> Iterator[Component]:
        config, broker = self.config, self.broker
        yield LoopMonitor(vitals, self.events)
        yield Heartbeater(
            broker,
            identity=_identity(config),
            status=self.status,
            running=processor.running,
            lease_duration=config.lease_duration,
            interval=config.heartbeat_interval,
            log=self.log,
            rng=config.rng,
            on_beat=vitals.beat,
        )
        yield from self._guard(processor)
        cancel = functools.partial(processor.interrupt, cause=Cause.CANCELLED)
        yield Subscriber(broker, cancel=cancel, log=self.log, rng=config.rng)
        if config.health_check is not None:
            yield Healthchecker(
                broker,
                check=config.health_check,
                interval=config.health_check_interval,
                log=self.log,
            )

    def _guard(self, processor: Processor) -> Iterator[Component]:
        """Yield what keeps leases alive while the loop is blocked, where that is needed."""
        guard = self.broker.lease_guard()
        if guard is not None:
            yield GuardThread(
                guard,
                snapshot=lambda: list(processor.running),
                lease_duration=self.config.lease_duration,
                heartbeat_interval=self.config.heartbeat_interval,
                # It is not shared by threads.
                log=type(self.log)(self.log.logger.getChild("guard")),
            )

    # --- What brings the processor its work --------------------------------------------------

    def _feeders(self) -> Iterator[Component]:
        config, broker = self.config, self.broker
        service = _Service(queues=tuple(config.queues), log=self.log, rng=config.rng)
        yield Forwarder(broker, interval=config.delayed_task_check_interval, **service)
        yield Recoverer(
            broker, interval=config.recovery_interval, max_crashes=config.max_crashes, **service
        )
        yield Janitor(
            broker,
            interval=config.janitor_interval,
            batch_size=config.janitor_batch_size,
            **service,
        )
        yield Reconciler(
            broker,
            interval=config.reconcile_interval,
            lease_duration=config.lease_duration,
            max_crashes=config.max_crashes,
            **service,
        )
        if config.group_aggregator is not None:
            limits = GroupLimits(
                grace_period=config.group_grace_period,
                max_delay=config.group_max_delay,
                max_size=config.group_max_size,
            )
            yield Aggregator(broker, limits=limits, aggregate=config.group_aggregator, **service)


def _identity(config: ServerConfig) -> Identity:
    host, pid, server_id = socket.gethostname(), os.getpid(), new_uuid(config.rng)
    return Identity(
        host=host,
        pid=pid,
        server_id=server_id,
        key=server_key(host, pid, server_id),
        concurrency=config.concurrency,
        queues=config.queues,
        strict_priority=config.strict_priority,
        start_time=config.clock.time(),
    )
