"""A rate semaphore that both languages share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace import Client, RateSemaphore, Task
from tests.interop.handlers import router_for
from tests.interop.waiting import PATIENCE
from tests.server.helpers import serving

if TYPE_CHECKING:
    from tests.interop.conftest import StartGoWorker, Wire

SCOPE = "api"


async def hold(client: Client, *, keep: bool = False) -> bool:
    """Have a worker take the one token; return whether it got it. *keep*: and not give it back."""
    payload = f"{SCOPE} keep" if keep else SCOPE
    info = await client.enqueue(Task("hold", payload.encode(), timeout=600), retention=3_600)
    await client.result(info, timeout=PATIENCE)
    return (await client.get_task(info.id)).result == b"true"


async def test_they_respect_ours(
    wire: Wire, client: Client, start_go_worker: StartGoWorker
) -> None:
    """A token that we hold, a Go handler does not get; what it gives back, we get."""
    worker = start_go_worker()
    async with RateSemaphore(wire.url, SCOPE, 1) as semaphore:
        assert await semaphore.try_acquire("ours", 4_000_000_000)
        assert not await hold(client)
        assert await semaphore.release("ours")
        assert await hold(client)
        assert await semaphore.try_acquire("ours", 4_000_000_000)
        assert await semaphore.release("ours")
        assert await hold(client, keep=True)
        assert not await semaphore.try_acquire("ours", 4_000_000_000)
    worker.stop()


async def test_we_respect_theirs(
    wire: Wire, client: Client, start_go_worker: StartGoWorker
) -> None:
    """A token that a Go handler holds, ours does not get, nor the other way round."""
    worker = start_go_worker()
    assert await hold(client, keep=True)
    worker.stop()
    async with serving(wire.url, router_for(wire.url)):
        assert not await hold(client)
        await wire.raw.execute_command("DEL", f"asynq:sema:{SCOPE}")
        assert await hold(client)
        assert await hold(client, keep=True)
    worker = start_go_worker()
    assert not await hold(client)
    worker.stop()
