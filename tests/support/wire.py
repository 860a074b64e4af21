"""What lies in Redis, read and written without Headrace: as another program would."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast

import fakeredis
import redis.asyncio

from headrace._broker.keys import QUEUES, QueueKeys
from headrace._broker.memory import connection_to
from headrace._proto import asynq_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "ABSENT",
    "Content",
    "Key",
    "RawClient",
    "dump",
    "encode",
    "field",
    "members",
    "message_of",
    "plant",
    "plant_dead",
    "raw_client",
    "read_keys",
    "redis_time",
    "take_as_go",
]

Argument: TypeAlias = str | bytes | int | float
Content: TypeAlias = (
    bytes | tuple[bytes, ...] | frozenset[bytes] | dict[bytes, bytes] | dict[bytes, float]
)
ABSENT = "none"


class RawPipeline(Protocol):
    """The part of redis-py's pipelines that is used here."""

    def execute_command(self, *args: Argument) -> object:
        """Add a command."""
        ...

    async def execute(self) -> list[object]:
        """Send them."""
        ...


class RawClient(Protocol):
    """The part of redis-py's clients that is used here; decode_responses must be off."""

    async def execute_command(self, *args: Argument) -> object:
        """Send one command, and return its reply."""
        ...

    def pipeline(self, *, transaction: bool) -> RawPipeline:
        """Return a way to send many."""
        ...

    async def aclose(self) -> None:
        """Close its connections."""
        ...


def raw_client(url: str) -> RawClient:
    """Return a plain client of the Redis at *url*, which may be a ``memory://`` one."""
    scheme, _, name = url.partition("://")
    if scheme == "memory":
        _, kwargs = connection_to(name)
        client: object = fakeredis.FakeAsyncRedis(
            server=cast("fakeredis.FakeServer", kwargs["server"])
        )
    else:
        client = redis.asyncio.Redis.from_url(url, protocol=2)
    return cast("RawClient", client)


# --- Read ----------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class Key:
    """One key: its type, what it holds, and whether it goes away by itself."""

    type: str
    content: Content
    expires: bool


_READERS = {
    "string": ("GET",),
    "list": ("LRANGE", 0, -1),
    "zset": ("ZRANGE", 0, -1, "WITHSCORES"),
    "set": ("SMEMBERS",),
    "hash": ("HGETALL",),
}


async def read_keys(client: RawClient) -> dict[str, Key]:
    """Return every key with what it holds. Bytes that are not UTF-8 become surrogates in names."""
    names = cast("list[bytes]", await client.execute_command("KEYS", "*"))
    pipeline = client.pipeline(transaction=False)
    for name in names:
        pipeline.execute_command("TYPE", name)
        pipeline.execute_command("PTTL", name)
    answers = await pipeline.execute() if names else []
    types = [cast("bytes", answer).decode() for answer in answers[::2]]
    readable = [(name, kind) for name, kind in zip(names, types, strict=True) if kind != ABSENT]
    pipeline = client.pipeline(transaction=False)
    for name, kind in readable:
        command, *rest = _READERS[kind]
        pipeline.execute_command(cast("str", command), name, *cast("list[Argument]", rest))
    contents = await pipeline.execute() if readable else []
    expiring = {
        name for name, ttl in zip(names, answers[1::2], strict=True) if cast("int", ttl) >= 0
    }
    return {
        _text(name): Key(kind, _content(kind, raw), name in expiring)
        for (name, kind), raw in zip(readable, contents, strict=True)
    }


async def dump(client: RawClient) -> dict[str, Key]:
    """Return everything but the names of the queues.

    A queue's name is written before its first task, in a step of its own: on a cluster the two
    have different homes. So it may stand there although the task was refused.
    """
    keys = await read_keys(client)
    keys.pop(QUEUES, None)
    return keys


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _content(kind: str, raw: object) -> Content:
    if kind == "string":
        return bytes(cast("bytes", raw))
    if kind == "list":
        return tuple(cast("list[bytes]", raw))
    if kind == "set":
        return frozenset(cast("Iterable[bytes]", raw))
    if kind == "hash":
        return dict(cast("dict[bytes, bytes]", raw))
    flat: list[bytes | float] = []  # Some clients pair members and scores, others do not.
    for item in cast("list[bytes | list[bytes | float]]", raw):
        flat += item if isinstance(item, (list, tuple)) else [item]
    return {bytes(cast("bytes", m)): float(s) for m, s in zip(flat[::2], flat[1::2], strict=True)}


async def redis_time(client: RawClient) -> float:
    """Return Redis's own Unix time."""
    seconds, microseconds = cast("tuple[int, int]", await client.execute_command("TIME"))
    return int(seconds) + int(microseconds) / 1e6


