"""Fixtures for the tests with Go programs."""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import pytest
import pytest_asyncio

from headrace import Client, Inspector
from tests.interop.build import build, find_go
from tests.interop.programs import GoClient, GoInspector, GoWorker
from tests.support.invariants import STATEMENTS, check_queue
from tests.support.processes import Journal, JournalingWorker
from tests.support.wire import raw_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.interop.build import GoPrograms
    from tests.support.wire import RawClient

HERE = Path(__file__).parent
NO_GO = "needs Go, https://go.dev/dl, to build programs that use asynq; found no go on PATH"
# The journals and the lock of these tests are POSIX's.
collect_ignore_glob = ["test_*.py"] if sys.platform == "win32" else []
TIMEOUT = 600
"""Seconds. The first test waits for the compiler, and a Go worker heeds nothing below 1 s."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give these tests the time that they need."""
    for item in items:
        if item.path.is_relative_to(HERE) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TIMEOUT))


@pytest.fixture(scope="session")
def go_tool() -> str:
    """The path of the Go tool. Skips where there is none; fails instead if CI is set."""
    path = find_go()
    if path is None:
        # On CI a skip would pass for a success.
        (pytest.fail if os.environ.get("CI") else pytest.skip)(NO_GO)
    return path


@pytest.fixture(scope="session")
def go_programs(
    go_tool: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> GoPrograms:
    """The Go programs, built once for the sources that they have."""
    cache = cast("pytest.Cache | None", getattr(request.config, "cache", None))
    directory = cache.mkdir("interop-go") if cache else tmp_path_factory.mktemp("interop-go")
    return build(go_tool, directory)


@dataclasses.dataclass
class Wire:
    """A Redis that both sides use; its queues are checked when the test ends."""

    url: str
    raw: RawClient
    tolerated: dict[int, str] = dataclasses.field(default_factory=dict)

    def tolerate(self, number: int, reason: str) -> None:
        """Expect that an invariant is broken at the end: asynq does that, for *reason*."""
        assert number in STATEMENTS
        assert reason
        self.tolerated[number] = reason


@pytest_asyncio.fixture
async def wire(redis_url: str) -> AsyncIterator[Wire]:
    """Real Redis, empty. At the end each queue keeps the invariants, or asynq broke them."""
    raw = raw_client(redis_url)
    wire = Wire(redis_url, raw)
    try:
        yield wire
        async with Inspector(redis_url) as inspector:
            for queue in await inspector.queues():
                found = await check_queue(raw, queue)
                assert [] == [str(one) for one in found if one.number not in wire.tolerated]
    finally:
        await raw.aclose()


@pytest_asyncio.fixture
async def client(wire: Wire) -> AsyncIterator[Client]:
    """Our client."""
    async with Client(wire.url, max_payload_size=None) as client:
        yield client


@pytest_asyncio.fixture
async def inspector(wire: Wire) -> AsyncIterator[Inspector]:
    """Our inspector."""
    async with Inspector(wire.url) as inspector:
        yield inspector


@pytest.fixture
def go_client(wire: Wire, go_programs: GoPrograms) -> Iterator[GoClient]:
    """The client of asynq."""
    with GoClient(go_programs.interop, wire.url) as client:
        yield client


@pytest.fixture
def go_inspector(wire: Wire, go_programs: GoPrograms) -> Iterator[GoInspector]:
    """The inspector of asynq."""
    with GoInspector(go_programs.interop, wire.url) as inspector:
        yield inspector


@pytest.fixture
def journal() -> Iterator[Journal]:
    """What the handlers of all Go workers write, and those of our worker processes."""
    journal = Journal()
    yield journal
    journal.close()


class StartGoWorker(Protocol):
    """Starts an asynq server that is killed when the test ends, if it was not stopped."""

    def __call__(self, **config: object) -> GoWorker:
        """Start one; see ``go/worker.go``."""
        ...


@pytest.fixture
def start_go_worker(
    wire: Wire, go_programs: GoPrograms, journal: Journal
) -> Iterator[StartGoWorker]:
    """Starts Go workers."""
    workers: list[GoWorker] = []

    def start(**config: object) -> GoWorker:
        quick = {"task_check_interval": 0.1, "delayed_task_check_interval": 1}
        worker = GoWorker(go_programs.interop, wire.url, journal, **{**quick, **config})
        workers.append(worker)
        return worker

    yield start
    for worker in workers:
        worker.kill()


class StartWorker(Protocol):
    """Starts a worker of ours that is killed when the test ends, if it was not stopped."""

    def __call__(self, redis_url: str, **options: object) -> JournalingWorker:
        """Start one; *options* are its server's."""
        ...


@pytest.fixture
def start_worker(journal: Journal, tmp_path: Path) -> Iterator[StartWorker]:
    """Starts workers of ours."""
    workers: list[JournalingWorker] = []

    def start(redis_url: str, **options: object) -> JournalingWorker:
        workers.append(JournalingWorker(redis_url, journal, tmp_path, **options))
        return workers[-1]

    yield start
    for worker in workers:
        worker.__exit__(None, None, None)
