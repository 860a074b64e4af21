"""Forward, recover, expire, trim, cancel; a server's state; a sign of life."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Final

from headrace._broker.attempts import extend_calls, trim_call
from headrace._broker.commands import Call, checked
from headrace._broker.faults import FOREIGN_ERRORS, broker_error
from headrace._broker.keys import CANCEL_CHANNEL, SERVERS, WORKERS
from headrace._broker.values import MAX_ITEMS, Forwarded, Recovered
from headrace._errors import BrokerError
from headrace._message import error_patch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    import redis
    from redis.asyncio.client import PubSub

    from headrace._broker.commands import Reply
    from headrace._broker.connections import Argument
    from headrace._broker.link import Link
    from headrace._broker.values import Lease

__all__ = ["Upkeep"]

_log = logging.getLogger("headrace.broker")

PUBSUB_PING_SECONDS: Final = 15.0


class Upkeep:
    """The scripts of the components that keep a queue in order."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def forward(self, queue: str) -> Forwarded:
        """Move up to 100 due tasks. See `UpkeepBroker.forward`."""
        keys = self._link.keys(queue)
        now, moved, dropped = await self._link.commands.one(
            Call(
                "forward",
                (keys.scheduled, keys.retry, keys.pending, keys.groups),
                (self._link.now(), MAX_ITEMS, keys.task_prefix, keys.group_prefix),
            )
        )
        _report_dropped("forwarding", queue, dropped)
        if moved:
            self._link.ring()
        return Forwarded(int(moved), float(now))

    async def recover(self, queue: str, *, max_crashes: int) -> Recovered:
        """Take up to 100 tasks from attempts whose lease has ended."""
        keys = self._link.keys(queue)
        patch = error_patch(
            error=f"its worker died {max_crashes} times while it ran this task",
            failed_at=self._link.clock.time(),
        )
        reply = await self._link.commands.one(
            Call(
                "recover",
                (
                    keys.lease,
                    keys.active,
                    keys.pending,
                    keys.archived,
                    keys.processed,
                    keys.failed,
                ),
                (self._link.now(), MAX_ITEMS, keys.task_prefix, max_crashes, patch),
            )
        )
        requeued, poisoned, dropped = (_texts(ids) for ids in reply)
        _report_dropped("recovering", queue, dropped)
        if requeued:
            self._link.ring()
        return Recovered(requeued, poisoned)

    async def expire_completed(self, queue: str, limit: int) -> int:
        """Delete up to *limit* completed tasks whose retention has ended."""
        keys = self._link.keys(queue)
        return _int(
            await self._link.commands.one(
                Call(
                    "expire_completed",
                    (keys.completed,),
                    (self._link.now(), min(limit, MAX_ITEMS), keys.task_prefix),
                )
            )
        )

    async def trim_archive(self, queue: str, limit: int) -> int:
        """Delete up to *limit* tasks beyond the archive's bounds."""
        call = trim_call(self._link, queue, min(limit, MAX_ITEMS))
        return _int(await self._link.commands.one(call))

    async def ping(self) -> None:
        """Ask Redis for a sign of life."""
        await self._link.commands.one(("PING",))

    # --- Cancellation ----------------------------------------------------------------------

    async def request_cancel(self, queue: str, task_id: str) -> bool:
        """Ask the worker that runs the task to cancel it; False if none runs it."""
        keys = self._link.keys(queue)
        # Kept in the hash, too: a message reaches only those who listen just now.
        [asked] = await self._link.commands.run(Call("request_cancel", (keys.task(task_id),), ()))
        # Even if it could not be: Go's workers know the message only.
        await self._link.commands.one(("PUBLISH", CANCEL_CHANNEL, task_id))
        return bool(checked(asked) == 1)

    async def cancellations(self) -> AsyncIterator[str]:
        """Yield the IDs of tasks to be cancelled. Ends with a BrokerError."""
        pubsub = self._link.connector.pubsub()
        try:
            await pubsub.subscribe(CANCEL_CHANNEL)
            while True:
                message = await _next_message(pubsub)
                if message is not None:
                    yield message.decode("utf-8", "replace")
        except FOREIGN_ERRORS as error:
            raise broker_error(error) from error
        finally:
            with contextlib.suppress(*FOREIGN_ERRORS):
                await pubsub.aclose()  # type: ignore[no-untyped-call]  # redis-py's.

    # --- A server's state ------------------------------------------------------------------

    async def write_server(
        self, server_key: str, info: bytes, workers: Mapping[str, bytes], ttl: float
    ) -> None:
        """Publish a server's state and its running tasks for *ttl* seconds."""
        workers_key = server_key.replace(SERVERS, WORKERS, 1)
        args: list[Argument] = [self._link.now(), max(1, round(ttl)), info]
        for task_id, worker in workers.items():
            args += (task_id, worker)
        reserved = self._link.reserved
        expiry = _int(await reserved.one(Call("write_server", (server_key, workers_key), args)))
        for reply in await reserved.run(
            ("ZADD", SERVERS, expiry, server_key), ("ZADD", WORKERS, expiry, workers_key)
        ):
            if isinstance(reply, BrokerError):
                raise reply

    async def clear_server(self, server_key: str) -> None:
        """Remove a server's state."""
        workers_key = server_key.replace(SERVERS, WORKERS, 1)
        await self._link.reserved.run(
            ("DEL", server_key),
            ("DEL", workers_key),
            ("ZREM", SERVERS, server_key),
            ("ZREM", WORKERS, workers_key),
        )

    def lease_guard(self) -> RedisLeaseGuard | None:
        """Return a guard; None where nothing outside this process could take a lease."""
        if self._link.connector.bell is not None:
            return None
        return RedisLeaseGuard(self._link)


class RedisLeaseGuard:
    """Extends leases from another thread, on a connection of its own."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._client: redis.Redis | redis.RedisCluster | None = None

    def extend(self, leases: Sequence[Lease], duration: float) -> None:
        """Extend *leases* to *duration* seconds from now. Called from another thread."""
        try:
            if self._client is None:
                self._client = self._link.connector.sync()
            assert self._client is not None  # noqa: S101 - lease_guard() sees to it
            for call, _ in extend_calls(self._link, leases, duration):
                # EVAL: it works whether or not Redis has the script.
                self._client.execute_command(*call.full_command())  # type: ignore[no-untyped-call]  # redis-py's.
        except FOREIGN_ERRORS as error:
            raise broker_error(error) from error

    def close(self) -> None:
        """Close its connection."""
        if self._client is not None:
            self._client.close()
            self._client = None


async def _next_message(pubsub: PubSub) -> bytes | None:
    """Return the next message; None for a sign of life.

    redis-py never notices that a connection is half open: a listener that hears nothing for
    a while asks, and takes no answer for an end.
    """
    message = await pubsub.get_message(timeout=PUBSUB_PING_SECONDS)
    if message is None:
        async with asyncio.timeout(PUBSUB_PING_SECONDS):
            await pubsub.ping()
            while message is None:
                message = await pubsub.get_message(timeout=PUBSUB_PING_SECONDS)
    return bytes(message["data"]) if message["type"] == "message" else None


def _int(reply: Reply) -> int:
    return int(reply)


def _texts(ids: Reply) -> list[str]:
    return [bytes(item).decode("utf-8", "replace") for item in ids]


def _report_dropped(doing: str, queue: str, dropped: Reply) -> None:
    if dropped:
        _log.error(
            "While %s, dropped IDs from queue %r because no task of that state is behind them: %r",
            doing,
            queue,
            dropped,
            extra={"queue": queue},
        )
