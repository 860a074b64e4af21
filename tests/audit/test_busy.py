"""While workers run, an audit finds nothing that is merely in motion, and touches no task."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from headrace import Auditor, Client, RetryLater, Server, Task
from tests.support.randomness import seeded

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

AUDITS = 20


def busy_handler(ran: list[str]) -> Callable[[Task], Awaitable[None]]:
    """Return a handler that ends in all the ways that there are."""
    rng = seeded()

    async def anything(task: Task) -> None:
        await asyncio.sleep(rng.random() / 100)
        ran.append(task.type)
        if task.type == "again" and rng.random() < 0.5:
            raise RetryLater(0.1)
        if task.type == "fail":
            raise ValueError("on purpose")

    return anything


async def produce(client: Client, stop: asyncio.Event) -> int:
    """Enqueue tasks of all kinds until told to stop; return how many."""
    number = 0
    while not stop.is_set():
        number += 1
        tag = f"{number}".encode()
        await asyncio.gather(
            client.enqueue(Task("done", tag)),
            client.enqueue(Task("kept", tag), retention=1),
            client.enqueue(Task("later", tag), process_in=0.2),
            client.enqueue(Task("again", tag), max_retry=1000),
            client.enqueue(Task("fail", tag), max_retry=0),
            client.enqueue(Task("unique", tag), unique=60, retention=60),
            client.enqueue(Task("member", tag), group=f"g{number % 3}"),
        )
        await asyncio.sleep(0.01)
    return number


def combine(group: str, tasks: Sequence[Task]) -> Task:
    """Make one task of many."""
    return Task("whole", b",".join(task.payload for task in tasks))


async def test_busy_queues_give_no_finding(broker_url: str) -> None:
    """Twenty audits, ready to repair, of a server that does everything at once."""
    ran: list[str] = []
    stop = asyncio.Event()
    options = {"group_grace_period": 1.0, "group_max_size": 5, "reconcile_interval": 0.2}
    options |= {"janitor_interval": 0.1}
    async with (
        Client(broker_url) as client,
        Server(
            broker_url,
            busy_handler(ran),
            concurrency=20,
            retry_delay=lambda *_: 0.1,
            group_aggregator=combine,
            **options,  # type: ignore[arg-type]  # mypy sees one type for all.
        ),
        Auditor(broker_url, settle=0.5) as auditor,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(produce(client, stop))
        found = []
        for _ in range(AUDITS):
            found += [item async for item in auditor.audit(repair=True)]
            await asyncio.sleep(0.05)
        stop.set()

    assert found == []
    assert {"done", "kept", "later", "again", "fail", "unique", "whole"} <= set(ran)
