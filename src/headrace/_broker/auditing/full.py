"""Audits all queues, or some, from one end to the other."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

import anyio

from headrace._audit import AuditProgress, Finding
from headrace._broker.attempts import ARCHIVE_SECONDS, ARCHIVE_SIZE, trim_call
from headrace._broker.auditing.names import KeyName, parse
from headrace._broker.auditing.queue import CONTAINERS, LISTS, SEARCHED, Crashes, QueueAudit
from headrace._broker.commands import Call, checked
from headrace._broker.keys import QUEUES
from headrace._broker.link import batches
from headrace._broker.values import MAX_ITEMS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Sequence

    from headrace._broker.commands import Commands
    from headrace._broker.link import Link

__all__ = ["FullAudit", "containers_of"]

_PAGE: Final = 500
_MOST_UNSURE: Final = 100_000
_WITNESSES: Final = 50
"""How many keys are remembered that show that a queue exists; a repair may delete some."""


async def containers_of(link: Link, queue: str, loose: Collection[str]) -> list[tuple[str, str]]:
    """Return the keys that may hold tasks of a queue, each with the state of its tasks."""
    keys = link.keys(queue)
    groups, sets = await link.commands.run(
        ("SMEMBERS", keys.groups), ("ZRANGE", keys.aggregation_sets, 0, -1)
    )
    # One that has a foreign type is reported elsewhere, and holds none.
    names = groups if isinstance(groups, list) else []
    collections = {keys.group(_text(name)) for name in names} | set(loose)
    collections |= {_text(key) for key in (sets if isinstance(sets, list) else [])}
    fixed = [(keys.prefix + name, "active" if name == "lease" else name) for name in CONTAINERS]
    return fixed + [(key, "aggregating") for key in sorted(collections)]


class FullAudit:
    """One audit.

    Args:
        link: To Redis.
        queues: Names of the queues to look at; None: all.
        repair: Whether to put right what is found.
        settle: Seconds after which what a janitor should have deleted is looked at again.
        progress: Told how far it is, now and then.
    """

    def __init__(
        self,
        link: Link,
        *,
        queues: Collection[str] | None,
        repair: bool,
        settle: float,
        progress: Callable[[AuditProgress], None] | None,
    ) -> None:
        self._link = link
        self._queues = queues
        self._repair = repair
        self._settle = settle
        self._progress = progress
        self._audits: dict[str, QueueAudit] = {}
        self._witnesses: defaultdict[str, list[str]] = defaultdict(list)
        self._done = self._total = 0

    async def run(self) -> AsyncIterator[Finding]:
        """Yield what is wrong, each thing once."""
        seen: set[Finding] = set()
        async for some in self._batches():
            for finding in some:
                if finding not in seen:
                    seen.add(finding)
                    yield finding

    async def _batches(self) -> AsyncIterator[list[Finding]]:
        nodes = await self._link.commands.nodes()
        self._total = sum([int(await node.one(("DBSIZE",))) for node in nodes])
        for node in nodes:
            async for names in self._scan(node):
                for queue, some in self._by_queue(names).items():
                    yield await self._look_at(queue, some)
                    if len(self._audit_of(queue).unsure) > _MOST_UNSURE:
                        yield await self._resolve(queue)
        for queue in await self._known_queues():
            async for found in self._walk_all(queue):
                yield found
            yield await self._resolve(queue)
        yield await self._unknown_queues()
        yield await self._leftovers()

    # --- Keys ------------------------------------------------------------------------------

    async def _scan(self, node: Commands) -> AsyncIterator[list[KeyName]]:
        cursor = b"0"
        while True:
            cursor, page = await node.one(("SCAN", cursor, "MATCH", "[ah]*", "COUNT", _PAGE))
            yield [name for name in (parse(_text(key)) for key in page) if name is not None]
            self._advance(len(page))
            if int(cursor) == 0:
                return

    def _by_queue(self, names: Sequence[KeyName]) -> dict[str, list[KeyName]]:
        found: defaultdict[str, list[KeyName]] = defaultdict(list)
        for name in names:
            if self._queues is None or name.queue in self._queues:
                found[name.queue].append(name)
        return found

    def _audit_of(self, queue: str) -> QueueAudit:
        if queue not in self._audits:
            self._audits[queue] = QueueAudit(
                self._link, queue, repair=self._repair, crashes=Crashes()
            )
        return self._audits[queue]

    async def _look_at(self, queue: str, names: Sequence[KeyName]) -> list[Finding]:
        audit = self._audit_of(queue)
        for name in names:
            some = self._witnesses[queue] if queue and name.is_of_asynq else None
            if some is not None and (name.kind == "fixed" or len(some) < _WITNESSES):
                some.append(name.key)
        # Groups come first: a task is where it should be only if its group is known.
        found = await audit.keys([name for name in names if name.kind != "task"])
        return found + await audit.tasks([name.rest for name in names if name.kind == "task"])

    def _advance(self, number: int) -> None:
        self._done += number
        if self._progress is not None:
            self._total = max(self._total, self._done)
            self._progress(AuditProgress(done=self._done, total=self._total))

    # --- Containers ------------------------------------------------------------------------

    async def _known_queues(self) -> list[str]:
        [names] = await self._link.commands.run(("SMEMBERS", QUEUES))
        known = {_text(name) for name in names} if isinstance(names, list) else set()
        known |= self._witnesses.keys()
        return sorted(known if self._queues is None else known.intersection(self._queues))

    async def _walk_all(self, queue: str) -> AsyncIterator[list[Finding]]:
        audit, keys = self._audit_of(queue), self._link.keys(queue)
        for key, state in await containers_of(self._link, queue, audit.loose):
            is_list = key in {keys.pending, keys.active}
            seen: set[int] = set()
            offset, size = 0, MAX_ITEMS
            while size:
                ids, found = await audit.walk(key, state, offset)
                size = len(ids)
                # From the right, what is pushed or taken meanwhile shows no entry twice.
                twins = [task_id for task_id in ids if is_list and hash(task_id) in seen]
                seen.update(hash(task_id) for task_id in ids if is_list)
                if twins and audit.has_long_list:
                    found += await audit.suspects(twins)
                # What was taken out, others have moved up to.
                offset += max(0, size - sum(finding.repaired for finding in found))
                yield found
                self._advance(0)
        registered = await self._link.commands.run(("ZRANGE", keys.aggregation_sets, 0, -1))
        if isinstance(registered[0], list):
            for some in batches([_text(key) for key in registered[0]]):
                yield await audit.groups(some)

    async def _resolve(self, queue: str) -> list[Finding]:
        """Look again at the tasks of which nothing could be said."""
        audit, keys = self._audit_of(queue), self._link.keys(queue)
        found: list[Finding] = []
        if len(audit.unsure) > SEARCHED:
            for name in LISTS:
                offset, size = 0, MAX_ITEMS
                while size and audit.unsure:
                    # From the left, what is taken meanwhile hides no entry.
                    ids, wrong = await audit.walk(keys.prefix + name, name, offset, end="left")
                    size = len(ids)
                    offset += size
                    found += wrong
        unsure, audit.unsure = audit.unsure, set()
        return found + await audit.suspects(sorted(unsure))

    # --- What takes its time ---------------------------------------------------------------

    async def _unknown_queues(self) -> list[Finding]:
        """Find queues that asynq:queues does not name."""
        suspects = await self._missing(self._witnesses)
        if suspects and not self._repair:
            await anyio.sleep(min(1.0, self._settle))  # A queue may just be deleted.
            suspects = await self._missing(suspects)
        found = []
        for queue in suspects:
            if self._repair:
                await self._link.commands.one(("SADD", QUEUES, queue))
            problem = f"has keys, but {QUEUES} does not name it"
            found.append(self._audit_of(queue).finding(22, queue, problem, "put there"))
        return found

    async def _missing(self, queues: Collection[str]) -> list[str]:
        missing = []
        for queue in queues:
            exists, known = map(
                checked,
                await self._link.commands.run(
                    ("EXISTS", *self._witnesses[queue]), ("SISMEMBER", QUEUES, queue)
                ),
            )
            if exists and known == 0:
                missing.append(queue)
        return missing

    async def _leftovers(self) -> list[Finding]:
        """Find what a janitor should have deleted, but has had the time to."""
        seconds, _ = await self._link.commands.one(("TIME",))
        now = int(float(self._link.now() or seconds))
        queues = await self._known_queues()
        late = [queue for queue in queues if any(await self._overdue(queue, now))]
        if late:
            await anyio.sleep(self._settle)
        found: list[Finding] = []
        for queue in late:
            completed, archived = await self._overdue(queue, now)
            audit, keys = self._audit_of(queue), self._link.keys(queue)
            if completed:
                problem = f"holds {completed} tasks that were to be kept no longer"
                found.append(audit.finding(17, keys.completed, problem, "deleted"))
            if archived:
                problem = f"holds {archived} tasks too many or too old"
                found.append(audit.finding(16, keys.archived, problem, "deleted"))
            if self._repair:
                await self._clean(queue)
        return found

    async def _overdue(self, queue: str, now: int) -> tuple[int, int]:
        keys = self._link.keys(queue)
        completed, size, old = (
            reply if isinstance(reply, int) else 0
            for reply in await self._link.commands.run(
                ("ZCOUNT", keys.completed, "-inf", now),
                ("ZCARD", keys.archived),
                ("ZCOUNT", keys.archived, "-inf", now - ARCHIVE_SECONDS),
            )
        )
        return completed, max(size - ARCHIVE_SIZE, old)

    async def _clean(self, queue: str) -> None:
        keys = self._link.keys(queue)
        args = (self._link.now(), MAX_ITEMS, keys.task_prefix)
        for call in (
            Call("expire_completed", (keys.completed,), args),
            trim_call(self._link, queue, MAX_ITEMS),
        ):
            while checked(await self._link.commands.one(call)) >= MAX_ITEMS:
                pass


def _text(raw: bytes) -> str:
    return bytes(raw).decode("utf-8", "surrogateescape")
