"""Fixtures for the ways to reach Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.server.helpers import Gate, Watch
from tests.topology.servers import ClusterOfThree, SentinelGroup

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def cluster(redis_executable: str) -> Iterator[ClusterOfThree]:
    """A cluster that all tests share."""
    with ClusterOfThree(redis_executable) as cluster:
        yield cluster


@pytest.fixture
def cluster_url(cluster: ClusterOfThree) -> str:
    """The URL of an empty cluster."""
    for node in cluster.nodes:
        node.flush()
    return cluster.url


@pytest.fixture
def sentinel(redis_executable: str) -> Iterator[SentinelGroup]:
    """A Sentinel group of the test's own: tests change who is master."""
    with SentinelGroup(redis_executable) as group:
        yield group


@pytest_asyncio.fixture
async def watch() -> Watch:
    """A state prober to wait for."""
    return Watch()


@pytest_asyncio.fixture
async def gate() -> Gate:
    """A handler that waits for the test."""
    return Gate()
