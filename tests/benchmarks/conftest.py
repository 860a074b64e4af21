"""Fixtures of the tests of the benchmarks: a stand with little to measure."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from benchmarks.environments import Environments
from benchmarks.results import Results
from benchmarks.sizes import PROFILES
from benchmarks.stand import Stand

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def stand(redis_url: str, tmp_path: Path) -> Iterator[Stand]:
    """A stand on the test's Redis."""
    if sys.platform != "linux":
        pytest.skip("the benchmarks read /proc, which only Linux has")
    stand = Stand(redis_url, Environments(tmp_path), PROFILES["smoke"], tmp_path / "logs")
    yield stand
    stand.close()


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """A new file of results."""
    return Results(tmp_path / "results.jsonl")
