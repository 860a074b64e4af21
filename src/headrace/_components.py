"""Builds the components of one server. Knows all of them, but not their order."""

from __future__ import annotations

import dataclasses
import functools
import os
import socket
from typing import TYPE_CHECKING, Protocol

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
    from collections.abc import Callable, Sequence

    from anyio.abc import TaskStatus

    from headrace._broker.base import Broker
    from headrace._config import ServerConfig
    from headrace._events import Events
    from headrace._log import RateLimitedLog
    from headrace._router import Resolver
    from headrace._worker.prober import StateProber

__all__ = ["Component", "Components", "build"]


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


def build(
    config: ServerConfig,
    broker: Broker,
    handlers: Resolver,
    *,
    prober: StateProber,
    events: Events,
    state: object,
    schedulers: Sequence[Component] = (),
    status: Callable[[], str],
    log: RateLimitedLog,
) -> Components:
    """Return the components of one run of a server.

    Args:
        config: The server's.
        broker: Where the tasks are.
        handlers: Looks up what runs a type of task.
        prober: Reports changes of state.
        events: Tells observers what happens.
        state: What the server's lifespan yielded.
        schedulers: Enqueue the tasks of the server's schedules.
        status: Returns the server's state.
        log: Where all of them log.
    """
    reporter = Reporter(prober, log=log.logger, events=events)
    syncer = Syncer(
        broker,
        log=log,
        rng=config.rng,
        lease_duration=config.lease_duration,
        settled=reporter.settled,
    )
    finisher = Finisher(broker, syncer, log=log, events=events)
    vitals = Vitals(
        patience=HEARTBEATS_MISSED * config.heartbeat_interval, concurrency=config.concurrency
    )
    executor = Executor(
        resolve=handlers.resolve,
        judge=_judge(config, log),
        finisher=finisher,
        broker=broker,
        reporter=reporter,
        error_handler=config.error_handler,
        state=state,
        log=log.logger,
    )
    processor = _processor(config, broker, executor, vitals=vitals, events=events, log=log)
    vitals.running = processor.running
    return Components(
        support=[
            syncer,
            prober,
            LoopMonitor(vitals, events),
            *_leases(config, broker, processor, vitals=vitals, status=status, log=log),
            Subscriber(
                broker,
                cancel=functools.partial(processor.interrupt, cause=Cause.CANCELLED),
                log=log,
                rng=config.rng,
            ),
            *_healthchecker(config, broker, log),
        ],
        feeders=[*_feeders(config, broker, log), *schedulers],
        processor=processor,
        finisher=finisher,
        syncer=syncer,
        vitals=vitals,
    )


def _judge(config: ServerConfig, log: RateLimitedLog) -> Judge:
    return Judge(
        retry_delay=config.retry_delay or retry_delay_from(config.rng),
        is_failure=config.is_failure,
        rng=config.rng,
        log=log.logger,
    )


def _processor(
    config: ServerConfig,
    broker: Broker,
    executor: Executor,
    *,
    vitals: Vitals,
    events: Events,
    log: RateLimitedLog,
) -> Processor:
    intake = Intake(
        broker,
        weights=config.queues,
        strict_priority=config.strict_priority,
        lease_duration=config.lease_duration,
        poll_interval=config.task_check_interval,
        rng=config.rng,
        log=log,
        vitals=vitals,
        events=events,
    )
    return Processor(
        intake,
        executor,
        concurrency=config.concurrency,
        lease_duration=config.lease_duration,
        base_context=config.base_context,
        log=log,
        rng=config.rng,
    )


def _leases(
    config: ServerConfig,
    broker: Broker,
    processor: Processor,
    *,
    vitals: Vitals,
    status: Callable[[], str],
    log: RateLimitedLog,
) -> list[Component]:
    """Return what keeps leases alive: the heartbeater, and the guard of a blocked loop."""
    components: list[Component] = [
        Heartbeater(
            broker,
            identity=_identity(config),
            status=status,
            running=processor.running,
            lease_duration=config.lease_duration,
            interval=config.heartbeat_interval,
            log=log,
            rng=config.rng,
            on_beat=vitals.beat,
        )
    ]
    guard = broker.lease_guard()
    if guard is not None:
        components.append(
            GuardThread(
                guard,
                snapshot=lambda: list(processor.running),
                lease_duration=config.lease_duration,
                heartbeat_interval=config.heartbeat_interval,
                log=type(log)(log.logger.getChild("guard")),  # It is not shared by threads.
            )
        )
    return components


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


def _healthchecker(config: ServerConfig, broker: Broker, log: RateLimitedLog) -> list[Component]:
    if config.health_check is None:
        return []
    return [
        Healthchecker(
            broker, check=config.health_check, interval=config.health_check_interval, log=log
        )
    ]


def _feeders(config: ServerConfig, broker: Broker, log: RateLimitedLog) -> list[Component]:
    queues, rng = tuple(config.queues), config.rng
    components: list[Component] = [
        Forwarder(
            broker,
            queues=queues,
            interval=config.delayed_task_check_interval,
            log=log,
            rng=rng,
        ),
        Recoverer(
            broker,
            queues=queues,
            interval=config.recovery_interval,
            max_crashes=config.max_crashes,
            log=log,
            rng=rng,
        ),
        Janitor(
            broker,
            queues=queues,
            interval=config.janitor_interval,
            batch_size=config.janitor_batch_size,
            log=log,
            rng=rng,
        ),
        Reconciler(
            broker,
            queues=queues,
            interval=config.reconcile_interval,
            lease_duration=config.lease_duration,
            max_crashes=config.max_crashes,
            log=log,
            rng=rng,
        ),
    ]
    if config.group_aggregator is not None:
        limits = GroupLimits(
            grace_period=config.group_grace_period,
            max_delay=config.group_max_delay,
            max_size=config.group_max_size,
        )
        components.append(
            Aggregator(
                broker,
                queues=queues,
                limits=limits,
                aggregate=config.group_aggregator,
                log=log,
                rng=rng,
            )
        )
    return components
