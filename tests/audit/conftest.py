"""A broker with one sound task in each state, and the audit of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from headrace import Auditor
from headrace._broker import attempts
from headrace._broker.auditing import full
from tests.audit.damage import ARCHIVE_SIZE
from tests.support.wire import plant, raw_client, redis_time

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.wire import RawClient

STATES = ("pending", "active", "scheduled", "retry", "archived", "completed")


@pytest.fixture(autouse=True)
def _small_archives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have archives full soon."""
    for module in (attempts, full):
        monkeypatch.setattr(module, "ARCHIVE_SIZE", ARCHIVE_SIZE)


@pytest_asyncio.fixture
async def auditor(broker_url: str) -> AsyncIterator[Auditor]:
    """An auditor that does not wait for janitors."""
    async with Auditor(broker_url, settle=0) as auditor:
        yield auditor


@pytest_asyncio.fixture
async def raw(broker_url: str) -> AsyncIterator[RawClient]:
    """A plain client; each state has a sound task of the same name, "grouped" a group."""
    client = raw_client(broker_url)
    now = int(await redis_time(client))
    for state in STATES:
        score = now - 10 if state == "archived" else now + 1000
        await plant(client, "q", state, state, score=score)
    await plant(client, "q", "grouped", "aggregating", score=now, group="g")
    yield client
    await client.aclose()
