"""delete_queue: a queue goes with all that belongs to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headrace._broker.values import GroupLimits
from headrace._errors import QueueNotEmptyError, QueueNotFoundError
from tests.broker.helpers import archive, complete, new, requeue, retry, take, take_one
from tests.support.wire import dump

if TYPE_CHECKING:
    from headrace._broker.redis import RedisBroker
    from tests.support.wire import RawClient

RIPE = GroupLimits(grace_period=1, max_delay=0, max_size=1)


async def fill(broker: RedisBroker) -> None:
    """Put a task, with a lock of its own, into each state but active."""
    await broker.enqueue(
        [
            *(new(name, payload=name.encode(), unique=60) for name in ("c", "r", "x", "p")),
            new("s", payload=b"s", unique=60, after=60),
            new("taken", payload=b"taken", unique=60, group_key="g"),
        ]
    )
    await broker.check_group("q", "g", "set-1", RIPE)
    await broker.enqueue([new("g", payload=b"g", unique=60, group_key="g")])
    completed, retried, archived, given_back = await take(broker, 4)
    await broker.finish(
        [complete(completed), retry(retried), archive(archived), requeue(given_back)]
    )


async def test_force_deletes_every_container(broker: RedisBroker, raw: RawClient) -> None:
    """Completed tasks, groups, aggregation sets and locks go too; day counts have their TTL."""
    await fill(broker)

    assert 7 == await broker.delete_queue("q", force=True)
    left = [key for key in await dump(raw) if "{q}" in key]
    assert all(":processed:" in key or ":failed:" in key for key in left), left
    assert [] == await broker.queue_names()


async def test_not_empty(broker: RedisBroker, raw: RawClient) -> None:
    """Without force a queue that holds tasks stays as it is."""
    await fill(broker)
    written = await dump(raw)

    with pytest.raises(QueueNotEmptyError, match="'q' still holds"):
        await broker.delete_queue("q")
    assert await dump(raw) == written


async def test_running_tasks_are_never_deleted(broker: RedisBroker, raw: RawClient) -> None:
    """While a task runs, not even force deletes anything of its queue."""
    await broker.enqueue([new("a"), new("b")])
    await take_one(broker)
    written = await dump(raw)

    with pytest.raises(QueueNotEmptyError, match="1 task"):
        await broker.delete_queue("q", force=True)
    assert await dump(raw) == written
    assert ["q"] == await broker.queue_names()


async def test_many_tasks(broker: RedisBroker) -> None:
    """More tasks than one script call may handle are deleted in steps."""
    await broker.enqueue([new(f"a{n}") for n in range(250)])

    assert 250 == await broker.delete_queue("q", force=True)


async def test_unknown_queue(broker: RedisBroker) -> None:
    """A queue that does not exist cannot be deleted."""
    with pytest.raises(QueueNotFoundError, match="'nope'"):
        await broker.delete_queue("nope")
