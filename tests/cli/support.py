"""Runs commands in this process, and puts data where they look."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from typing import TYPE_CHECKING, Any, TypeVar

from typer.testing import CliRunner

from headrace import Client, Inspector, Router, Server, SkipRetry, Task
from headrace._cli.app import app

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")
VARIABLES = ("HEADRACE_REDIS_URL", "HEADRACE_REDIS_PASSWORD", "HEADRACE_CONFIG")


@dataclasses.dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - a document of any shape
        """What it printed, which must be one JSON document and nothing else."""
        return json.loads(self.out)

    @property
    def words(self) -> str:
        """What it said on standard error, without the frame and the line ends of a box."""
        return " ".join(self.err.replace("│", " ").split())


def invoke(*arguments: str, typed: str | bytes = "", **variables: str) -> Done:
    """Run a command at 100 columns; nothing of this process's environment says where Redis is."""
    cleared = dict.fromkeys(VARIABLES)
    runner = CliRunner(env={**cleared, "COLUMNS": "100", **variables})
    done = runner.invoke(app, arguments, input=typed)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Done(done.exit_code, done.stdout, done.stderr)


def inspect(url: str, work: Callable[[Inspector], Coroutine[Any, Any, T]]) -> T:
    """Return what *work* finds with an inspector."""

    async def visit() -> T:
        async with Inspector(url) as inspector:
            return await work(inspector)

    return asyncio.run(visit())


def counts(url: str, queue: str = "shop") -> dict[str, int]:
    """Return how many tasks *queue* has, by state; states without any are left out."""
    stats = dataclasses.asdict(inspect(url, lambda inspector: inspector.queue_stats(queue)))
    states = ("pending", "active", "scheduled", "retry", "archived", "completed", "aggregating")
    return {state: stats[state] for state in states if stats[state]}


def fill(url: str) -> None:
    """Put a task of each state but active into the queue "shop". Its type is its ID.

    The state is its ID, too.
    """
    asyncio.run(_fill(url))


async def _fill(url: str) -> None:
    router = Router()

    @router.task("completed")
    async def complete(n: int) -> str:
        return f"done {n}"

    @router.task("retry")
    async def fail(n: int) -> None:
        raise ValueError(f"no \x1b[31mluck {n}")

    @router.task("archived")
    async def give_up(n: int) -> None:
        raise SkipRetry(f"never again {n}")

    async with Client(url) as client, Inspector(url) as inspector:
        run = ("completed", "retry", "archived")
        for name in run:
            await client.enqueue(Task(name, {"n": 1}), queue="shop", task_id=name, retention=600)
        async with Server(url, router, queues={"shop": 1}):
            while (stats := await inspector.queue_stats("shop")).pending or stats.active:  # noqa: ASYNC110 - as below
                await asyncio.sleep(0.01)  # Nothing tells of a task that failed.
        new = Task("pending", b"\xff\x00")
        await client.enqueue(new, queue="shop", task_id="pending")
        await client.enqueue(
            Task("scheduled", [1]), queue="shop", task_id="scheduled", process_in=5400
        )
        await client.enqueue(
            Task("aggregating"), queue="shop", task_id="aggregating", group="basket"
        )
