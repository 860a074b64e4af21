"""The same operations through asynq and through Headrace, on two databases that start alike."""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import TYPE_CHECKING, Final, cast

from headrace import Client, HeadraceError, Inspector, Task, TaskState
from tests.interop.comparison import Difference, differences, facts_of
from tests.interop.handlers import router_for
from tests.interop.programs import GoClient, GoError, GoInspector
from tests.interop.reviewed import Case, explain
from tests.interop.sides import GoEye, OurEye
from tests.interop.states import KEYS, QUEUE, Operation, draw_operation, draw_tasks, write
from tests.interop.waiting import eventually
from tests.server.helpers import serving
from tests.support.invariants import check_queue
from tests.support.randomness import seeded
from tests.support.wire import raw_client, redis_time

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from pathlib import Path
    from typing import TypeAlias

    from headrace import TaskOptions
    from tests.interop.conftest import StartGoWorker
    from tests.interop.sides import Eye
    from tests.interop.states import Planned
    from tests.support.wire import RawClient

    Enqueue: TypeAlias = Callable[[Operation], Awaitable[None]]

__all__ = ["Twins", "compare", "run_sequences", "run_workers", "twins"]

TASKS: Final = 12
WORK: Final = 200
WORK_TYPES: Final = ("reply", "fail", "skip", "revoke", "nobody")
WORK_STATES: Final = (
    *[TaskState.PENDING] * 4,
    *[TaskState.SCHEDULED, TaskState.RETRY] * 2,
    *(TaskState.ARCHIVED, TaskState.COMPLETED, TaskState.AGGREGATING),
)
RETRY_DELAY: Final = 5_000
STEPS: Final = 8
MIXES: Final = (
    tuple(TaskState),
    tuple(state for state in TaskState if state is not TaskState.ACTIVE),
    (TaskState.COMPLETED, TaskState.AGGREGATING),
    (TaskState.SCHEDULED,),
)
"""Which states the tasks of a random queue have."""


class Twins:
    """Two databases: asynq works on the first, Headrace on the second."""

    def __init__(self, url: str, interop: Path, stack: contextlib.AsyncExitStack) -> None:
        base = url.rsplit("/", 1)[0]
        self.urls = (f"{base}/0", f"{base}/1")
        self.theirs, self.ours = (raw_client(one) for one in self.urls)
        stack.push_async_callback(self.theirs.aclose)
        stack.push_async_callback(self.ours.aclose)
        self._go_client = stack.enter_context(GoClient(interop, self.urls[0]))
        self._go_eye = GoEye(stack.enter_context(GoInspector(interop, self.urls[0])))
        self._client, self._inspector = Client(self.urls[1]), Inspector(self.urls[1])
        stack.push_async_callback(self._client.close)
        stack.push_async_callback(self._inspector.close)

    async def reset(self, tasks: Sequence[Planned]) -> None:
        """Write the same queue into both."""
        now = int(await redis_time(self.theirs))
        for client in (self.theirs, self.ours):
            await client.execute_command("FLUSHDB")
            await write(client, tasks, now)

    async def step(self, operation: Operation) -> tuple[Case, list[Difference]]:
        """Carry out an operation on both sides; return what came of it."""
        before = await facts_of(self.theirs)
        theirs = await _outcome(self._do(operation, self._go_eye, self._enqueue_theirs))
        ours = await _outcome(self._do(operation, OurEye(self._inspector), self._enqueue_ours))
        case = Case(operation, before, theirs, ours)
        return case, await self.compare(case)

    async def compare(self, case: Case) -> list[Difference]:
        """Return what is different now."""
        found = differences(await facts_of(self.theirs), await facts_of(self.ours))
        if case.theirs != case.ours:
            found.append(Difference(("outcome",), case.theirs, case.ours))
        return found

    async def _do(self, operation: Operation, eye: Eye, enqueue: Enqueue) -> int | None:
        match operation.op:
            case "enqueue":
                await enqueue(operation)
            case "pause" | "unpause":
                await eye.pause(QUEUE, paused=operation.op == "pause")
            case "delete_queue":
                await eye.delete_queue(QUEUE, force=operation.force)
            case "run_all" | "archive_all" | "delete_all":
                assert operation.state is not None
                return await eye.act_on_all(
                    operation.op, QUEUE, operation.state, group=operation.group
                )
            case op:
                await eye.act(op, QUEUE, operation.task_id, operation.payload)
        return None

    async def _enqueue_theirs(self, operation: Operation) -> None:
        options = {"queue": QUEUE, **dict(operation.options)}
        self._go_client.enqueue("t", operation.payload, **options)

    async def _enqueue_ours(self, operation: Operation) -> None:
        options = cast("TaskOptions", {"queue": QUEUE, **dict(operation.options)})
        await self._client.enqueue(Task("t", operation.payload), **options)


