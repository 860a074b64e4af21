"""The systems: what to install, how each is set up, and what it cannot do."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

HEADRACE: Final = "headrace"
ASYNQ: Final = "asynq"

NO_BULK: Final = "has no call that enqueues several tasks at once"


@dataclasses.dataclass(frozen=True, slots=True)
class System:
    """One system under measurement.

    Attributes:
        name: Its name here, and that of its module in `benchmarks.systems`.
        title: Its name for people.
        package: The name under which Python imports it; "" if it is no Python.
        requirements: What pip installs into its environment.
        setup: How its worker and its producer are set up.
        in_loop: Whether it is used from an asyncio event loop.
        concurrency: How many tasks its worker runs at once here.
        cannot: Why it cannot do what a measure wants, by the measure's name.
    """

    name: str
    title: str
    package: str
    requirements: tuple[str, ...]
    setup: str
    in_loop: bool = True
    concurrency: int = 100
    cannot: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def is_peer(self) -> bool:
        """Whether it is one of the Python systems that Headrace is compared with."""
        return bool(self.package) and self.name != HEADRACE


# Those on asyncio all get uvloop, and all with redis-py its parser in C: none loses by its setup.
FAST_LOOP: Final = ("uvloop", "hiredis")

SYSTEMS: Final = (
    System(
        HEADRACE,
        "Headrace",
        "headrace",
        (),
        "typed tasks; Server(concurrency=100) in the process; uvloop; no result kept",
    ),
    System(
        ASYNQ,
        "asynq (Go)",
        "",
        (),
        "Server with Concurrency 100; go-redis's default pool; no retention",
        in_loop=False,
        cannot={"enqueue_bulk": NO_BULK},
    ),
    System(
        "arq",
        "arq",
        "arq",
        ("arq", *FAST_LOOP),
        "Worker(max_jobs=100, keep_result=0) in the process; uvloop",
        cannot={"enqueue_bulk": NO_BULK},
    ),
    System(
        "saq",
        "SAQ",
        "saq",
        # Needs typing-extensions before Python 3.12, and does not ask for it.
        ("saq[redis]", "typing-extensions", *FAST_LOOP),
        "Worker(concurrency=100) in the process; ttl=-1; uvloop",
        cannot={"enqueue_bulk": NO_BULK},
    ),
    System(
        "taskiq",
        "taskiq",
        "taskiq",
        ("taskiq", "taskiq-redis", *FAST_LOOP),
        "RedisStreamBroker; run_receiver_task(max_async_tasks=100), and run_scheduler_task "
        "with interval 1 s for scheduled tasks, in the process; uvloop",
        cannot={"enqueue_bulk": NO_BULK},
    ),
    System(
        "streaq",
        "streaq",
        "streaq",
        ("streaq", *FAST_LOOP),
        "Worker(concurrency=100) in the process; tasks silent, ttl=0; uvloop",
    ),
    System(
        "dramatiq",
        "dramatiq",
        "dramatiq",
        ("dramatiq[redis]", "hiredis"),
        "RedisBroker; Worker(worker_threads=100) in the process",
        in_loop=False,
        cannot={"enqueue_bulk": NO_BULK},
    ),
    System(
        "celery",
        "Celery",
        "celery",
        ("celery[redis]", "hiredis"),
        "one process with --pool threads --concurrency 100, without gossip, mingle and "
        "heartbeat; worker_prefetch_multiplier 64; results ignored",
        in_loop=False,
        cannot={"enqueue_bulk": NO_BULK},
    ),
    System(
        "rq",
        "RQ",
        "rq",
        ("rq", "hiredis"),
        "SimpleWorker: one job after another in one process, its concurrency is 1; "
        "result_ttl=0; the scheduler, a second process, for scheduled jobs only",
        in_loop=False,
        concurrency=1,
    ),
    System(
        "huey",
        "Huey",
        "huey",
        ("huey", "redis", "hiredis"),
        "RedisHuey, blocking; consumer with 100 threads in the process; no results",
        in_loop=False,
        cannot={"enqueue_bulk": NO_BULK},
    ),
    System(
        "docket",
        "pydocket",
        "docket",
        ("pydocket", *FAST_LOOP),
        "Worker(concurrency=100) in the process; execution_ttl=0; uvloop",
    ),
    System(
        "bullmq",
        "BullMQ (Python)",
        "bullmq",
        ("bullmq", *FAST_LOOP),
        "Worker with concurrency 100 in the process; removeOnComplete; uvloop",
    ),
)
BY_NAME: Final = {system.name: system for system in SYSTEMS}
