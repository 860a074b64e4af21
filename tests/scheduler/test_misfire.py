"""Which ticks are made up for, and when jitter lets them go: a pure decision."""

from __future__ import annotations

import itertools

import pytest

from headrace import All, InvalidOptionError, Misfire, Schedule, Task
from headrace._cron import parse_zone
from headrace._scheduling.entry import Entry, due_ticks, new_entry

HOUR = 3600
START = 1_700_000_000 // HOUR * HOUR
UTC = parse_zone("zone", "UTC")


def entry(
    spec: str = "@hourly", misfire: Misfire = "skip", jitter: float = 0, last: int = START
) -> Entry:
    """Return an entry whose last tick is *last*."""
    made = new_entry(Schedule(spec, Task("t"), misfire=misfire, jitter=jitter), UTC)
    made.learn(f"{last} me")
    return made


@pytest.mark.parametrize(
    ("misfire", "hours"),
    [("skip", []), ("once", [30]), (All(3), [28, 29, 30]), (All(1000), list(range(1, 31)))],
)
def test_missed(misfire: Misfire, hours: list[int]) -> None:
    """After 30 missed hours, the policy says which of them are made up for."""
    now = START + 30.5 * HOUR

    assert [START + hour * HOUR for hour in hours] == due_ticks(entry(misfire=misfire), now)


@pytest.mark.parametrize(("misfire", "hours"), [("skip", [3]), ("once", [3]), (All(2), [2, 3])])
def test_missed_and_due(misfire: Misfire, hours: list[int]) -> None:
    """The tick that is due right now is enqueued under each policy, and counts as one."""
    now = START + 3 * HOUR + 1

    assert [START + hour * HOUR for hour in hours] == due_ticks(entry(misfire=misfire), now)


@pytest.mark.parametrize("misfire", ["skip", "once", All(1)])
def test_late_is_not_missed(misfire: Misfire) -> None:
    """Ticks that are only seconds late, as while a scheduler is replaced, are all enqueued."""
    one = entry("@every 1s", misfire)

    assert list(range(START + 1, START + 9)) == due_ticks(one, START + 8.5)


def test_long_pause_is_quick() -> None:
    """A year of missed seconds is not walked through one by one."""
    one = entry("@every 1s", "once", last=START - 365 * 24 * HOUR)

    assert [START] == due_ticks(one, START + 0.5)
    assert START + 1 == one.next_due(START + 0.5)


def test_nothing_is_due() -> None:
    """Before its next tick, nothing is; then its next tick is what to wait for."""
    assert [] == due_ticks(entry(), START + 10)
    assert START + HOUR == entry().next_due(START + 10)


def test_jitter_is_agreed_on() -> None:
    """All replicas draw the same delay for a tick, another for the next, below the limit."""
    delays = [entry(jitter=60).due(START + n * HOUR) - START - n * HOUR for n in range(50)]

    assert delays == [entry(jitter=60).due(START + n * HOUR) - START - n * HOUR for n in range(50)]
    assert all(0 <= delay < 60 for delay in delays)
    assert len(set(delays)) == 50
    assert max(delays) - min(delays) > 30


def test_jitter_ends_before_the_next_tick() -> None:
    """More jitter than there is between two ticks does not put them out of order."""
    one = entry("@every 10s", jitter=3600)
    dues = [one.due(START + 10 * n) for n in range(100)]

    assert dues == sorted(dues)
    assert all(due < START + 10 * n + 10 for n, due in enumerate(dues))


def test_jittered_tick_waits() -> None:
    """A tick whose jitter has not passed is not due, but is what to wait for."""
    one = entry(jitter=600)
    due = one.due(START + HOUR)

    assert [] == due_ticks(one, due - 0.1)
    assert due == one.next_due(due - 0.1)
    assert [START + HOUR] == due_ticks(one, due + 0.1)


def test_ids() -> None:
    """An entry's ID follows from what it does; one of your own may be given."""
    schedules = [
        Schedule("@hourly", Task("t")),
        Schedule("@daily", Task("t")),
        Schedule("@hourly", Task("u")),
        Schedule("@hourly", Task("t", b"x")),
        Schedule("@hourly", Task("t"), queue="low"),
    ]
    ids = [new_entry(schedule, UTC).id for schedule in schedules]

    assert ids[0] == new_entry(Schedule("@hourly ", Task("t")), UTC).id
    assert all(a != b for a, b in itertools.combinations(ids, 2))
    assert "mine" == new_entry(Schedule("@hourly", Task("t"), entry_id="mine"), UTC).id
    assert ids[0] != new_entry(schedules[0], parse_zone("zone", "Asia/Tokyo")).id


@pytest.mark.parametrize(
    ("name", "value"),
    [("misfire", "all"), ("misfire", None), ("jitter", -1), ("entry_id", " "), ("timeout", 0.5)],
)
def test_bad_options(name: str, value: object) -> None:
    """What cannot be used is refused at once."""
    options: dict[str, object] = {name: value}
    with pytest.raises(InvalidOptionError, match=name):
        Schedule("@hourly", Task("t"), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("limit", [0, -1, 1.5, 10**6])
def test_bad_limit(limit: int) -> None:
    """So is a limit of missed ticks that means nothing."""
    with pytest.raises(InvalidOptionError, match="limit"):
        All(limit)
