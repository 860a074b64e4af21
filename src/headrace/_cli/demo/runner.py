"""One run of the demo: client, server and tasks, from the first enqueue to the last report."""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
from typing import TYPE_CHECKING

from headrace import Client, HeadraceError, Inspector, QueueNotFoundError, Server, TaskStateProber
from headrace._cli.demo.report import Report
from headrace._cli.demo.tasks import Demo

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace._cli.demo.files import Listing

__all__ = ["run_demo"]

CHUNK = 500
GROUP_SIZE = 250
"""How many records a report holds at the most, to stay far below the limit of a payload."""
GRACE_PERIOD = 1.0
"""Seconds; the shortest there is. A group's last records wait for it."""
RETRY_DELAY = 0.1

log: logging.Logger = logging.getLogger("headrace.demo")


async def run_demo(
    listing: Listing, *, redis: str | None, concurrency: int, on_examined: Callable[[int], None]
) -> Report:
    """Send *listing*'s files through a queue; return the report once it is complete.

    Args:
        listing: The files.
        redis: URL of Redis; None runs on the embedded broker.
        concurrency: How many files are examined at a time.
        on_examined: Told, once a file, how many bytes it had.

    Raises:
        BrokerError: If Redis did not answer.
    """
    report = Report(listing.paths)
    # Nobody else's tasks get in between, nor do ours get to anybody else.
    queue = f"demo-{secrets.token_hex(6)}"
    url = redis or f"memory://{queue}"
    async with Client(url) as client:
        demo = Demo(listing, report, client, queue=queue, on_examined=on_examined)
        try:
            async with _server(url, demo, queue, concurrency) as server:
                try:
                    await _feed(client, demo)
                    await _wait(report, server)
                finally:
                    demo.stopped.set()
        finally:
            await _clean_up(url, queue)
    return report


def _server(url: str, demo: Demo, queue: str, concurrency: int) -> Server:
    return Server(
        url,
        demo.router,
        concurrency=concurrency,
        queues={queue: 1},
        retry_delay=lambda *_: RETRY_DELAY,
        group_grace_period=GRACE_PERIOD,
        group_max_size=GROUP_SIZE,
        group_aggregator=demo.aggregate,
        shutdown_timeout=2,
        state_prober=TaskStateProber({"archived": "task"}, demo.on_archived),
    )


async def _feed(client: Client, demo: Demo) -> None:
    tasks = demo.tasks()
    while chunk := list(itertools.islice(tasks, CHUNK)):
        await client.enqueue_many(chunk)


async def _wait(report: Report, server: Server) -> None:
    """Return when *report* is complete; raise what broke *server* if that comes first."""
    running = asyncio.ensure_future(server.run())
    complete = asyncio.ensure_future(report.complete.wait())
    try:
        await asyncio.wait({running, complete}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
    finally:
        running.cancel()
        complete.cancel()
        await asyncio.wait({running, complete})


async def _clean_up(url: str, queue: str) -> None:
    """Delete what is left of *queue*, if Redis still answers."""
    try:
        async with Inspector(url) as inspector:
            await inspector.delete_queue(queue, force=True)
    except QueueNotFoundError:  # Nothing was enqueued.
        return
    except HeadraceError as error:
        log.warning("Queue %r could not be deleted: %s", queue, error)
