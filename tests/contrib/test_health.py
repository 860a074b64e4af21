"""Liveness and readiness: their truth is progress."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiohttp
import anyio
from prometheus_client import CollectorRegistry

from headrace import Client, Server
from headrace._health import Vitals
from headrace._worker.intake import Intake
from headrace.contrib.health import monitoring
from tests.server.helpers import PATIENCE, job, serving
from tests.support.redis_server import RedisServer

if TYPE_CHECKING:
    import pytest

    from tests.server.helpers import Gate

QUICK: dict[str, Any] = {"heartbeat_interval": 0.1, "lease_duration": 2.0}


async def ask(url: str, path: str) -> tuple[int, dict[str, Any]]:
    """Return the status and the verdict."""
    async with aiohttp.ClientSession() as session, session.get(url + path) as response:
        return response.status, await response.json()


async def until(url: str, path: str, status: int) -> dict[str, Any]:
    """Wait until *path* answers with *status*; return the verdict."""
    async with asyncio.timeout(PATIENCE):
        while True:
            got, verdict = await ask(url, path)
            if got == status:
                return verdict
            await asyncio.sleep(0.02)  # It is asked over HTTP, as a probe would.


async def test_readiness_follows_the_server(memory_url: str, gate: Gate) -> None:
    """A server is not ready before it runs, is while it runs, and is not once it was stopped."""
    server = Server(memory_url, gate, **QUICK)
    async with monitoring(server, port=0, registry=CollectorRegistry()) as url:
        before = await ask(url, "/readyz")
        alive = await ask(url, "/healthz")
        await server.start()
        ready = await until(url, "/readyz", 200)
        server.stop()
        stopped = await ask(url, "/readyz")
        alive_stopped = await ask(url, "/healthz")
        await server.shutdown()
        closed = await ask(url, "/readyz")
        dead = await ask(url, "/healthz")

    assert (503, ["the server is new"]) == (before[0], before[1]["reasons"])
    assert (200, 200) == (alive[0], alive_stopped[0])
    assert (ready["ready"], ready["reasons"], ready["state"]) == (True, [], "active")
    assert (503, ["the server is stopped"]) == (stopped[0], stopped[1]["reasons"])
    assert (503, 503) == (closed[0], dead[0])


async def test_readiness_follows_redis(redis_executable: str, gate: Gate) -> None:
    """While Redis is away the server is not ready but alive; when it is back, it is ready."""
    with RedisServer(redis_executable) as redis:
        async with (
            serving(redis.url, gate, **QUICK) as server,
            monitoring(server, port=0, registry=CollectorRegistry()) as url,
        ):
            await until(url, "/readyz", 200)
            redis.stop()
            away = await until(url, "/readyz", 503)
            alive = await ask(url, "/healthz")
            redis.start()
            await until(url, "/readyz", 200)

    assert any("Redis" in reason for reason in away["reasons"])
    assert alive[0] == 200


async def test_intake_that_is_stuck_is_found(
    memory_url: str, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that beats but asks for no tasks is neither ready nor alive."""
    stuck = asyncio.Event()

    async def hang(_self: Intake, _slots: int) -> None:
        await stuck.wait()

    monkeypatch.setattr(Intake, "fetch", hang)
    async with (
        serving(memory_url, gate, **QUICK) as server,
        monitoring(server, port=0, registry=CollectorRegistry()) as url,
    ):
        verdict = await until(url, "/healthz", 503)

    assert not verdict["ready"]
    assert any("intake is stuck" in reason for reason in verdict["reasons"])


async def test_full_server_is_ready(memory_url: str, gate: Gate) -> None:
    """A server whose slots are all taken need not ask for more."""
    async with (
        Client(memory_url) as client,
        serving(memory_url, gate, concurrency=1, **QUICK) as server,
    ):
        await client.enqueue(job("a"))
        await gate.until_entered(1)
        vitals = server._components.vitals if server._components else None
        assert vitals is not None
        vitals._intake_due = 0.0  # As if it had been full for long.
        vitals.beat()

        assert server.health().ready
        assert (1, 1) == (server.health().running, server.health().concurrency)
        gate.open()


async def vitals_at_work() -> Vitals:
    """Return the vitals of a server to which all is well, with a patience of a second."""
    vitals = Vitals(patience=1.0, concurrency=2)
    vitals.beat()
    vitals.fetched()
    vitals.ticked()
    return vitals


async def test_signs_of_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each sign that is missing for too long is a reason; what waits for tasks is well."""
    now = 100.0
    monkeypatch.setattr(anyio, "current_time", lambda: now)
    vitals = await vitals_at_work()
    assert vitals.health("active").ready

    now += 1.2
    vitals.waits(10.0)
    late = vitals.health("active")
    assert late.reasons == ("Redis took the last heartbeat 1.2 s ago",)
    assert late.alive

    now += 9.0
    vitals.beat()
    blocked = vitals.health("active")
    assert blocked.reasons == ("the event loop is 9.7 s late",)
    assert not blocked.alive

    vitals.ticked()
    assert vitals.health("active").ready

    now += 0.9
    vitals.fetch_failed()
    assert vitals.health("active").reasons == ("Redis does not answer when asked for tasks",)
    assert vitals.health("active").alive
