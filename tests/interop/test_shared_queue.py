"""Two Go workers and two of ours on one queue, killed and started anew: every task is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace import Task
from tests.interop.chaos import Herd, end_foreign_leases, extra_runs, runs_of
from tests.interop.waiting import until_empty

if TYPE_CHECKING:
    from headrace import Client
    from tests.interop.conftest import StartGoWorker, StartWorker, Wire
    from tests.support.processes import Journal

TASKS = 400
QUICK = {"lease_duration": 3, "heartbeat_interval": 0.5, "recovery_interval": 0.5}


async def enqueue_sleepers(client: Client, count: int, *, seconds: float) -> set[str]:
    """Enqueue so many tasks that take so long; return their IDs."""
    sleeper = Task("sleep", str(seconds).encode())
    return {info.id for info in await client.enqueue_many([sleeper] * count)}


def kill_each_of_ours_twice(herd: Herd) -> None:
    """Kill and start them in turns, one after each eighth of the tasks."""
    for count, name in enumerate(["Headrace 1", "Headrace 2"] * 2, 1):
        herd.until_ended(count * TASKS // 8)
        herd.kill(name)
        herd.start(name)


async def test_every_task_is_done_whoever_is_killed(
    wire: Wire,
    client: Client,
    journal: Journal,
    start_worker: StartWorker,
    start_go_worker: StartGoWorker,
) -> None:
    """Each of ours dies twice, then both of Go's do: what they ran, others run, nothing else.

    A dead Go worker's leases are cut short here, to save the minute that they last.
    """
    ids = await enqueue_sleepers(client, TASKS, seconds=0.1)
    ours = {"concurrency": 10, "max_crashes": 0, **QUICK}
    theirs = {"concurrency": 10, "retry_delay": 1}
    herd = Herd(
        {
            "Headrace 1": lambda: start_worker(wire.url, **ours),
            "Headrace 2": lambda: start_worker(wire.url, **ours),
            "Go 1": lambda: start_go_worker(**theirs),
            "Go 2": lambda: start_go_worker(**theirs),
        },
        journal,
    )
    kill_each_of_ours_twice(herd)
    herd.until_ended(TASKS * 5 // 8)
    herd.kill("Go 1")
    herd.kill("Go 2")
    assert await end_foreign_leases(wire.raw)
    herd.start("Go 1")
    herd.start("Go 2")
    herd.until_ended(TASKS)
    stats = await until_empty(client)
    herd.stop()

    reasons = extra_runs(runs_of(journal), herd.killed)
    assert ids == journal.tasks("end")
    assert reasons["unexplained"] == 0
    assert any("Go worker was killed" in reason for reason in reasons)
    assert (0, 0) == (stats.size, stats.archived)
