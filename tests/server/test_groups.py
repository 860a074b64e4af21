"""Groups: many tasks become one."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING

import pytest

from headrace import Client, InvalidOptionError, Server, Task, TaskState
from tests.server.helpers import Watch, eventually, queue_stats, serving

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace import JsonValue


class Batches:
    """A handler that keeps what it gets."""

    def __init__(self) -> None:
        self.got: list[list[JsonValue]] = []
        self._arrived = asyncio.Event()

    async def __call__(self, task: Task) -> None:
        """Take an aggregated task. This is the handler."""
        batch = task.json()
        assert isinstance(batch, list)
        self.got.append(batch)
        self._arrived.set()

    async def until(self, count: int) -> None:
        """Wait until so many single payloads have come."""
        async with asyncio.timeout(60):
            while sum(len(batch) for batch in self.got) < count:
                self._arrived.clear()
                await self._arrived.wait()


@pytest.fixture
async def batches() -> Batches:
    """A handler for aggregated tasks."""
    return Batches()


def joined(group: str, tasks: Sequence[Task]) -> Task:
    """Make one task of many."""
    return Task("batch", [task.json() for task in tasks], headers={"group": group})


async def test_full_group_is_aggregated(
    broker_url: str, client: Client, batches: Batches, watch: Watch
) -> None:
    """A group that reaches its size becomes one task, with each of its members."""
    infos = await client.enqueue_many([Task("one", n) for n in range(5)], group="g")
    assert [TaskState.AGGREGATING] * 5 == [info.state for info in infos]
    async with serving(
        broker_url,
        batches,
        group_aggregator=joined,
        group_max_size=5,
        group_grace_period=1,
        state_prober=watch.prober,
    ):
        await batches.until(5)
        await watch.ended(1)

    [stats] = await queue_stats(client)
    assert [[0, 1, 2, 3, 4]] == [sorted(batch) for batch in batches.got]  # type: ignore[type-var]
    assert (0, 0, 0) == (stats.aggregating, stats.groups, stats.size)
    assert {"group": "g"} == watch.infos[0].headers


async def test_large_group_becomes_several_tasks(
    broker_url: str, client: Client, batches: Batches
) -> None:
    """No aggregated task has more members than group_max_size; none is lost or doubled."""
    await client.enqueue_many([Task("one", n) for n in range(25)], group="g")
    async with serving(
        broker_url, batches, group_aggregator=joined, group_max_size=10, group_grace_period=1
    ):
        await batches.until(25)

    assert list(range(25)) == sorted(n for batch in batches.got for n in batch)  # type: ignore[type-var]
    assert 10 == max(len(batch) for batch in batches.got)


async def test_quiet_group_is_aggregated(broker_url: str, client: Client, batches: Batches) -> None:
    """A group to which nothing was added for the grace period is aggregated."""
    async with serving(broker_url, batches, group_aggregator=joined, group_grace_period=1):
        await client.enqueue_many([Task("one", n) for n in range(3)], group="g")
        await client.enqueue(Task("one", "other"), group="h")
        await batches.until(4)

    assert [["other"], {0, 1, 2}] == [
        batch if len(batch) == 1 else set(batch) for batch in sorted(batches.got, key=len)
    ]


async def test_old_group_is_aggregated_although_it_grows(
    broker_url: str, client: Client, batches: Batches
) -> None:
    """A group whose oldest task has waited for group_max_delay is not held up by new ones."""
    async with serving(
        broker_url,
        batches,
        group_aggregator=joined,
        group_grace_period=600,
        group_max_delay=1,
    ):
        await client.enqueue(Task("one", 1), group="g")
        await batches.until(1)


async def test_aggregator_may_be_a_coroutine_function(
    broker_url: str, client: Client, batches: Batches
) -> None:
    """An async aggregator is awaited in the event loop."""

    async def aggregate(group: str, tasks: Sequence[Task]) -> Task:
        await asyncio.sleep(0)
        return joined(group, tasks)

    async with serving(
        broker_url, batches, group_aggregator=aggregate, group_max_size=1, group_grace_period=1
    ):
        await client.enqueue(Task("one", 1), group="g")
        await batches.until(1)


async def test_scheduled_member_joins_its_group(
    broker_url: str, client: Client, batches: Batches
) -> None:
    """A task with a group and a time goes into its group when it is due."""
    async with serving(
        broker_url, batches, group_aggregator=joined, group_max_size=1, group_grace_period=1
    ):
        info = await client.enqueue(Task("one", 1), group="g", process_in=0.5)
        assert TaskState.SCHEDULED == info.state
        await batches.until(1)


@pytest.mark.parametrize("fault", ["raises", "no task", "other queue", "other group"])
async def test_failing_aggregator_loses_nothing(
    memory_url: str, batches: Batches, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    """Where the aggregator fails, its tasks stay in their set; other groups go on; it is logged."""

    def aggregate(group: str, tasks: Sequence[Task]) -> Task:
        if group == "good":
            return joined(group, tasks)
        match fault:
            case "raises":
                raise KeyError("oops")
            case "no task":
                return None  # type: ignore[return-value]  # That is it.
            case "other queue":
                return Task("batch", [], queue="other")
            case _:
                return Task("batch", [], group="other")

    async def is_logged() -> bool:
        return any(one.levelno >= logging.ERROR for one in caplog.records)

    async with (
        Client(memory_url) as client,
        serving(
            memory_url, batches, group_aggregator=aggregate, group_max_size=2, group_grace_period=1
        ),
    ):
        bad = await client.enqueue_many([Task("one", n) for n in range(2)], group="bad")
        await client.enqueue_many([Task("one", n) for n in range(2)], group="good")
        await batches.until(2)
        await eventually(is_logged)  # The groups go on at the same time.
        states = [(await client.get_task(info.id)).state for info in bad]

    assert [TaskState.AGGREGATING] * 2 == states
    assert [{0, 1}] == [set(batch) for batch in batches.got]
    lines = [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR]
    assert 1 == len(lines)
    assert "Could not aggregate 2 tasks of group 'bad'" in lines[0]


async def test_groups_wait_without_an_aggregator(broker_url: str, client: Client) -> None:
    """A server without an aggregator leaves groups alone."""

    async def handler(task: Task) -> None:
        pytest.fail("it must not run")

    async with serving(broker_url, handler, group_max_size=1) as server:
        info = await client.enqueue(Task("one", 1), group="g")
        for _ in range(10):
            await server.ping()

    assert TaskState.AGGREGATING == (await client.get_task(info.id)).state


async def test_two_servers_share_the_groups(
    broker_url: str, client: Client, batches: Batches
) -> None:
    """Two servers aggregate the same groups: each member gets into exactly one task."""
    async with (
        serving(
            broker_url, batches, group_aggregator=joined, group_max_size=3, group_grace_period=1
        ),
        serving(
            broker_url, batches, group_aggregator=joined, group_max_size=3, group_grace_period=1
        ),
    ):
        for n in range(60):
            await client.enqueue(Task("one", n), group=f"g{n % 4}")
        await batches.until(60)

    members = [json.dumps(n) for batch in batches.got for n in batch]
    assert 60 == len(members) == len(set(members))


def test_short_grace_period_is_refused(memory_url: str) -> None:
    """A grace period below a second is an error."""
    with pytest.raises(InvalidOptionError, match="group_grace_period"):
        Server(memory_url, Batches(), group_grace_period=0.5)
