"""The long versions of the tests with Go programs: ``nox -s interop``."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from tests.interop.chaos import Herd, extra_runs, runs_of
from tests.interop.differential import run_sequences, run_workers, twins
from tests.interop.reviewed import REVIEWED
from tests.interop.test_shared_queue import enqueue_sleepers
from tests.interop.waiting import until_empty
from tests.support.randomness import seeded

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace import Client
    from tests.interop.build import GoPrograms
    from tests.interop.chaos import Worker
    from tests.interop.conftest import StartGoWorker, StartWorker, Wire
    from tests.support.processes import Journal

log = logging.getLogger(__name__)

TASKS = 20_000
SEQUENCES = 2_000
BY_WORKERS = {"lock left by a worker", "words of an error"}


@pytest.mark.timeout(3_600)
async def test_shared_queue_with_kills_all_along(
    wire: Wire,
    client: Client,
    journal: Journal,
    start_worker: StartWorker,
    start_go_worker: StartGoWorker,
) -> None:
    """20,000 tasks, two Go workers and two of ours, a kill -9 for every 150 tasks: all are done.

    Both sides work with their default leases. What ran twice, ran twice because of a kill.
    """
    ids = await enqueue_sleepers(client, TASKS, seconds=0.4)
    ours = {"concurrency": 25, "max_crashes": 0}
    theirs = {"concurrency": 25, "retry_delay": 1}
    starters: dict[str, Callable[[], Worker]] = {
        "Headrace 1": lambda: start_worker(wire.url, **ours),
        "Headrace 2": lambda: start_worker(wire.url, **ours),
        "Go 1": lambda: start_go_worker(**theirs),
        "Go 2": lambda: start_go_worker(**theirs),
    }
    herd = Herd(starters, journal)
    herd.kill_all_along(seeded(), TASKS, every=150)
    stats = await until_empty(client)
    herd.stop()

    runs = runs_of(journal)
    reasons = extra_runs(runs, herd.killed)
    twice = sum(len(one) > 1 for one in runs.values())
    log.warning("%d kills; %d tasks ran more than once; %s", len(herd.killed), twice, reasons)
    log.warning("%s", stats)
    assert ids == journal.tasks("end")
    assert reasons["unexplained"] == 0
    assert (0, 0) == (stats.size, stats.archived)


@pytest.mark.timeout(3_600)
async def test_operations_leave_the_same_at_length(redis_url: str, go_programs: GoPrograms) -> None:
    """Thousands of random operations meet every difference on the list, and no other.

    An entry that has no effect any more is to be taken off the list.
    """
    async with twins(redis_url, go_programs.interop) as pair:
        steps, met = await run_sequences(pair, SEQUENCES, seed=2)

    log.warning("%d operations; %s", steps, met)
    assert {entry.name for entry in REVIEWED} - BY_WORKERS == set(met)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(2, 12))
async def test_workers_leave_the_same_at_length(
    seed: int, wire: Wire, go_programs: GoPrograms, start_go_worker: StartGoWorker
) -> None:
    """Workers of each side leave the same of many random queues."""
    wire.tolerate(8, "its workers keep the locks of tasks that they archive")
    async with twins(wire.url, go_programs.interop) as pair:
        assert BY_WORKERS == set(await run_workers(pair, start_go_worker, seed))
