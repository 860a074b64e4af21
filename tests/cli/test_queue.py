"""``queue``: queues, their limits, and their end."""

from __future__ import annotations

import datetime as dt

import pytest

from headrace import DailyStats, QueueLimits, QueueStats
from tests.cli.support import counts, inspect, invoke


def test_ls(shop: str) -> None:
    """A line a queue, with its state."""
    invoke("queue", "pause", "shop", "--redis", shop)
    heading, row = invoke("queue", "ls", "--redis", shop).out.splitlines()
    [stats] = invoke("queue", "ls", "--redis", shop, "--json").json

    assert heading.split() == ["QUEUE", "SIZE", "GROUPS", "MEMORY", "LATENCY", "STATE"]
    assert row.split()[:3] == ["shop", "5", "1"]
    assert row.rstrip().endswith("paused")
    assert set(stats) == {*QueueStats.__dataclass_fields__, "size"}
    assert (stats["queue"], stats["paused"], stats["size"]) == ("shop", True, 5)


def test_inspect(shop: str) -> None:
    """Everything about some queues, their limits too."""
    invoke("queue", "limit", "set", "shop", "--max-active", "3", "--redis", shop)
    done = invoke("queue", "inspect", "shop", "--redis", shop)
    [found] = invoke("queue", "inspect", "shop", "--redis", shop, "--json").json

    lines = {line.split("  ")[0]: " ".join(line.split()) for line in done.out.splitlines()}
    assert lines["Limits"] == "Limits 3 tasks at a time"
    assert lines["Aggregating"] == "Aggregating 1 in 1 group"
    assert lines["Today (UTC)"] == "Today (UTC) 3 processed, 2 of them failed"
    assert found["limits"] == {"max_active": 3, "rate": None}
    assert (found["completed"], found["processed_total"], found["failed_total"]) == (1, 3, 2)


def test_history(shop: str) -> None:
    """A line a day, today first."""
    arguments = ("queue", "history", "shop", "--redis", shop, "--days", "2")
    heading, today, _ = invoke(*arguments).out.splitlines()
    days = invoke(*arguments, "--json").json

    assert heading.split() == ["QUEUE", "DATE", "PROCESSED", "FAILED", "ERROR", "RATE"]
    assert today.split()[2:] == ["3", "2", "66.67%"]
    assert set(days[0]) == set(DailyStats.__dataclass_fields__)
    first, second = (dt.date.fromisoformat(day["date"]) for day in days)
    assert first - second == dt.timedelta(days=1)


def test_pause_and_resume(shop: str) -> None:
    """Queues are paused and resumed; it says if they were already."""

    def paused() -> bool:
        return inspect(shop, lambda inspector: inspector.queue_stats("shop")).paused

    pause, resume = ("queue", "pause", "shop"), ("queue", "resume", "shop")
    assert invoke(*pause, "--redis", shop).out == "Queue 'shop' is paused.\n"
    assert paused()
    assert invoke(*pause, "--redis", shop).out == "Queue 'shop' is paused already.\n"
    assert invoke(*resume, "--redis", shop, "--json").json == [
        {"queue": "shop", "paused": False, "changed": True}
    ]
    assert not paused()
    done = invoke("queue", "pause", "shop", "other", "--redis", shop)
    assert done.code == 1
    assert "The queues are: shop." in done.words
    assert not paused()


def test_rm(shop: str) -> None:
    """With tasks it needs --force; a dry run says how many; then all is gone."""
    command = ("queue", "rm", "shop", "--redis", shop)
    refused = invoke(*command, "--yes")
    tried = invoke(*command, "--force", "--dry-run", "--json")
    unconfirmed = invoke(*command, "--force")

    assert (refused.code, unconfirmed.code) == (1, 1)
    assert "--force deletes them, too" in refused.words
    assert tried.json == [{"queue": "shop", "tasks": 6, "dry_run": True}]
    assert sum(counts(shop).values()) == 6
    assert invoke(*command, "--force", "--yes").out == "Queue 'shop' is deleted, with 6 tasks.\n"
    assert inspect(shop, lambda inspector: inspector.queues()) == []


def test_limits(memory_url: str) -> None:
    """What is not given stays; what is cleared is gone."""

    def limits() -> QueueLimits | None:
        return inspect(memory_url, lambda inspector: inspector.limits("shop"))

    def limit(verb: str, *arguments: str) -> str:
        return invoke("queue", "limit", verb, "shop", "--redis", memory_url, *arguments).out

    assert limit("show") == "Limits of queue 'shop': none.\n"
    limit("set", "--max-active", "4")
    limit("set", "--rate", "100/1m")
    assert limits() == QueueLimits(max_active=4, rate=(100, 60))
    assert limit("show") == (
        "Limits of queue 'shop': 4 tasks at a time, 100 starts in 1 min 0 s.\n"
    )
    limit("clear", "--rate")
    assert limits() == QueueLimits(max_active=4)
    limit("clear")
    assert limits() is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--max-active"),
        (("--rate", "100"), "'100' is no rate"),
        (("--rate", "0/1s"), "it must be at least 1"),
        (("--max-active", "0"), "--max-active"),
    ],
)
def test_limits_that_cannot_be(memory_url: str, arguments: tuple[str, ...], message: str) -> None:
    """2, and nothing is limited."""
    done = invoke("queue", "limit", "set", "shop", "--redis", memory_url, *arguments)

    assert (done.code, done.out) == (2, "")
    assert message in done.words
    assert inspect(memory_url, lambda inspector: inspector.limits("shop")) is None
