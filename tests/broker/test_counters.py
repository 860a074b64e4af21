"""The counters: by UTC day and in all, and what if they cannot count any further."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from headrace._broker.keys import QueueKeys
from tests.broker.helpers import KEYS, Rules, Time, archive, done, new, take, take_one

if TYPE_CHECKING:
    from headrace._broker.redis import RedisBroker
    from tests.support.wire import RawClient

LARGEST = 2**63 - 1
DAY = 86_400


async def finish(broker: RedisBroker, count: int = 1) -> None:
    """Process some tasks; one of them fails for good."""
    await broker.enqueue([new(str(n)) for n in range(count)])
    first, *others = await take(broker)
    await broker.finish([archive(first), *map(done, others)])
    await broker.trim_archive("q", 100)


@pytest.mark.parametrize(
    "day",
    [
        "1970-01-01",
        "1999-12-31",
        "2000-02-29",
        "2000-03-01",
        "2023-11-14",
        "2024-02-29",
        "2024-12-31",
        "2100-02-28",
        "2100-03-01",
        "2242-03-16",
    ],
)
@pytest.mark.parametrize("second", [0, DAY - 1])
async def test_days_are_utc(
    bare: RedisBroker, raw: RawClient, time: Time, day: str, second: float
) -> None:
    """The day's name is right for every day, from its first second to its last."""
    midnight = dt.datetime.fromisoformat(day).replace(tzinfo=dt.UTC)
    time.now = midnight.timestamp() + second + 0.25
    await bare.enqueue([new("a")])
    await bare.finish([done(await take_one(bare))])

    assert await raw.execute_command("GET", f"asynq:{{q}}:processed:{day}") == b"1"
    assert f"asynq:{{q}}:processed:{day}" == QueueKeys("q").processed_on(midnight.date())


async def test_a_new_day_begins_at_zero(broker: RedisBroker, raw: RawClient, time: Time) -> None:
    """Days are counted apart; the total goes on."""
    await finish(broker, 3)
    time.advance(DAY)
    await raw.execute_command("DEL", KEYS.task("0"), KEYS.archived)
    await finish(broker, 2)

    counts = {
        "processed:2023-11-14": b"3",
        "failed:2023-11-14": b"1",
        "processed:2023-11-15": b"2",
        "failed:2023-11-15": b"1",
        "processed": b"5",
        "failed": b"2",
    }
    for name, count in counts.items():
        assert await raw.execute_command("GET", KEYS.prefix + name) == count


async def test_days_expire_after_90_days(broker: RedisBroker, raw: RawClient) -> None:
    """A day's count goes 90 days after its first task; the totals stay."""
    await finish(broker, 2)

    for name in ("processed", "failed"):
        ttl = await raw.execute_command("TTL", f"{KEYS.prefix}{name}:2023-11-14")
        assert isinstance(ttl, int)
        assert 90 * DAY - 5 <= ttl <= 90 * DAY
        assert await raw.execute_command("TTL", KEYS.prefix + name) == -1


async def test_later_tasks_do_not_prolong_a_day(broker: RedisBroker, raw: RawClient) -> None:
    """The expiry is set once."""
    await finish(broker)
    key = f"{KEYS.processed}:2023-11-14"
    await raw.execute_command("EXPIRE", key, 1000)
    await raw.execute_command("DEL", KEYS.task("0"), KEYS.archived)
    await finish(broker)

    ttl = await raw.execute_command("TTL", key)
    assert isinstance(ttl, int)
    assert ttl <= 1000


@pytest.mark.parametrize(
    ("before", "count", "after"),
    [
        (LARGEST - 1, 1, LARGEST),
        (LARGEST, 1, 1),
        (LARGEST - 1, 3, 2),
        (41, 1, 42),
    ],
)
async def test_totals_start_again_at_the_largest_number(
    broker: RedisBroker, raw: RawClient, before: int, count: int, after: int
) -> None:
    """A total that would pass 2^63-1 starts again, and no transition fails for it."""
    await raw.execute_command("SET", KEYS.processed, before)
    await finish(broker, count)

    assert await raw.execute_command("GET", KEYS.processed) == str(after).encode()


@pytest.mark.parametrize("junk", ["many", "1.5", ""])
async def test_total_that_is_no_number(broker: RedisBroker, raw: RawClient, junk: str) -> None:
    """It starts again: a count is not worth a transition."""
    await raw.execute_command("SET", KEYS.processed, junk)
    await finish(broker)

    assert await raw.execute_command("GET", KEYS.processed) == b"1"


async def test_counts_of_another_type(broker: RedisBroker, raw: RawClient, rules: Rules) -> None:
    """Nor is it where the keys hold something else."""
    rules.allow(6, 21, 24)
    day = f"{KEYS.processed}:2023-11-14"
    await raw.execute_command("LPUSH", KEYS.processed, "x")
    await raw.execute_command("LPUSH", day, "x")
    await finish(broker, 2)

    assert await raw.execute_command("GET", KEYS.processed) == b"2"
    assert await raw.execute_command("TYPE", day) == b"list"
    assert (await broker.queue_stats("q")).processed_total == 2
