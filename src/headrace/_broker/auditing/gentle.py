"""The audit that a server makes of its own queues, in small steps."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from headrace._broker.auditing.full import containers_of
from headrace._broker.auditing.names import KeyName, parse
from headrace._broker.auditing.queue import Crashes, QueueAudit
from headrace._broker.commands import Call
from headrace._broker.keys import QUEUES
from headrace._broker.link import batches
from headrace._broker.values import MAX_ITEMS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from headrace._audit import Finding
    from headrace._broker.link import Link

__all__ = ["claim", "reconcile"]

_PAGE: Final = 500
_CURSOR_SECONDS: Final = 86_400
_GLOB: Final = re.compile(r"([*?\[\]\\^-])")


async def claim(link: Link, queue: str, seconds: float) -> bool:
    """Return whether this caller is to reconcile *queue*; for *seconds*, no other is."""
    keys = link.keys(queue)
    containers = (keys.pending, keys.active, keys.scheduled, keys.retry, keys.archived)
    more = (keys.lease, keys.completed, keys.groups, keys.aggregation_sets)
    known, exists = await link.commands.run(
        ("SISMEMBER", QUEUES, queue), ("EXISTS", *containers, *more)
    )
    if known != 1:
        if not isinstance(exists, int) or not exists:
            return False  # There is nothing of it yet.
        await link.commands.one(("SADD", QUEUES, queue))
    lock = f"{keys.own_prefix}reconcile"
    return bool(await link.commands.one(("SET", lock, "1", "NX", "EX", max(1, int(seconds)))))


async def reconcile(link: Link, queue: str, crashes: Crashes) -> AsyncIterator[list[Finding]]:
    """Put right what is wrong in *queue*; yield after every step of a few calls.

    Where a pass is left unfinished, the next one goes on with the keys that follow.
    """
    audit = QueueAudit(link, queue, repair=True, crashes=crashes)
    async for found in _keys(link, queue, audit):
        yield found
    yield await _registered(link, queue, audit)
    for key, state in await _filled(link, queue, audit):
        offset, size = 0, MAX_ITEMS
        while size == MAX_ITEMS:
            ids, found = await audit.walk(key, state, offset)
            size = len(ids)
            offset += max(0, size - len(found))  # What was taken out, others have moved up to.
            yield found
    if audit.unsure and not audit.has_long_list:
        yield await audit.suspects(sorted(audit.unsure)[:MAX_ITEMS])


async def _keys(link: Link, queue: str, audit: QueueAudit) -> AsyncIterator[list[Finding]]:
    bookmark = f"{link.keys(queue).own_prefix}reconcile:cursor"
    cursor = await link.commands.one(("GET", bookmark)) or b"0"
    if not bytes(cursor).isdigit():
        cursor = b"0"
    escaped = _GLOB.sub(r"\\\1", queue)
    pattern = f"*:{{{escaped}}}:*"
    [node] = await link.commands.nodes(bookmark)  # All keys of a queue lie on one.
    while True:
        cursor, page = await node.one(("SCAN", cursor, "MATCH", pattern, "COUNT", _PAGE))
        found = (parse(bytes(key).decode("utf-8", "surrogateescape")) for key in page)
        names = [name for name in found if name is not None and name.queue == queue]
        for some in batches(names) if names else [[]]:
            yield await _look_at(audit, some)
        if int(cursor) == 0:
            await link.commands.one(("DEL", bookmark))
            return
        await link.commands.one(("SET", bookmark, cursor, "EX", _CURSOR_SECONDS))


async def _look_at(audit: QueueAudit, names: list[KeyName]) -> list[Finding]:
    others = [name for name in names if name.kind != "task"]
    found = await audit.keys(others) if others else []
    return found + await audit.tasks([name.rest for name in names if name.kind == "task"])


async def _filled(link: Link, queue: str, audit: QueueAudit) -> list[tuple[str, str]]:
    """Return the containers that hold something: to walk through the others is not worth it."""
    containers, filled = await containers_of(link, queue, audit.loose), []
    for some in batches(containers):
        reply = await link.commands.one(Call("audit_keys", [key for key, _ in some], ()))
        kinds = [bytes(kind) for kind in reply[::2]]
        filled += [item for item, kind in zip(some, kinds, strict=True) if kind != b"none"]
    return filled


async def _registered(link: Link, queue: str, audit: QueueAudit) -> list[Finding]:
    sets = link.keys(queue).aggregation_sets
    [found] = await link.commands.run(("ZRANGE", sets, 0, MAX_ITEMS - 1))
    names = found if isinstance(found, list) else []
    return await audit.groups([bytes(key).decode("utf-8", "surrogateescape") for key in names])
