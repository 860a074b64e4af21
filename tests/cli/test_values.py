"""The text of options becomes values."""

from __future__ import annotations

import datetime as dt
from typing import get_args

import pytest
import typer

from headrace import All, TaskState
from headrace._cli.options import State
from headrace._cli.values import parse_duration, parse_instant, parse_misfire, parse_rate


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *(("90", 90), ("1.5", 1.5), ("0", 0), ("1m30s", 90), ("2h", 7200), ("1.5h", 5400)),
        *(("500ms", 0.5), ("7d", 604800), ("1d2h3m4s5ms", 93784.005)),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    """Seconds, or numbers with their units."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "s", "1x", "-1", "1m 30s", "1s1s", "1m30", "inf", "1e3", "m1"]
)
def test_no_durations(text: str) -> None:
    """Anything else is refused."""
    with pytest.raises(typer.BadParameter, match="is no duration"):
        parse_duration(text)


def test_instants() -> None:
    """ISO 8601, with a time zone."""
    assert parse_instant("2030-01-01T01:00+01:00") == dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
    for text in ("2030-01-01T01:00", "tomorrow", ""):
        with pytest.raises(typer.BadParameter):
            parse_instant(text)


def test_rates_and_misfires() -> None:
    """Tasks in a duration; a word."""
    assert [parse_rate(text) for text in ("100/1s", "5/m", "1000/1h30m")] == [
        *((100, 1), (5, 60), (1000, 5400)),
    ]
    assert [parse_misfire(text) for text in ("skip", "once", "all:10")] == [
        *("skip", "once", All(10)),
    ]
    for text in ("100", "/1s", "a/1s", "1/"):
        with pytest.raises(typer.BadParameter):
            parse_rate(text)
    for text in ("all", "all:", "all:x", "never"):
        with pytest.raises(typer.BadParameter):
            parse_misfire(text)


def test_states_are_those_of_tasks() -> None:
    """The command line knows every state."""
    assert sorted(get_args(State)) == sorted(map(str, TaskState))
