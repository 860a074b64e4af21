"""A unique task that asynq's client put into a group: its message alone names its lock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from headrace import Auditor, Inspector
from headrace._broker.redis import RedisBroker
from headrace._broker.values import GroupLimits
from tests.broker.helpers import KEYS, new
from tests.support.invariants import check_queue
from tests.support.wire import encode, plant, raw_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.wire import RawClient

LOCK = KEYS.unique("t", b"p")


@pytest_asyncio.fixture
async def raw(broker_url: str) -> AsyncIterator[RawClient]:
    """A plain client; the task is there, as asynq writes it."""
    client = raw_client(broker_url)
    # The payload looks like a message with a lock, and comes first.
    bait = encode("a", unique_key=KEYS.unique("t", b"bait"))
    data = encode("a", payload=bait, unique_key=LOCK, group_key="g", headers={"k": "v"})
    await plant(client, "q", "a", "aggregating", data=data, score=1, group="g")
    await client.execute_command("SET", LOCK, "a", "EX", 600)
    yield client
    assert [] == await check_queue(client, "q")
    await client.aclose()


@pytest_asyncio.fixture
async def inspector(broker_url: str) -> AsyncIterator[Inspector]:
    """An inspector of the same Redis."""
    async with Inspector(broker_url) as inspector:
        yield inspector


async def is_locked(raw: RawClient) -> bool:
    """Whether the lock stands."""
    return await raw.execute_command("EXISTS", LOCK) == 1


async def test_lock_ends_with_the_aggregation(raw: RawClient, broker_url: str) -> None:
    """When the task is aggregated, its lock is free."""
    broker = RedisBroker(broker_url)
    taken = await broker.check_group(
        "q", "g", "s", GroupLimits(grace_period=1, max_delay=0, max_size=1)
    )
    assert taken is not None
    await broker.aggregate(taken, new("sum"))
    await broker.close()

    assert not await is_locked(raw)


@pytest.mark.parametrize("action", ["delete", "archive"])
@pytest.mark.parametrize("many", [False, True], ids=["one", "all"])
async def test_lock_ends_with_the_task(
    raw: RawClient, inspector: Inspector, action: str, *, many: bool
) -> None:
    """When the task is deleted or archived, alone or with its group, its lock is free."""
    if many:
        await getattr(inspector, f"{action}_all")("q", "aggregating", group="g")
    else:
        await getattr(inspector, f"{action}_task")("q", "a")

    assert not await is_locked(raw)


@pytest.mark.parametrize("many", [False, True], ids=["one", "all"])
async def test_lock_stays_while_the_task_runs(
    raw: RawClient, inspector: Inspector, *, many: bool
) -> None:
    """A task that is run at once keeps its lock, until it is deleted in its turn."""
    if many:
        await inspector.run_all("q", "aggregating", group="g")
    else:
        await inspector.run_task("q", "a")
    assert await is_locked(raw)
    await inspector.delete_all("q", "pending")

    assert not await is_locked(raw)


async def test_audit_lets_the_lock_stand(raw: RawClient, broker_url: str) -> None:
    """An audit takes it for what it is, and does not delete it."""
    async with Auditor(broker_url, settle=0) as auditor:
        assert [] == [finding async for finding in auditor.audit(repair=True)]

    assert await is_locked(raw)


async def test_audit_deletes_a_lock_of_another_payload(raw: RawClient, broker_url: str) -> None:
    """A lock that the task holds, but does not name, is still found."""
    other = KEYS.unique("t", b"other")
    await raw.execute_command("SET", other, "a", "EX", 600)
    async with Auditor(broker_url, settle=0) as auditor:
        findings = [finding async for finding in auditor.audit(repair=True)]

    assert [8] == [finding.invariant for finding in findings]
    assert await raw.execute_command("EXISTS", other) == 0
