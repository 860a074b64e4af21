"""When schedules are due."""

from __future__ import annotations

import itertools
import time
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from headrace import InvalidOptionError, Schedule, Task
from headrace._cron import parse_spec, parse_zone


def ticks(spec: str, after: str, count: int, zone: str = "UTC") -> list[str]:
    """Return the first ticks after a UTC time, as the zone's wall clock shows them."""
    instant: float = datetime.fromisoformat(after).replace(tzinfo=UTC).timestamp()
    parsed, found = parse_spec(spec, parse_zone("zone", zone)), []
    for _ in range(count):
        tick = parsed.after(instant)
        assert tick is not None
        shown = datetime.fromtimestamp(tick, ZoneInfo(zone))
        found.append(shown.strftime("%m-%d %H:%M:%S %Z").removesuffix(" UTC"))
        instant = tick
    return found


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("*/5 * * * *", ["03-04 10:05:00", "03-04 10:10:00"]),
        ("0 9 * * 1-5", ["03-05 09:00:00", "03-06 09:00:00", "03-09 09:00:00"]),
        ("0 9 * * MON", ["03-09 09:00:00"]),
        ("0 0 1 */3 ?", ["04-01 00:00:00", "07-01 00:00:00"]),
        ("*/20 * * * * *", ["03-04 10:01:20", "03-04 10:01:40", "03-04 10:02:00"]),
        ("30 0 12 * * *", ["03-04 12:00:30"]),
        ("@every 1h30m", ["03-04 10:30:00", "03-04 12:00:00"]),
        ("@every 1s", ["03-04 10:01:01", "03-04 10:01:02"]),
        ("@every 0.5m", ["03-04 10:01:30"]),
        ("@hourly", ["03-04 11:00:00"]),
        ("@daily", ["03-05 00:00:00"]),
        ("@midnight", ["03-05 00:00:00"]),
        ("@weekly", ["03-08 00:00:00"]),
        ("@monthly", ["04-01 00:00:00"]),
        ("@yearly", ["01-01 00:00:00"]),
        ("@annually", ["01-01 00:00:00"]),
        ("CRON_TZ=Asia/Tokyo 0 9 * * *", ["03-05 00:00:00"]),
        ("TZ=America/New_York 0 6 * * *", ["03-04 11:00:00"]),
        ("CRON_TZ=Asia/Tokyo @daily", ["03-04 15:00:00"]),
    ],
)
def test_spec(spec: str, expected: list[str]) -> None:
    """Five fields, six with seconds first, durations, names, and a time zone before them."""
    assert expected == ticks(spec, "2026-03-04T10:01:00", len(expected))


@pytest.mark.parametrize(
    "spec",
    [
        *("", "* * * *", "* * * * * * *", "61 * * * *", "0 0 30 2 *", "0 0 31 4,6 *"),
        *("a b c d e", "*/0 * * * *", "5-1 * * * *", "@often", "@every", "@every 500ms"),
        *("@every 1.5s", "@every 1h -2m", "@every x", "@every 1000000h", "CRON_TZ=Mars/X @daily"),
        *("TZ= * * * * *", "CRON_TZ=../../etc/passwd * * * * *"),
    ],
)
def test_bad_spec(spec: str) -> None:
    """What means nothing, or is never due, is refused when it is written."""
    with pytest.raises(InvalidOptionError, match="spec"):
        Schedule(spec, Task("t"))


def test_daily_in_a_gap() -> None:
    """What the clock skips is due at the first instant after, and on other days as ever."""
    assert ["03-28 02:30:00 CET", "03-29 03:00:00 CEST", "03-30 02:30:00 CEST"] == ticks(
        "30 2 * * *", "2026-03-27T12:00", 3, "Europe/Berlin"
    )
    # Several that are skipped are due once.
    assert ["03-29 03:00:00 CEST", "03-30 02:00:00 CEST"] == ticks(
        "*/15 2 * * *", "2026-03-28T12:00", 2, "Europe/Berlin"
    )


def test_daily_in_an_overlap() -> None:
    """What the clock shows twice is due once, the first time."""
    assert ["10-25 02:30:00 CEST", "10-26 02:30:00 CET"] == ticks(
        "30 2 * * *", "2026-10-24T12:00", 2, "Europe/Berlin"
    )
    assert ["10-26 02:30:00 CET"] == ticks("30 2 * * *", "2026-10-25T01:10", 1, "Europe/Berlin")


def test_every_hour_over_the_changes() -> None:
    """A rhythm that holds in every hour goes on: once an hour that really passes."""
    assert ["03-29 01:00:00 CET", "03-29 03:00:00 CEST", "03-29 04:00:00 CEST"] == ticks(
        "0 * * * *", "2026-03-28T23:30", 3, "Europe/Berlin"
    )
    assert [
        *("10-25 02:00:00 CEST", "10-25 02:30:00 CEST", "10-25 02:00:00 CET"),
        *("10-25 02:30:00 CET", "10-25 03:00:00 CET"),
    ] == ticks("*/30 * * * *", "2026-10-24T23:40", 5, "Europe/Berlin")


def test_change_by_half_an_hour() -> None:
    """Lord Howe Island moves its clocks by half an hour."""
    assert [1.0, 0.5, 1.0] == gaps("0 * * * *", "2026-10-03T14:10", 4, "Australia/Lord_Howe")
    assert [1.5, 1.0, 1.0] == gaps("0 * * * *", "2026-04-04T13:10", 4, "Australia/Lord_Howe")


def gaps(spec: str, after: str, count: int, zone: str) -> list[float]:
    """Return the hours between ticks."""
    instant: float = datetime.fromisoformat(after).replace(tzinfo=UTC).timestamp()
    parsed, found = parse_spec(spec, ZoneInfo(zone)), []
    for _ in range(count):
        instant = parsed.after(instant) or 0
        found.append(instant)
    return [(b - a) / 3600 for a, b in itertools.pairwise(found)]


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
@pytest.mark.parametrize("spec", ["17 * * * *", "*/20 1-3 * * *", "0 2 * * *", "30 0 */3 * * *"])
def test_ticks_only_rise(spec: str, zone: str) -> None:
    """Over a whole year each tick is later than the one before, from wherever one asks."""
    instant: float = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    parsed = parse_spec(spec, ZoneInfo(zone))
    while instant < datetime(2027, 1, 1, tzinfo=UTC).timestamp():
        tick = parsed.after(instant)
        assert tick is not None
        assert tick > instant
        assert tick == parsed.after((instant + tick) / 2)
        instant = tick


def test_leap_day() -> None:
    """The 29th of February is found years ahead."""
    tick = parse_spec("0 0 29 2 *").after(datetime(2096, 3, 1, tzinfo=UTC).timestamp())

    assert tick is not None
    assert 2104 == time.gmtime(tick).tm_year
