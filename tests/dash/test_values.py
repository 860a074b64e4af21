"""How values look, and what is computed of them."""

from __future__ import annotations

import dataclasses

import pytest

from headrace import QueueStats, SchedulerEntry
from headrace._cli.dash.formatting import (
    body_text,
    fitted,
    preview,
    rate_text,
    short_duration,
    spark,
    time_text,
)
from headrace._cli.dash.source import entry_queue
from headrace._cli.dash.throughput import Throughput

STATS = QueueStats(
    queue="q",
    paused=False,
    pending=0,
    active=0,
    scheduled=0,
    retry=0,
    archived=0,
    completed=0,
    aggregating=0,
    groups=0,
    processed=0,
    failed=0,
    processed_total=100,
    failed_total=0,
    latency=0,
    timestamp=10,
)


def later(seconds: float, processed: int) -> QueueStats:
    """Return the queue so much later, with so many tasks processed in all."""
    return dataclasses.replace(STATS, timestamp=10 + seconds, processed_total=processed)


def test_throughput_is_the_difference_between_polls() -> None:
    """Tasks per second by Redis's clock; nothing is known at first; a fresh queue is no minus."""
    throughput = Throughput()
    throughput.add([STATS])
    assert (list(throughput.of("q")), list(throughput.total())) == ([], [])

    throughput.add([later(2, 120), dataclasses.replace(STATS, queue="new")])
    throughput.add([later(4, 0), dataclasses.replace(STATS, queue="new", timestamp=11)])
    assert list(throughput.of("q")) == [10, 0]
    assert list(throughput.of("new")) == [0]
    assert list(throughput.total()) == [10, 0]

    throughput.add([])
    assert list(throughput.of("q")) == []


def test_spark() -> None:
    """The latest is on the right; what is not zero looks higher than zero."""
    assert spark([], 3) == "   "
    assert spark([0, 1, 1000], 4) == " ▁▂█"
    assert spark([9, 0, 0], 2) == "▁▁"
    assert spark([1], 0) == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0s"), (0.25, "250ms"), (59.9, "59s"), (60, "1m"), (7200, "2h"), (86400 * 9, "9d")],
)
def test_short_duration(seconds: float, text: str) -> None:
    """The largest unit, rounded down."""
    assert short_duration(seconds) == text


def test_body() -> None:
    """JSON is indented, text is text, bytes are hexadecimal, all of it bounded and harmless."""
    assert body_text(b'{"a":[1]}') == '{\n  "a": [\n    1\n  ]\n}'
    assert body_text(b"plain \x1b[2J") == r"plain \x1b[2J"
    assert body_text(None) == "(none)"
    assert body_text(b"") == "(empty)"
    assert body_text(b"\xff" * 600).splitlines()[:2] == [
        "(600 bytes, not text)",
        "0000  " + " ".join(["ff"] * 16),
    ]
    assert body_text(b"x" * 30_000).endswith("\n… and 10,000 more characters")
    assert body_text(b"[" * 200_000).startswith("[[[")
    assert body_text(b"9" * 5000) == "9" * 5000


def test_preview_is_one_short_line() -> None:
    """Line ends become blanks, controls escapes."""
    assert preview(b'{"a":\n  1}\x00') == r'{"a": 1}\x00'
    assert len(preview(b"x" * 10_000)) == 400


def test_time_of_other_programs() -> None:
    """A time that no calendar has does not end the dashboard."""
    assert time_text(None, 0) == "-"
    assert time_text(1e300, 0) == "1e+300"


def test_cells_fit() -> None:
    """A cell takes its width, wide characters included, and leaves a gap."""
    assert fitted("abc", 6, right=False).plain == "abc   "
    assert fitted("abc", 6, right=True).plain == "  abc "
    assert fitted("abcdef", 5, right=True).plain == "abc… "
    assert fitted("日本語", 6, right=False).cell_len == 6


def test_rates_are_short() -> None:
    """At most five characters."""
    assert [rate_text([]), rate_text([0.0]), rate_text([0.04]), rate_text([1234567.0])] == [
        *("", "0", "0.0", "1.23M")
    ]


def test_queue_of_an_entry() -> None:
    """It is read from Go's notation; without one it is the default queue."""
    entry = SchedulerEntry(
        id="e", spec="@daily", task_type="t", enqueue_options=['Queue("a\\"b")', "MaxRetry(1)"]
    )
    assert entry_queue(entry) == 'a"b'
    assert entry_queue(SchedulerEntry(id="e", spec="@daily", task_type="t")) == "default"
    assert entry_queue(None) == "default"
