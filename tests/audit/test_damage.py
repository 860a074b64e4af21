"""Damage of every kind is found, and healed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headrace import InvalidOptionError
from headrace._broker.keys import QUEUES
from tests.audit.damage import DAMAGES, KEYS
from tests.support.invariants import check_queue
from tests.support.wire import field, members, plant, read_keys

if TYPE_CHECKING:
    from headrace import Auditor, AuditProgress, Finding
    from tests.audit.damage import Damage
    from tests.support.wire import RawClient


async def findings(auditor: Auditor, *, repair: bool = False) -> list[Finding]:
    """Return all that an audit finds."""
    return [finding async for finding in auditor.audit(repair=repair)]


async def test_a_sound_queue_is_left_alone(auditor: Auditor, raw: RawClient) -> None:
    """Nothing is found, and nothing changes."""
    before = await read_keys(raw)

    assert await findings(auditor, repair=True) == []
    assert await read_keys(raw) == before


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.name)
async def test_damage_is_found_and_healed(auditor: Auditor, raw: RawClient, damage: Damage) -> None:
    """Looking changes nothing; a repair leaves nothing behind, and nothing else changed."""
    await damage.do(raw)
    before = await read_keys(raw)

    found = await findings(auditor)

    assert await read_keys(raw) == before
    assert damage.rules == {finding.invariant for finding in found}
    assert {damage.subject} == {finding.subject for finding in found}
    assert not any(finding.repaired for finding in found)

    repaired = await findings(auditor, repair=True)

    assert all(finding.repaired for finding in repaired)
    assert damage.rules == {finding.invariant for finding in repaired}
    assert [str(item) for item in await check_queue(raw, "q", cleaned=True)] == []
    assert await findings(auditor) == []
    if damage.leads_to:
        assert await field(raw, "q", damage.subject, "state") == damage.leads_to


async def test_all_damage_at_once(auditor: Auditor, raw: RawClient) -> None:
    """Repairs do not get into each other's way."""
    for damage in DAMAGES:
        if not damage.name.startswith(("too large", "set that", "unknown group")):
            await damage.do(raw)

    await findings(auditor, repair=True)

    assert [str(item) for item in await check_queue(raw, "q", cleaned=True)] == []
    assert await findings(auditor) == []


async def test_quarantine_says_why(auditor: Auditor, raw: RawClient) -> None:
    """The bytes are kept as they were, with the reason beside them."""
    await raw.execute_command("HSET", KEYS.task("retry"), "msg", b"\xff\xff")

    await findings(auditor, repair=True)

    assert await raw.execute_command("HGET", KEYS.task("retry"), "msg") == b"\xff\xff"
    assert "not a task message" in (await field(raw, "q", "retry", "hr:error") or "")


async def test_a_crash_is_counted(auditor: Auditor, raw: RawClient) -> None:
    """A task that vanished from active comes back as after a crash, and not for ever."""
    await raw.execute_command("DEL", KEYS.active, KEYS.lease)
    await plant(raw, "q", "poison", "active", fields={"hr:crashes": 2})
    await raw.execute_command("DEL", KEYS.active, KEYS.lease)

    await findings(auditor, repair=True)

    assert await field(raw, "q", "active", "hr:crashes") == "1"
    assert await field(raw, "q", "poison", "state") == "archived"


@pytest.mark.parametrize("name", ["pending", "lease", "groups", "aggregation_sets", "t:x", "g:x"])
async def test_foreign_types_are_reported_only(auditor: Auditor, raw: RawClient, name: str) -> None:
    """A key of the wrong type is not ours to touch, nor what depends on it."""
    key = KEYS.prefix + name
    await raw.execute_command("DEL", key)
    await raw.execute_command(
        "SETEX" if name == "t:x" else "SET", key, *([60] * (name == "t:x")), "foreign"
    )
    before = await read_keys(raw)

    found = await findings(auditor, repair=True)

    [wrong] = [finding for finding in found if finding.subject == key]
    assert (wrong.invariant, wrong.repair, wrong.repaired) == (6, "", False)
    after = await read_keys(raw)
    assert after[key] == before[key]


async def test_unknown_keys_are_reported_only(auditor: Auditor, raw: RawClient) -> None:
    """What stays without a rule that knows it is a finding for a person."""
    for key in ("asynq:{q}:what", "headrace:{q}:what", "asynq:what", "headrace:what"):
        await raw.execute_command("SET", key, "1")
    for key in ("headrace:{q}:limits", "other"):
        await raw.execute_command("SET", key, "1")

    found = await findings(auditor, repair=True)

    assert {finding.subject for finding in found} == {
        "asynq:{q}:what",
        "headrace:{q}:what",
        "asynq:what",
        "headrace:what",
    }
    assert {(finding.invariant, finding.repaired) for finding in found} == {(24, False)}


async def test_only_the_queues_that_were_named(auditor: Auditor, raw: RawClient) -> None:
    """Other queues are neither looked at nor touched. A bad name is refused."""
    await plant(raw, "low", "a")
    for keys in ("q", "low"):
        await raw.execute_command("DEL", f"asynq:{{{keys}}}:pending")

    found = [finding async for finding in auditor.audit(["low"], repair=True)]

    assert {finding.queue for finding in found} == {"low"}
    assert await members(raw, KEYS.pending) == []
    with pytest.raises(InvalidOptionError):
        auditor.audit([""])


async def test_long_lists(auditor: Auditor, raw: RawClient) -> None:
    """A list too long to be searched for each task is walked through instead."""
    for n in range(1_300):
        await plant(raw, "q", f"task-{n}")
    await raw.execute_command("LREM", KEYS.pending, 0, "task-700")
    await raw.execute_command("LPUSH", KEYS.pending, "task-701", "nobody")
    await raw.execute_command("HDEL", KEYS.task("task-702"), "pending_since")
    await raw.execute_command("HSET", KEYS.task("task-703"), "msg", b"\xff")

    found = await findings(auditor, repair=True)

    assert sorted((finding.subject, finding.invariant) for finding in found) == [
        ("nobody", 1),
        ("task-700", 1),
        ("task-701", 2),
        ("task-702", 7),
        ("task-703", 5),
    ]
    assert [str(item) for item in await check_queue(raw, "q", cleaned=True)] == []
    assert await findings(auditor) == []


async def test_progress_is_told(auditor: Auditor, raw: RawClient) -> None:
    """How many keys were looked at, of how many."""
    told: list[AuditProgress] = []

    assert [item async for item in auditor.audit(progress=told.append)] == []
    assert told[-1].done >= 7
    assert told[-1].done <= told[-1].total


async def test_names_that_are_not_text(auditor: Auditor, raw: RawClient) -> None:
    """An ID may be any bytes."""
    await plant(raw, "q", b"\xff\x00", data=b"\xff")
    await raw.execute_command("SADD", QUEUES, "q")

    found = await findings(auditor, repair=True)

    assert [(finding.invariant, finding.repaired) for finding in found] == [(5, True)]
    assert await findings(auditor) == []
