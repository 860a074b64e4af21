"""Audits one queue: the calls of the scripts, each of them bounded."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

from headrace._audit import Finding
from headrace._broker.auditing.messages import Verdict, judge
from headrace._broker.commands import Call
from headrace._broker.link import batches
from headrace._broker.values import MAX_ITEMS
from headrace._message import error_patch

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from headrace._broker.auditing.names import KeyName
    from headrace._broker.commands import Reply
    from headrace._broker.connections import Argument
    from headrace._broker.link import Link

__all__ = ["CONTAINERS", "LISTS", "Crashes", "QueueAudit"]

SEARCHED: Final = 1_000
"""Length up to which lists are searched for each task."""
_COMPARISONS: Final = 1_000_000
"""How many entries one script call compares at the most, where lists are long: some 10 ms."""
_READ_BYTES: Final = 1_000_000
_LOCK_SECONDS: Final = 86_400
_DAY_SECONDS: Final = 90 * 86_400
LISTS: Final = ("pending", "active")
CONTAINERS: Final = (*LISTS, "lease", "scheduled", "retry", "archived", "completed")


@dataclasses.dataclass(frozen=True, slots=True)
class Crashes:
    """What a repair does with tasks whose worker is gone."""

    limit: int = 3
    """Crashes at which a task is archived; 0: never."""
    lease: float = 15.0
    """Seconds of the lease that a task gets which is active without one."""


class QueueAudit:
    """Looks at the parts of one queue, and puts right what it finds if *repair* says so.

    Attributes:
        unsure: IDs of which nothing can be said before all containers have been looked at.
        loose: Groups and aggregation sets that nobody knows of.
    """

    def __init__(self, link: Link, queue: str, *, repair: bool, crashes: Crashes) -> None:
        self._link = link
        self._keys = link.keys(queue)
        self._queue = queue
        self._repair = repair
        self._crashes = crashes
        self.unsure: set[str] = set()
        self.loose: set[str] = set()
        self.has_long_list = False

    def finding(self, invariant: int, subject: str, problem: str, repair: str = "") -> Finding:
        """Return a finding in this queue."""
        return Finding(
            invariant=invariant,
            queue=self._queue,
            subject=subject,
            problem=problem,
            repair=repair,
            repaired=self._repair and bool(repair),
        )

    def _findings(self, reply: Reply) -> list[Finding]:
        rows = zip(reply[::4], reply[1::4], reply[2::4], reply[3::4], strict=True)
        return [
            self.finding(int(number), _text(subject), _text(problem), _text(repair))
            for subject, number, problem, repair in rows
        ]

    # --- Tasks -----------------------------------------------------------------------------

    async def tasks(self, ids: Sequence[str]) -> list[Finding]:
        """Look at tasks. What cannot be said of them yet goes to `unsure`."""
        found: list[Finding] = []
        for some in batches(ids):
            verdicts, wrong = await self._read(some)
            found += wrong
            found += await self._examine(verdicts, "", limit=SEARCHED)
            # As long as it does not search long lists, the script says nothing of these.
            bad = [task_id for task_id, verdict in verdicts.items() if verdict.reason]
            if bad and self.has_long_list:
                self.unsure.difference_update(bad)
                found += await self.suspects(bad)
        return found

    async def suspects(self, ids: Iterable[str], where: str = "") -> list[Finding]:
        """Look at tasks, whatever it takes. *where*: a group's key, if they were seen there."""
        waiting, found = list(ids), list[Finding]()
        while waiting:
            length = 0
            if self.has_long_list:
                sizes = await self._link.commands.run(
                    ("LLEN", self._keys.pending), ("LLEN", self._keys.active)
                )
                length = sum(size for size in sizes if isinstance(size, int))
            size = max(1, min(MAX_ITEMS, _COMPARISONS // (length + 1)))
            some, waiting = waiting[:size], waiting[size:]
            verdicts, wrong = await self._read(some)
            found += wrong
            found += await self._examine(verdicts, where, limit=None)
        return found

    async def _read(self, ids: Sequence[str]) -> tuple[dict[str, Verdict], list[Finding]]:
        verdicts: dict[str, Verdict] = {}
        wrong: list[Finding] = []
        start = 0
        while start < len(ids):
            args: list[Argument] = [self._keys.task_prefix, _READ_BYTES, *ids[start:]]
            reply = await self._link.commands.one(Call("audit_read", (self._keys.pending,), args))
            count = len(reply) // 3
            for task_id, kind, data in zip(
                ids[start : start + count], reply[::3], reply[1::3], strict=True
            ):
                name = _text(kind)
                if name in {"hash", "none"}:
                    gone = name == "none"
                    verdicts[task_id] = (
                        Verdict() if gone else judge(self._queue, task_id, bytes(data))
                    )
                else:
                    wrong.append(self._wrong_type(self._keys.task(task_id), name, "hash"))
            start += count
        return verdicts, wrong

    async def _examine(
        self, verdicts: dict[str, Verdict], where: str, *, limit: int | None
    ) -> list[Finding]:
        if not verdicts:
            return []
        keys = self._keys
        patch = error_patch(
            error="its worker died too often while it ran this task",
            failed_at=self._link.clock.time(),
        )
        args: list[Argument] = [
            self._link.now(),
            int(self._repair),
            keys.task_prefix,
            keys.group_prefix,
            "" if limit is None else limit,
            repr(self._crashes.lease),
            self._crashes.limit,
            patch,
        ]
        for task_id, seen in verdicts.items():
            args += (task_id, seen.bad, seen.reason, seen.replacement, seen.kept_until, where)
        containers = (keys.pending, keys.active, keys.lease, keys.scheduled, keys.retry)
        more = (keys.archived, keys.completed, keys.groups, keys.aggregation_sets)
        reply, unsure, is_long = await self._link.commands.one(
            Call("audit_tasks", (*containers, *more, keys.processed, keys.failed), args)
        )
        self.has_long_list = self.has_long_list or bool(is_long)
        self.unsure.update(_text(task_id) for task_id in unsure)
        if self._repair and reply:
            self._link.ring()
        return self._findings(reply)

    # --- Containers ------------------------------------------------------------------------

    async def walk(
        self, container: str, state: str, offset: int, *, end: str = "right"
    ) -> tuple[list[str], list[Finding]]:
        """Look at up to 100 entries of a container; return their IDs and what is wrong."""
        page, odd = await self._link.commands.one(
            Call(
                "audit_walk",
                (container, self._keys.lease),
                (offset, end, self._keys.task_prefix, state),
            )
        )
        ids, strange = [_text(item) for item in page], [_text(item) for item in odd]
        self.unsure.difference_update(set(ids).difference(strange))
        where = container if container.startswith(self._keys.group_prefix) else ""
        return ids, await self.suspects(strange, where)

    # --- Other keys ------------------------------------------------------------------------

    async def keys(self, names: Sequence[KeyName]) -> list[Finding]:
        """Look at keys that hold no task: their types, expiries, locks and groups."""
        found: list[Finding] = []
        # Keys that belong to no queue may lie on different nodes of a cluster.
        for some in batches(names) if self._queue else ([name] for name in names):
            reply = await self._link.commands.one(
                Call("audit_keys", [name.key for name in some], ())
            )
            sound: list[KeyName] = []
            for name, kind, ttl in zip(some, reply[::2], reply[1::2], strict=True):
                kind_name = _text(kind)
                if kind_name == "none":
                    continue
                if name.type and kind_name != name.type:
                    found.append(self._wrong_type(name.key, kind_name, name.type))
                else:
                    sound.append(name)
                    if ttl == -1 and not name.may_stay:
                        found += await self._stays(name)
            found += await self._locks([name.key for name in sound if name.kind == "lock"])
            found += await self.groups([name.key for name in sound if name.kind == "group"])
        return found

    def _wrong_type(self, key: str, found: str, expected: str) -> Finding:
        return self.finding(6, key, f"is a {found}, not a {expected}")

    async def _stays(self, name: KeyName) -> list[Finding]:
        if name.kind == "lock":  # Its script says more.
            return []
        if name.kind != "day":
            return [self.finding(24, name.key, "does not expire, and no rule knows it")]
        if self._repair:
            await self._link.commands.one(("EXPIRE", name.key, _DAY_SECONDS))
        return [self.finding(24, name.key, "is a day's count that stays", "given an expiry")]

    async def _locks(self, keys: Sequence[str]) -> list[Finding]:
        if not keys:
            return []
        args = (int(self._repair), self._keys.task_prefix, _LOCK_SECONDS)
        return self._findings(await self._link.commands.one(Call("audit_locks", keys, args)))

    async def groups(self, keys: Sequence[str]) -> list[Finding]:
        """Look at up to 100 groups and aggregation sets: are they known, do they exist?"""
        if not keys:
            return []
        own = self._keys
        args = (self._link.now(), int(self._repair), own.task_prefix, own.group_prefix)
        reply, has_overdue = await self._link.commands.one(
            Call("audit_groups", (own.groups, own.aggregation_sets, *keys), args)
        )
        if has_overdue == b"1":
            await self._reclaim()
        found = self._findings(reply)
        self.loose.update(finding.subject for finding in found)
        return found

    async def _reclaim(self) -> None:
        own, moved = self._keys, MAX_ITEMS
        while moved >= MAX_ITEMS:
            args = (self._link.now(), MAX_ITEMS, own.group_prefix)
            moved = int(
                await self._link.commands.one(
                    Call("reclaim", (own.aggregation_sets, own.groups), args)
                )
            )


def _text(raw: bytes | str) -> str:
    return raw if isinstance(raw, str) else bytes(raw).decode("utf-8", "surrogateescape")
