"""Small things that several tests of components need."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, NoReturn, Protocol, cast

import anyio

from headrace._broker.values import AggregationSet, Placement
from headrace._message import TaskMessage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import pytest
    from anyio.abc import TaskStatus

    from tests.support.fake_broker import FakeBroker

__all__ = ["lines", "rounded", "run_for", "running", "taken", "until", "written"]


class Component(Protocol):
    """What all components have in common."""

    async def run(self, *, task_status: TaskStatus[None] = ...) -> NoReturn:
        """Work until cancelled."""
        ...


async def run_for(component: Component, seconds: float) -> None:
    """Let *component* run for so long, then cancel it."""
    with anyio.move_on_after(seconds):
        await component.run()


@contextlib.asynccontextmanager
async def running(component: Component) -> AsyncIterator[None]:
    """Have *component* running; leaving cancels it."""
    async with anyio.create_task_group() as tasks:
        await tasks.start(component.run)
        yield
        tasks.cancel_scope.cancel()


async def until(condition: Callable[[], bool]) -> None:
    """Let virtual time pass until *condition* holds."""
    while not condition():  # noqa: ASYNC110 - what a fake records sets no event
        await anyio.sleep(0.01)


def rounded(times: list[float]) -> list[float]:
    """Return *times* without the dust of adding up floats."""
    return [round(time, 6) for time in times]


def lines(caplog: pytest.LogCaptureFixture, level: int = logging.WARNING) -> list[str]:
    """Return the lines that were logged at *level* or above."""
    return [record.getMessage() for record in caplog.records if record.levelno >= level]


def taken(group: str = "g", count: int = 2, queue: str = "a") -> AggregationSet:
    """Return a set of so many tasks."""
    messages = [
        TaskMessage(id=str(number), type="one", queue=queue, payload=b"%d" % number)
        for number in range(count)
    ]
    return AggregationSet(queue, group, "set", messages, deadline=0.0)


def written(broker: FakeBroker) -> list[Placement]:
    """Return what was written."""
    return [cast("Placement", call.args[1]) for call in broker.called("aggregate")]