async def field(client: RawClient, queue: str, task_id: str, name: str) -> str | None:
    """Return a field of a task's hash as text; None if it is missing."""
    value = await client.execute_command("HGET", QueueKeys(queue).task(task_id), name)
    return None if value is None else cast("bytes", value).decode("utf-8", "surrogateescape")


async def members(client: RawClient, key: str) -> list[str]:
    """Return the IDs in a list, a set or a sorted set, in its order; [] if it is missing."""
    kind = cast("bytes", await client.execute_command("TYPE", key)).decode()
    if kind == ABSENT:
        return []
    command = {"list": "LRANGE", "zset": "ZRANGE", "set": "SMEMBERS"}[kind]
    rest = () if kind == "set" else (0, -1)
    found = [
        _text(item)
        for item in cast("Iterable[bytes]", await client.execute_command(command, key, *rest))
    ]
    return sorted(found) if kind == "set" else found


async def message_of(client: RawClient, queue: str, task_id: str) -> pb.TaskMessage:
    """Return the message of a task as it is in Redis."""
    data = await client.execute_command("HGET", QueueKeys(queue).task(task_id), "msg")
    return pb.TaskMessage.FromString(cast("bytes", data))


# --- Write ---------------------------------------------------------------------------------


def encode(task_id: str, queue: str = "q", **fields: object) -> bytes:
    """Return a message as a Go client writes it."""
    given = {"type": "t", "retry": 25, "timeout": 1800, **fields}
    wire = pb.TaskMessage(id=task_id, queue=queue, **given)  # type: ignore[arg-type]  # The caller names fields.
    return wire.SerializeToString()


async def plant(
    client: RawClient,
    queue: str,
    task_id: str | bytes,
    state: str = "pending",
    *,
    data: bytes | None = None,
    score: float = 0,
    fields: Mapping[str, str | int] | None = None,
    group: str = "",
) -> None:
    """Write a task in any state, as a Go program would.

    Args:
        client: Where to.
        queue: Its queue.
        task_id: Its ID; bytes where it is not UTF-8.
        state: Also says into which container it goes.
        data: Its message; None: a plain one.
        score: In the containers that have one.
        fields: More fields of its hash.
        group: Its group, if it is aggregating.
    """
    raw_id = task_id if isinstance(task_id, bytes) else task_id.encode()
    keys = QueueKeys(queue)
    if data is None:
        data = encode(raw_id.decode(), queue, group_key=group)
    more: list[Argument] = [part for item in (fields or {}).items() for part in item]
    if state == "pending":
        more += ["pending_since", 1_700_000_000_000_000_000]
    if group:
        more += ["group", group]
    task_key = keys.task_prefix.encode() + raw_id
    await client.execute_command("SADD", QUEUES, queue)
    await client.execute_command("HSET", task_key, "msg", data, "state", state, *more)
    await _add_to_containers(client, keys, raw_id, state, score=score, group=group)


async def _add_to_containers(
    client: RawClient, keys: QueueKeys, raw_id: bytes, state: str, *, score: float, group: str
) -> None:
    """Write a task's ID into the containers of its state."""
    if state in {"pending", "active"}:
        await client.execute_command("LPUSH", keys.prefix + state, raw_id)
    elif state == "aggregating":
        await client.execute_command("ZADD", keys.group(group), score, raw_id)
        await client.execute_command("SADD", keys.groups, group)
    else:
        await client.execute_command("ZADD", keys.prefix + state, score, raw_id)
    if state == "active":
        await client.execute_command("ZADD", keys.lease, score, raw_id)


async def take_as_go(client: RawClient, queue: str, task_id: str, lease_until: int) -> None:
    """Have a Go server dequeue a task that is pending or in retry."""
    keys = QueueKeys(queue)
    await client.execute_command("LREM", keys.pending, 0, task_id)
    await client.execute_command("ZREM", keys.retry, task_id)
    await client.execute_command("LPUSH", keys.active, task_id)
    await client.execute_command("HSET", keys.task(task_id), "state", "active")
    await client.execute_command("HDEL", keys.task(task_id), "pending_since")
    await client.execute_command("ZADD", keys.lease, lease_until, task_id)


async def plant_dead(
    client: RawClient, queue: str, count: int, *, died_at: Sequence[int] | int
) -> None:
    """Write archived tasks ``dead-0``, ``dead-1``, … in few round trips."""
    keys = QueueKeys(queue)
    pipeline = client.pipeline(transaction=False)
    pipeline.execute_command("SADD", QUEUES, queue)
    for n in range(count):
        task_id = f"dead-{n}"
        score = died_at if isinstance(died_at, int) else died_at[n]
        pipeline.execute_command(
            "HSET", keys.task(task_id), "msg", encode(task_id, queue), "state", "archived"
        )
        pipeline.execute_command("ZADD", keys.archived, score, task_id)
    await pipeline.execute()
