"""``schedule``: schedules that are kept in Redis."""

from __future__ import annotations

import asyncio

import pytest

from headrace import All, StoredSchedule, StoredSchedules
from tests.cli.support import Done, invoke


def schedule(url: str, *arguments: str) -> Done:
    """Run one of the commands."""
    return invoke("schedule", *arguments, "--redis", url)


def stored(url: str) -> list[StoredSchedule]:
    """Return what is stored."""

    async def fetch() -> list[StoredSchedule]:
        async with StoredSchedules(url) as schedules:
            return await schedules.entries()

    return asyncio.run(fetch())


@pytest.fixture
def report(memory_url: str) -> str:
    """The URL of a broker with the stored schedule "report"."""
    done = schedule(
        memory_url,
        *("add", "CRON_TZ=Europe/Berlin 0 6 * * *", "report:daily", "--id", "report"),
        *("--payload", '{"to": "all"}', "--misfire", "all:3", "--jitter", "1m", "--queue", "low"),
        *("--retry", "2", "--timeout", "5m", "--unique", "1h", "--retention", "1d"),
        *("--group", "g", "--header", "a=b"),
    )
    assert (done.code, done.out) == (0, "Schedule report is stored.\n")
    return memory_url


def test_add(report: str) -> None:
    """Every option reaches the schedule."""
    [found] = stored(report)
    options = found.schedule.options

    assert found.schedule.spec == "CRON_TZ=Europe/Berlin 0 6 * * *"
    assert (found.schedule.task.type, found.schedule.task.payload) == (
        "report:daily",
        b'{"to":"all"}',
    )
    assert (found.schedule.misfire, found.schedule.jitter) == (All(3), 60)
    assert (options.queue, options.max_retry, options.timeout) == ("low", 2, 300)
    assert (options.unique, options.retention, options.group) == (3600, 86400, "g")
    assert options.headers == {"a": "b"}


def test_ls(report: str) -> None:
    """A line a schedule; as JSON with all that it has."""
    [found] = schedule(report, "ls", "--json").json

    assert "report:daily" in schedule(report, "ls").out
    assert (found["id"], found["is_paused"], found["misfire"]) == ("report", False, "all:3")
    assert (found["payload"], found["jitter"]) == ('{"to":"all"}', 60)
    assert found["options"]["queue"] == "low"


def test_change(report: str) -> None:
    """What is not given stays as it is."""
    schedule(report, "pause", "report")
    done = schedule(report, "change", "report", "--spec", "@hourly", "--retry", "9")
    [found] = stored(report)
    before = {"queue": "low", "timeout": 300, "unique": 3600, "retention": 86400, "group": "g"}
    options = {**before, "max_retry": 9, "headers": {"a": "b"}}

    assert done.code == 0
    assert found.is_paused
    assert found.schedule.spec == "@hourly"
    assert {name: getattr(found.schedule.options, name) for name in options} == options
    assert (found.schedule.misfire, found.schedule.jitter) == (All(3), 60)
    assert found.schedule.task.payload == b'{"to":"all"}'
    assert schedule(report, "change", "report").code == 2


def test_pause_and_resume(report: str) -> None:
    """It is paused, and resumed."""
    assert schedule(report, "pause", "report", "--json").json["is_paused"] is True
    assert stored(report)[0].is_paused
    assert schedule(report, "resume", "report").out == "Schedule report is running.\n"
    assert not stored(report)[0].is_paused


def test_rm(report: str) -> None:
    """It asks; all of those that are named are there, or none is deleted."""
    assert schedule(report, "rm", "report").code == 1
    assert schedule(report, "rm", "report", "other", "--yes").code == 1
    assert len(stored(report)) == 1
    assert schedule(report, "rm", "report", "--yes").out == "1 schedule deleted.\n"
    assert stored(report) == []


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("add", "* *", "t"), 2, "spec="),
        (("add", "@daily", "t", "--misfire", "some"), 2, "skip, once and all:LIMIT"),
        (("add", "@daily", "t", "--id", "report"), 2, "stored already"),
        (("pause", "other"), 1, "The schedules are: report."),
        (("change", "other", "--retry", "1"), 1, "The schedules are: report."),
    ],
)
def test_mistakes(report: str, arguments: tuple[str, ...], code: int, message: str) -> None:
    """Nothing is written."""
    before = stored(report)
    done = schedule(report, *arguments)

    assert (done.code, done.out) == (code, "")
    assert message in done.words
    assert stored(report) == before
