"""Senders: how commands get to Redis and replies come back.

redis-py's pipelines cost some 200 us of CPU for each round trip, mostly in its pool and in
one timer for each write and each reply. Here a round trip has one timer, and costs some 40.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast

import hiredis
from redis.exceptions import RedisError, ResponseError, SlotNotCoveredError
from redis.exceptions import TimeoutError as RedisTimeoutError

from headrace._broker.faults import FOREIGN_ERRORS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from redis.asyncio import RedisCluster
    from redis.asyncio.cluster import ClusterNode
    from redis.asyncio.connection import AbstractConnection

__all__ = ["Argument", "ClusterSender", "Connections", "Sender"]

Argument: TypeAlias = str | bytes | int | float


class Sender(Protocol):
    """Sends commands in one round trip."""

    async def send(self, commands: Sequence[tuple[Argument, ...]]) -> list[object]:
        """Return the reply to each command, or the ResponseError that it is.

        Raises:
            RedisError: If no answer came.
            OSError: Likewise.
        """
        ...

    async def nodes(self, key: str | None = None) -> Sequence[Sender]:
        """Return senders to single servers: to all that hold keys, or to that which holds *key*.

        Raises:
            RedisError: If no answer came.
            OSError: Likewise.
        """
        ...

    async def close(self) -> None:
        """Close the connections. A later call opens new ones."""
        ...


class Connections:
    """A bounded set of connections to one server. Who finds them all taken waits.

    Args:
        make: Makes a connection, without a time limit of its own for commands.
        size: How many there may be.
        timeout: Seconds that a round trip may take.
    """

    def __init__(
        self, make: Callable[[], AbstractConnection], *, size: int, timeout: float
    ) -> None:
        self._make = make
        self._timeout = timeout
        self._free: list[AbstractConnection] = []
        self._slots = asyncio.Semaphore(size)

    async def send(self, commands: Sequence[tuple[Argument, ...]]) -> list[object]:
        """Send commands in one round trip. See `Sender.send`."""
        async with self._slots:
            connection = self._free.pop() if self._free else self._make()
            try:
                await self._connect(connection)
                return await self._exchange(connection, commands)
            finally:
                self._free.append(connection)

    async def _connect(self, connection: AbstractConnection) -> None:
        """Connect, unless it is connected and still of use."""
        if connection.is_connected and await _is_stale(connection):
            await connection.disconnect(nowait=True)
        if connection.is_connected:
            return
        # redis-py limits the time to connect, but not that of the greetings which follow.
        limit = self._timeout + (getattr(connection, "socket_connect_timeout", None) or 0.0)
        try:
            async with asyncio.timeout(limit):
                await connection.connect()  # type: ignore[no-untyped-call]  # redis-py's.
        except TimeoutError as error:
            await connection.disconnect(nowait=True)
            raise RedisTimeoutError(f"no answer within {limit:g} s") from error

    async def _exchange(
        self, connection: AbstractConnection, commands: Sequence[tuple[Argument, ...]]
    ) -> list[object]:
        packed = b"".join([_pack(command) for command in commands])
        replies: list[object] = []
        try:
            async with asyncio.timeout(self._timeout):
                await connection.send_packed_command(packed, check_health=False)
                while len(replies) < len(commands):
                    try:
                        replies.append(await connection.read_response())
                    except ResponseError as error:
                        replies.append(error)
        except TimeoutError as error:
            await connection.disconnect(nowait=True)
            raise RedisTimeoutError(f"no answer within {self._timeout:g} s") from error
        except BaseException:
            # Replies may still be on their way: nobody must read them as their own.
            await connection.disconnect(nowait=True)
            raise
        return replies

    async def nodes(self, key: str | None = None) -> Sequence[Sender]:  # noqa: ARG002 - one has all
        """Return itself. See `Sender.nodes`."""
        return [self]

    async def close(self) -> None:
        """Close the connections. A later call opens new ones."""
        free, self._free = self._free, []
        for connection in free:
            await connection.disconnect()


def _pack(command: tuple[Argument, ...]) -> bytes:
    try:
        packed: bytes = hiredis.pack_command(command)  # type: ignore[arg-type]  # Its stub takes a tuple of one.
    except UnicodeEncodeError:  # A name that came from Redis, where it may be any bytes.
        return _pack(tuple(_raw(item) for item in command))
    return packed


def _raw(item: Argument) -> Argument:
    return item.encode("utf-8", "surrogateescape") if isinstance(item, str) else item


async def _is_stale(connection: AbstractConnection) -> bool:
    """Whether the server closed it, or left something unread in it."""
    try:
        return bool(await connection.can_read())
    except (OSError, RedisError):
        return True


class ClusterSender:
    """Sends each command to the node that has its keys."""

    def __init__(self, client: RedisCluster) -> None:
        self._client = client

    async def send(self, commands: Sequence[tuple[Argument, ...]]) -> list[object]:
        """Send commands, at the same time to all nodes. See `Sender.send`.

        While one node does not answer, the others' replies must not be lost, for their commands
        were applied: then the error stands in the place of each reply that is missing. It is
        raised only if no node answered.
        """
        by_key: defaultdict[Argument, list[int]] = defaultdict(list)
        for index, command in enumerate(commands):
            by_key[_slot_of(command)].append(index)
        answers = await asyncio.gather(
            *(self._send([commands[index] for index in some]) for some in by_key.values()),
            return_exceptions=True,
        )
        replies: list[object] = [None] * len(commands)
        errors: list[BaseException] = []
        for some, answer in zip(by_key.values(), answers, strict=True):
            if isinstance(answer, BaseException):
                errors.append(answer)
            each = [answer] * len(some) if isinstance(answer, BaseException) else answer
            for index, reply in zip(some, each, strict=True):
                replies[index] = reply
        for error in errors:
            if len(errors) == len(answers) or not isinstance(error, FOREIGN_ERRORS):
                raise error
        return replies

    async def _send(self, commands: Sequence[tuple[Argument, ...]]) -> list[object]:
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        return cast("list[object]", await pipeline.execute(raise_on_error=False))

    async def nodes(self, key: str | None = None) -> Sequence[Sender]:
        """Return senders to primaries. See `Sender.nodes`."""
        await self._client.initialize()
        if key is None:
            return [NodeSender(node) for node in self._client.get_primaries()]
        node = self._client.get_node_from_key(key)
        if node is None:
            raise SlotNotCoveredError(f"no node has the slot of {key}")
        return [NodeSender(node)]

    async def close(self) -> None:
        """Close the connections. A later call opens new ones."""
        await self._client.aclose()


class NodeSender:
    """Sends commands to one node of a cluster, over connections of a `ClusterSender`."""

    def __init__(self, node: ClusterNode) -> None:
        self._node = node

    async def send(self, commands: Sequence[tuple[Argument, ...]]) -> list[object]:
        """Send commands one after another. See `Sender.send`."""
        replies: list[object] = []
        for command in commands:
            try:
                replies.append(await self._node.execute_command(*command))
            except ResponseError as error:
                replies.append(error)
        return replies

    async def nodes(self, key: str | None = None) -> Sequence[Sender]:  # noqa: ARG002 - it is one
        """Return itself. See `Sender.nodes`."""
        return [self]

    async def close(self) -> None:
        """Do nothing: the connections are another's."""


def _slot_of(command: tuple[Argument, ...]) -> Argument:
    """Return what decides on the node of a command: its first key; "" where any will do."""
    name, *arguments = command
    if name in {"EVAL", "EVALSHA"}:
        return arguments[2]
    return "" if name in {"INFO", "PING", "PUBLISH", "TIME"} else arguments[0]
