"""However a task ends on one side, the other sees it as its own worker would have left it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from headrace import Client, Inspector, Task, TaskNotFoundError, TaskState
from tests.interop.handlers import router_for
from tests.interop.views import comparable, view
from tests.interop.waiting import PATIENCE, eventually
from tests.server.helpers import serving

if TYPE_CHECKING:
    from headrace import TaskInfo
    from tests.interop.conftest import StartGoWorker, Wire
    from tests.interop.programs import GoClient, GoInspector
    from tests.support.processes import Journal

LATE = 3_600
# type -> (the state that it ends in, retried, what its error says)
ENDS = {
    "fail": (TaskState.RETRY, 1, "on purpose"),
    "panic": (TaskState.RETRY, 1, "on purpose"),
    "skip": (TaskState.ARCHIVED, 0, "no use"),
    "last": (TaskState.ARCHIVED, 0, "on purpose"),
    "nobody": (TaskState.RETRY, 1, "nobody"),  # There is no handler for it.
    "slow": (TaskState.RETRY, 1, "deadline exceeded"),
}
OPTIONS: dict[str, dict[str, object]] = {
    "last": {"max_retry": 0},
    "slow": {"timeout": 1},
    "skip": {"unique": LATE},
    "revoke": {"unique": LATE},
}
TYPES = {"last": "fail", "slow": "sleep"}
ENDED = {TaskState.RETRY, TaskState.ARCHIVED}


async def ended(inspector: Inspector, name: str) -> TaskInfo:
    """Wait until a task has ended, and report on it."""

    async def has_ended() -> bool:
        return (await inspector.get_task("default", name)).state in ENDED

    await eventually(has_ended)
    return await inspector.get_task("default", name)


async def is_gone(inspector: Inspector, name: str) -> bool:
    """Whether a task does not exist any more."""
    try:
        await inspector.get_task("default", name)
    except TaskNotFoundError:
        return True
    return False


async def check_ends(inspector: Inspector, go_inspector: GoInspector, timed_out: str) -> None:
    """Each task ended as it should, and both inspectors tell the same of it."""
    for name, (state, retried, error) in ENDS.items():
        info = await ended(inspector, name)
        assert (state, retried) == (info.state, info.retried), name
        assert (timed_out if name == "slow" else error) in info.last_error
        assert view(info) == comparable(go_inspector.get("default", name))
    await eventually(lambda: is_gone(inspector, "revoke"))
    stats = await inspector.queue_stats("default")
    assert (len(ENDS) + 1, len(ENDS)) == (stats.processed, stats.failed)


async def test_go_enqueues_ours_end_otherwise(
    wire: Wire, inspector: Inspector, go_client: GoClient, go_inspector: GoInspector
) -> None:
    """What fails in our worker looks to asynq like what fails in its own."""
    for name in (*ENDS, "revoke"):
        go_client.enqueue(TYPES.get(name, name), b"60", task_id=name, **OPTIONS.get(name, {}))
    async with serving(wire.url, router_for(wire.url), retry_delay=lambda *_: LATE):
        await check_ends(inspector, go_inspector, "timeout")


async def test_we_enqueue_theirs_end_otherwise(
    wire: Wire,
    client: Client,
    inspector: Inspector,
    go_inspector: GoInspector,
    start_go_worker: StartGoWorker,
) -> None:
    """What fails in a Go worker looks to us like what fails in our own."""
    for name in (*ENDS, "revoke"):
        await client.enqueue(
            Task(TYPES.get(name, name), b"60"),
            task_id=name,
            **OPTIONS.get(name, {}),  # type: ignore[arg-type]  # Options by their names.
        )
    worker = start_go_worker(retry_delay=LATE)
    await check_ends(inspector, go_inspector, "deadline exceeded")
    worker.stop()
    wire.tolerate(8, "it keeps the lock of a task that it archives")


# --- Cancellation --------------------------------------------------------------------------


async def test_go_cancels_ours(
    wire: Wire, client: Client, inspector: Inspector, go_inspector: GoInspector
) -> None:
    """The inspector of asynq cancels a task that our worker runs."""
    await client.enqueue(Task("sleep", b"60"), task_id="long")
    async with serving(wire.url, router_for(wire.url), retry_delay=lambda *_: LATE):
        await eventually(lambda: is_active(inspector, "long"))

        async def cancel() -> bool:
            go_inspector.do("cancel", id="long")  # Lost, if the worker does not listen yet.
            return not await is_active(inspector, "long")

        await eventually(cancel)
        info = await inspector.get_task("default", "long")

    assert (TaskState.RETRY, 1) == (info.state, info.retried)


async def test_we_cancel_theirs(
    client: Client, inspector: Inspector, start_go_worker: StartGoWorker, journal: Journal
) -> None:
    """Our inspector cancels a task that a Go worker runs."""
    worker = start_go_worker(retry_delay=LATE).wait_until_ready()
    await client.enqueue(Task("sleep", b"60"), task_id="long")
    await asyncio.to_thread(journal.until, "begin", timeout=PATIENCE)
    assert await inspector.cancel("default", "long")

    async def cancel() -> bool:
        return not await inspector.cancel("default", "long")

    await eventually(cancel)  # The first one is lost, if the worker does not listen yet.
    info = await inspector.get_task("default", "long")

    assert (TaskState.RETRY, 1, "context canceled") == (info.state, info.retried, info.last_error)
    worker.stop()


async def is_active(inspector: Inspector, name: str) -> bool:
    """Whether a task runs."""
    return (await inspector.get_task("default", name)).state is TaskState.ACTIVE


# --- Shutdown ------------------------------------------------------------------------------


async def test_what_one_side_gives_back_the_other_runs(
    wire: Wire,
    client: Client,
    inspector: Inspector,
    start_go_worker: StartGoWorker,
    journal: Journal,
) -> None:
    """A worker that is shut down gives its task back, and a worker of the other language runs it.

    Nothing is counted against the task.
    """
    await client.enqueue(Task("sleep", b"60"), task_id="long", max_retry=0)
    for _ in range(2):
        worker = start_go_worker(shutdown_timeout=0.1).wait_until_ready()
        await eventually(lambda: is_active(inspector, "long"))
        worker.stop()
        info = await inspector.get_task("default", "long")
        assert (TaskState.PENDING, 0) == (info.state, info.retried)
        async with serving(wire.url, router_for(wire.url), shutdown_timeout=0.1):
            await eventually(lambda: is_active(inspector, "long"))
        info = await inspector.get_task("default", "long")
        assert (TaskState.PENDING, 0) == (info.state, info.retried)

    assert 2 == len(journal.events("begin"))
