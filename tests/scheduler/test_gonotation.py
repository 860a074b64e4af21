"""Options as asynq's tools show them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headrace import Task
from headrace._scheduling.gonotation import enqueue_options, go_duration, go_quote

if TYPE_CHECKING:
    from headrace import TaskOptions


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"max_retry": 3}, "MaxRetry(3)"),
        ({"queue": "low"}, 'Queue("low")'),
        ({"timeout": 30}, "Timeout(30s)"),
        ({"deadline": 1_136_214_245}, "Deadline(Mon Jan  2 15:04:05 UTC 2006)"),
        ({"unique": 3600}, "Unique(1h0m0s)"),
        ({"process_at": 1_700_000_000}, "ProcessAt(Tue Nov 14 22:13:20 UTC 2023)"),
        ({"process_in": 300}, "ProcessIn(5m0s)"),
        ({"process_in": 1.5}, "ProcessIn(1.5s)"),
        ({"task_id": "x"}, 'TaskID("x")'),
        ({"retention": 86_400}, "Retention(24h0m0s)"),
        ({"group": "g"}, 'Group("g")'),
        ({"headers": {"k": "v"}}, 'Header(["k","v"])'),
    ],
)
def test_options(options: TaskOptions, expected: str) -> None:
    """Each option has its form."""
    assert [expected] == enqueue_options(Task("t", **options).options)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0s"),
        (0.002, "2ms"),
        (0.0000015, "1.5µs"),
        (61, "1m1s"),
        (3600, "1h0m0s"),
        (59.5, "59.5s"),
    ],
)
def test_duration(seconds: float, expected: str) -> None:
    """Durations are written as Go prints them."""
    assert expected == go_duration(seconds)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('a"b\\', '"a\\"b\\\\"'),
        ("\n\x01\x7f", '"\\n\\x01\\x7f"'),
        ("é☃", '"é☃"'),
        ("\u200b\U000e0001", '"\\u200b\\U000e0001"'),
    ],
)
def test_quote(text: str, expected: str) -> None:
    """Text is quoted as Go quotes it."""
    assert expected == go_quote(text)
