"""Fixtures for the ways to reach Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.server.conftest import gate, no_task_is_left, watch
from tests.topology.servers import ClusterOfThree, SentinelGroup

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["gate", "no_task_is_left", "watch"]


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
