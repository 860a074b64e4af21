"""What asynq and Headrace make of the same random queues; see ``reviewed.py``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.interop.differential import run_sequences, run_workers, twins

if TYPE_CHECKING:
    from tests.interop.build import GoPrograms
    from tests.interop.conftest import StartGoWorker, Wire

SEQUENCES = 100


async def test_operations_leave_the_same(redis_url: str, go_programs: GoPrograms) -> None:
    """Random operations of a person or a client leave the same in Redis on both sides.

    But for the differences that are meant.
    """
    async with twins(redis_url, go_programs.interop) as pair:
        steps, met = await run_sequences(pair, SEQUENCES, seed=1)

    assert steps > SEQUENCES
    assert met


async def test_workers_leave_the_same(
    wire: Wire, go_programs: GoPrograms, start_go_worker: StartGoWorker
) -> None:
    """A worker of each side, on random tasks that end in all the ways that there are."""
    wire.tolerate(8, "its workers keep the locks of tasks that they archive")
    async with twins(wire.url, go_programs.interop) as pair:
        assert await run_workers(pair, start_go_worker, seed=1)
