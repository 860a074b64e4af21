"""Start, stop, run, shutdown: the states of a server, and what they allow."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import anyio
import pytest

from headrace import (
    BrokerError,
    BrokerUnsuitableError,
    Client,
    InvalidOptionError,
    Server,
    ServerClosedError,
    ServerStateError,
    Task,
    TaskState,
)
from tests.server.helpers import PATIENCE, Gate, Watch, job, serving, state_of
from tests.support.redis_server import RedisServer, free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NOWHERE = "redis://user:hunter2@127.0.0.1:{port}/0"


async def nothing(task: Task) -> None:
    """Do nothing."""


async def test_states_follow_one_another(broker_url: str) -> None:
    """A server is new, then active, then stopped, then closed."""
    server = Server(broker_url, nothing)
    states = [server.state]
    await server.start()
    states.append(server.state)
    server.stop()
    states.append(server.state)
    await server.shutdown()
    states.append(server.state)

    assert ["new", "active", "stopped", "closed"] == states


async def test_repeated_calls_change_nothing(broker_url: str) -> None:
    """Start, stop and shutdown may be called again and again."""
    server = Server(broker_url, nothing)
    server.stop()
    assert "new" == state_of(server)
    await server.start()
    await server.start()
    assert "active" == state_of(server)
    server.stop()
    server.stop()
    assert "stopped" == state_of(server)
    await server.shutdown()
    await server.shutdown()
    server.stop()
    assert "closed" == state_of(server)


async def test_concurrent_starts_are_one(broker_url: str, client: Client, gate: Gate) -> None:
    """Whoever starts a server that is starting returns when it has started; it runs once."""
    server = Server(broker_url, gate)
    states: list[str] = []

    async def start() -> None:
        await server.start()
        states.append(server.state)

    await asyncio.gather(start(), start(), start())
    gate.open()
    await client.enqueue(job("once"))
    await gate.until_entered(1)
    await asyncio.gather(server.shutdown(), server.shutdown())

    assert ["active"] * 3 == states
    assert ["once"] == gate.entered


async def test_concurrent_starts_fail_alike() -> None:
    """Where a start fails, all who wait for it get the error."""
    server = Server(NOWHERE.format(port=free_port()), nothing)

    outcomes = await asyncio.gather(server.start(), server.start(), return_exceptions=True)

    assert [BrokerError, BrokerError] == [type(outcome) for outcome in outcomes]


async def test_closed_server_is_used_up(broker_url: str) -> None:
    """A server that was shut down does not start again, nor answer."""
    server = Server(broker_url, nothing)
    async with server:
        await server.ping()

    with pytest.raises(ServerClosedError):
        await server.start()
    with pytest.raises(ServerClosedError):
        await server.run()
    with pytest.raises(ServerClosedError):
        await server.ping()


async def test_server_that_never_started_closes(broker_url: str) -> None:
    """Shutting down a new server closes it; it has connections if it was pinged."""
    server = Server(broker_url, nothing)
    await server.ping()
    await server.shutdown()

    assert "closed" == state_of(server)
    with pytest.raises(ServerClosedError):
        await server.start()


async def test_stopped_server_does_not_start(broker_url: str) -> None:
    """A stopped server can be shut down, not started."""
    server = Server(broker_url, nothing)
    await server.start()
    server.stop()

    with pytest.raises(ServerStateError, match="stopped"):
        await server.start()
    await server.shutdown()


async def test_start_and_shutdown_in_different_tasks(
    broker_url: str, client: Client, gate: Gate
) -> None:
    """A framework may enter a lifespan in one asyncio task, and leave it in another."""
    server = Server(broker_url, gate)
    gate.open()

    await asyncio.create_task(server.start())
    await client.enqueue(job("x"))
    await gate.until_entered(1)
    await asyncio.create_task(server.shutdown())

    assert "closed" == state_of(server)


async def test_lifespan_generator_across_tasks(broker_url: str) -> None:
    """Even `async with server` may be left in another task than it was entered in."""
    server = Server(broker_url, nothing)

    async def lifespan() -> AsyncIterator[None]:
        async with server:
            yield

    steps = lifespan()
    await asyncio.create_task(anext(steps))  # type: ignore[arg-type]  # An async generator's.
    assert "active" == state_of(server)
    with contextlib.suppress(StopAsyncIteration):
        await asyncio.create_task(anext(steps))  # type: ignore[arg-type]

    assert "closed" == state_of(server)


async def test_stop_fetches_no_more(
    broker_url: str, client: Client, gate: Gate, watch: Watch
) -> None:
    """A stopped server finishes what it runs, and leaves the rest in the queue."""
    async with serving(broker_url, gate, concurrency=2, state_prober=watch.prober) as server:
        infos = [await client.enqueue(job(str(n))) for n in range(3)]
        await gate.until_entered(2)
        server.stop()
        gate.open()
        await watch.until(infos[1], TaskState.COMPLETED)
        await watch.until(infos[0], TaskState.COMPLETED)

        assert TaskState.PENDING == (await client.get_task(infos[2].id)).state


async def test_idle_server_stops_at_once(broker_url: str, client: Client, gate: Gate) -> None:
    """A server that was waiting for tasks when it was stopped takes none of those to come."""
    async with serving(broker_url, gate, shutdown_timeout=0) as server:
        await client.enqueue(job("before"))
        await gate.until_entered(1)
        server.stop()
        info = await client.enqueue(job("after"))
        await server.shutdown()

    assert TaskState.PENDING == (await client.get_task(info.id)).state
    assert ["before"] == gate.entered


async def test_run_returns_when_shut_down(broker_url: str) -> None:
    """`run` starts a server and returns once it is closed."""
    server = Server(broker_url, nothing)
    run = asyncio.create_task(server.run())
    await server.start()  # Waits until it has started.
    assert "active" == state_of(server)
    await server.shutdown()
    await run

    assert "closed" == state_of(server)


async def test_cancelled_run_shuts_down(broker_url: str, client: Client, gate: Gate) -> None:
    """Cancelling `run` shuts the server down in order; tasks are given back."""
    server = Server(broker_url, gate, shutdown_timeout=0)
    run = asyncio.create_task(server.run())
    info = await client.enqueue(job("x"))
    await gate.until_entered(1)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run

    assert "closed" == state_of(server)
    assert TaskState.PENDING == (await client.get_task(info.id)).state


async def test_cancelled_scope_shuts_down(broker_url: str, client: Client, gate: Gate) -> None:
    """A cancelled anyio scope around a server waits until it is shut down."""
    with anyio.CancelScope() as scope:
        async with serving(broker_url, gate, shutdown_timeout=0) as server:
            info = await client.enqueue(job("x"))
            await gate.until_entered(1)
            scope.cancel()
            await anyio.sleep_forever()

    assert "closed" == state_of(server)
    assert TaskState.PENDING == (await client.get_task(info.id)).state


async def test_error_in_the_block_passes(broker_url: str) -> None:
    """An error inside of `async with server` shuts it down, and goes on."""
    server = Server(broker_url, nothing)

    with pytest.raises(ZeroDivisionError):
        async with server:
            raise ZeroDivisionError

    assert "closed" == state_of(server)


async def test_cancelled_start_leaves_nothing(broker_url: str) -> None:
    """A start that is cancelled takes back what it began."""
    entered, left = asyncio.Event(), asyncio.Event()

    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        entered.set()
        try:
            await asyncio.sleep(PATIENCE)
            yield
        finally:
            left.set()

    server = Server(broker_url, nothing, lifespan=lifespan)
    start = asyncio.create_task(server.start())
    await entered.wait()
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start

    assert left.is_set()
    assert "closed" == state_of(server)
    with pytest.raises(ServerClosedError):
        await server.start()


async def test_shutdown_while_starting(broker_url: str, client: Client, gate: Gate) -> None:
    """A server that is shut down while it starts begins no task."""
    entered, proceed = asyncio.Event(), asyncio.Event()

    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        entered.set()
        await proceed.wait()
        yield

    await client.enqueue(job("x"))
    server = Server(broker_url, gate, lifespan=lifespan)
    start = asyncio.create_task(server.start())
    await entered.wait()
    shutdown = asyncio.create_task(server.shutdown())
    await asyncio.sleep(0)
    proceed.set()
    await shutdown
    with pytest.raises(ServerClosedError):
        await start

    assert "closed" == state_of(server)
    assert [] == gate.entered


# --- A Redis that cannot be used -------------------------------------------------------------


async def test_unreachable_redis_refuses_the_start() -> None:
    """Start says that Redis does not answer, without credentials, and leaves nothing behind."""
    port = free_port()
    server = Server(NOWHERE.format(port=port), nothing)
    before = asyncio.all_tasks()

    with pytest.raises(BrokerError) as caught:
        await server.start()

    assert asyncio.all_tasks() == before
    assert "closed" == state_of(server)
    assert str(port) in str(caught.value)
    assert "hunter2" not in f"{caught.value!r} {server!r}"
    with pytest.raises(ServerClosedError):
        await server.start()


async def test_unreachable_redis_ends_run_and_with() -> None:
    """`run` and `async with` raise what start raises."""
    with pytest.raises(BrokerError):
        await Server(NOWHERE.format(port=free_port()), nothing).run()
    with pytest.raises(BrokerError):
        async with Server(NOWHERE.format(port=free_port()), nothing):
            pytest.fail("it must not get here")


async def test_refused_start_closes_its_connections(redis_executable: str) -> None:
    """A start that is refused leaves no connection behind."""
    with RedisServer(redis_executable, maxmemory_policy="allkeys-lru") as redis:
        probe = redis.client()
        with pytest.raises(BrokerUnsuitableError, match="allkeys-lru"):
            await Server(redis.url, nothing).start()

        assert 1 == len(probe.client_list())
        probe.close()


async def test_eviction_may_be_allowed(redis_executable: str) -> None:
    """A server told to accept a Redis that evicts runs on it."""
    with RedisServer(redis_executable, maxmemory_policy="allkeys-lru") as redis:
        async with Server(redis.url, nothing, allow_eviction=True) as server:
            assert "active" == state_of(server)


async def test_shutdown_closes_all_connections(redis_executable: str) -> None:
    """After a shutdown no connection is left, not even one that waited for tasks."""
    with RedisServer(redis_executable) as redis:
        probe = redis.client()
        async with (
            Client(redis.url) as client,
            serving(redis.url, nothing, queues={"a": 1, "b": 1}) as server,
        ):
            await client.enqueue(Task("t"), queue="a")
            await server.ping()
            assert len(probe.client_list()) > 3
        assert 1 == len(probe.client_list())
        probe.close()


async def test_unknown_option_is_refused(memory_url: str) -> None:
    """A misspelt option is an error, not silence."""
    with pytest.raises(InvalidOptionError, match="concurency"):
        Server(memory_url, nothing, concurency=3)  # type: ignore[call-arg]
