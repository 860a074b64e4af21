"""Fixtures for the tests of real processes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

import pytest

from headrace import Client, Task
from tests.support.processes import Journal, JournalingWorker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Unpack

    from headrace import TaskInfo, TaskOptions


class StartWorker(Protocol):
    """Starts a worker that is killed when the test ends."""

    def __call__(self, redis_url: str, **options: object) -> JournalingWorker:
        """Start one; *options* are its server's."""
        ...


@pytest.fixture
def start_worker(journal: Journal, tmp_path: Path) -> Iterator[StartWorker]:
    """Starts workers."""
    workers: list[JournalingWorker] = []

    def start(redis_url: str, **options: object) -> JournalingWorker:
        worker = JournalingWorker(redis_url, journal, tmp_path, **options)
        workers.append(worker)
        return worker

    yield start
    for worker in workers:
        worker.__exit__(None, None, None)


@pytest.fixture
def journal() -> Iterator[Journal]:
    """What the handlers of all workers write."""
    journal = Journal()
    yield journal
    journal.close()


def enqueue(
    url: str,
    count: int,
    payload: object,
    *,
    type: str = "sleep",  # noqa: A002 - the field's word
    **options: Unpack[TaskOptions],
) -> list[TaskInfo]:
    """Enqueue tasks; those of type "sleep" take as many seconds as *payload* says."""

    async def run() -> list[TaskInfo]:
        async with Client(url) as client:
            tasks = [Task(type, str(payload).encode()) for _ in range(count)]
            return await client.enqueue_many(tasks, **options)

    return asyncio.run(run())