async def _outcome(work: Awaitable[int | None]) -> int | str:
    """Return what an operation returned, "done" for nothing, or "refused"."""
    try:
        result = await work
    except (GoError, HeadraceError, AssertionError):
        return "refused"
    return "done" if result is None else result


@contextlib.asynccontextmanager
async def twins(url: str, interop: Path) -> AsyncIterator[Twins]:
    """Have two databases, and programs that work on them."""
    async with contextlib.AsyncExitStack() as stack:
        yield Twins(url, interop, stack)


def compare(case: Case, found: list[Difference], met: Counter[str]) -> None:
    """Every difference is one that was reviewed; count which were *met*."""
    names = [explain(case, one) for one in found]
    unknown = [one for one, name in zip(found, names, strict=True) if name is None]
    assert not unknown, f"after {case.operation}: {case.theirs!r}, {case.ours!r}; {unknown}"
    met.update(name for name in names if name is not None)


async def run_sequences(twins: Twins, count: int, seed: int) -> tuple[int, Counter[str]]:
    """Compare random sequences of operations on random queues.

    A sequence ends with the first difference: what follows from it would be different, too.

    Returns:
        How many operations were compared, and how often each reviewed difference was met.
    """
    steps, met = 0, Counter[str]()
    for number in range(count):
        rng = seeded(seed * 1_000_003 + number)
        await twins.reset(draw_tasks(rng, TASKS, rng.choice(MIXES)))
        for _ in range(STEPS):
            operation = draw_operation(rng, TASKS)
            case, found = await twins.step(operation)
            steps += 1
            compare(case, found, met)
            broken = await check_queue(twins.ours, QUEUE)
            assert [] == [str(one) for one in broken], operation
            if found or operation.op == "delete_queue":
                break
    return steps, met


# --- Workers -------------------------------------------------------------------------------


async def run_workers(twins: Twins, start_go_worker: StartGoWorker, seed: int) -> Counter[str]:
    """Have a worker of each side run a random queue, and compare what they leave.

    Returns:
        How often each reviewed difference was met.
    """
    await twins.reset(draw_tasks(seeded(seed), WORK, WORK_STATES, WORK_TYPES))
    case = Case(Operation("work"), await facts_of(twins.theirs))
    worker = start_go_worker(queues={QUEUE: 1}, concurrency=10, retry_delay=RETRY_DELAY)
    await eventually(lambda: _is_idle(twins.theirs))
    worker.stop()
    ours, router = twins.urls[1], router_for(twins.urls[1])
    async with serving(ours, router, queues={QUEUE: 1}, retry_delay=lambda *_: RETRY_DELAY):
        await eventually(lambda: _is_idle(twins.ours))
    met = Counter[str]()
    compare(case, await twins.compare(case), met)
    assert [] == [str(one) for one in await check_queue(twins.ours, QUEUE)]
    return met


async def _is_idle(client: RawClient) -> bool:
    """Whether there is nothing to do for a worker just now."""
    now = await redis_time(client)
    # At one instant: tasks that are due move from one list to the other.
    pipeline = client.pipeline(transaction=True)
    for key in (KEYS.pending, KEYS.active):
        pipeline.execute_command("LLEN", key)
    for key in (KEYS.scheduled, KEYS.retry):
        pipeline.execute_command("ZCOUNT", key, "-inf", now)
    return not any(await pipeline.execute())
