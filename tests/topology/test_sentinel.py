"""Sentinel: the worker follows the master."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest
import redis.asyncio.sentinel

from headrace import BrokerError, Client, Server, TaskState
from tests.server.helpers import Gate, job, queue_stats, serving
from tests.topology.scenario import everything, guard_extends

if TYPE_CHECKING:
    from tests.server.helpers import Watch
    from tests.topology.servers import SentinelGroup

log = logging.getLogger(__name__)


async def test_master_by_its_name(sentinel: SentinelGroup) -> None:
    """redis+sentinel:// does everything; so does a client that Sentinel made."""
    await everything(sentinel.url)
    await guard_extends(sentinel.url)
    manager = redis.asyncio.sentinel.Sentinel(  # type: ignore[no-untyped-call]  # redis-py's.
        [("127.0.0.1", sentinel.port)]
    )
    own = manager.master_for(sentinel.name)
    await everything(own)
    await guard_extends(own)
    await own.aclose()
    for node in manager.sentinels:
        await node.aclose()


async def test_unknown_master_is_an_error(sentinel: SentinelGroup) -> None:
    """A name that Sentinel does not know is an error that names it."""
    url = sentinel.url.replace(sentinel.name, "nobody")
    with pytest.raises(BrokerError, match="nobody"):
        await Server(url, Gate()).start()


@pytest.mark.parametrize("planned", [False, True], ids=["killed", "planned"])
async def test_worker_goes_on_after_a_failover(
    sentinel: SentinelGroup,
    watch: Watch,
    *,
    planned: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Client and worker go on with the new master, and what ran meanwhile is finished."""
    gate = Gate()
    async with (
        Client(sentinel.url, timeout=60) as client,
        serving(sentinel.url, gate, state_prober=watch.prober, concurrency=4),
    ):
        held = [await client.enqueue(job(f"held {n}")) for n in range(2)]
        await gate.until_entered(2)
        with sentinel.master.client() as master:
            # Replication is asynchronous: what is not there yet at a kill is lost.
            assert 1 == master.wait(1, 5000)
        if planned:
            await asyncio.to_thread(sentinel.switch)
        else:
            await asyncio.to_thread(sentinel.fail_over)
        switched_at = asyncio.get_running_loop().time()
        info = await client.enqueue(job("after"))
        await gate.until_entered(3)
        gate.open()
        await watch.until(info, TaskState.COMPLETED)
        took = asyncio.get_running_loop().time() - switched_at
        for one in held:
            await watch.until(one, TaskState.COMPLETED)
        [stats] = await queue_stats(client)

    log.info("the worker went on %.2f s after the switch", took)
    assert (0, 3) == (stats.size, stats.processed)
    assert not [one for one in caplog.records if "never retrieved" in one.getMessage()]
