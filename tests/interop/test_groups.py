"""One side adds to a group, the other aggregates it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from headrace import Client, Inspector, Task, TaskState
from headrace._broker.keys import QueueKeys
from tests.interop.handlers import aggregate, router_for
from tests.interop.views import read_report
from tests.interop.waiting import eventually
from tests.server.helpers import serving

if TYPE_CHECKING:
    from tests.interop.conftest import StartGoWorker, Wire
    from tests.interop.programs import GoClient, GoInspector

GROUP = "my group"
NAMES = ["a", "b", "c"]


async def check_sum(inspector: Inspector, go_inspector: GoInspector) -> None:
    """The group became one task, which ran; of its members nothing is left."""

    async def has_run() -> bool:
        found = await inspector.queue_stats("default")
        return (found.completed, found.size) == (1, 0)

    await eventually(has_run)
    [info] = await inspector.list_tasks("default", TaskState.COMPLETED)
    report = read_report(info.result or b"")
    told = json.loads(bytes(report["payload"]))  # type: ignore[call-overload]  # It is bytes.
    assert {"group": GROUP, "members": NAMES} == told
    assert [] == await inspector.groups("default")
    assert {} == go_inspector.do("groups", "default")


async def test_we_aggregate_theirs(
    wire: Wire, inspector: Inspector, go_client: GoClient, go_inspector: GoInspector
) -> None:
    """Our server aggregates what asynq's client put into a group, unique tasks among them."""
    for name in NAMES:
        go_client.enqueue("t", name.encode(), group=GROUP, unique=600)
    assert len(NAMES) == (await inspector.queue_stats("default")).aggregating
    async with serving(
        wire.url, router_for(wire.url), group_max_size=len(NAMES), group_aggregator=aggregate
    ):
        await check_sum(inspector, go_inspector)


async def test_they_aggregate_ours(
    client: Client, inspector: Inspector, go_inspector: GoInspector, start_go_worker: StartGoWorker
) -> None:
    """The server of asynq aggregates what our client put into a group."""
    await client.enqueue_many([Task("t", name.encode()) for name in NAMES], group=GROUP)
    assert {GROUP: len(NAMES)} == go_inspector.do("groups", "default")
    worker = start_go_worker(aggregate=True, group_max_size=len(NAMES), group_grace_period=1)
    await check_sum(inspector, go_inspector)
    worker.stop()


async def test_grace_period_of_a_mixed_group(
    wire: Wire,
    client: Client,
    inspector: Inspector,
    go_client: GoClient,
    go_inspector: GoInspector,
) -> None:
    """A group to which both sides added is aggregated as one, once nothing more comes."""
    await client.enqueue(Task("t", b"a"), group=GROUP)
    go_client.enqueue("t", b"b", group=GROUP)
    await client.enqueue(Task("t", b"c"), group=GROUP)
    async with serving(
        wire.url, router_for(wire.url), group_grace_period=1, group_aggregator=aggregate
    ):
        await check_sum(inspector, go_inspector)


async def test_a_set_that_one_side_left_the_other_takes(
    wire: Wire,
    client: Client,
    inspector: Inspector,
    go_inspector: GoInspector,
) -> None:
    """Tasks that asynq took out of a group, and died, come back into it, and are aggregated."""
    await client.enqueue_many([Task("t", name.encode()) for name in NAMES], group=GROUP)
    keys = QueueKeys("default")
    taken = keys.aggregation_set(GROUP, "left-behind")
    await wire.raw.execute_command("RENAME", keys.group(GROUP), taken)
    await wire.raw.execute_command("ZADD", keys.aggregation_sets, 1, taken)
    await wire.raw.execute_command("SREM", keys.groups, GROUP)
    async with serving(
        wire.url, router_for(wire.url), group_grace_period=1, group_aggregator=aggregate
    ):
        await check_sum(inspector, go_inspector)
