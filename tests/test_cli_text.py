"""Text that the command line prints: no control characters, no credentials."""

from __future__ import annotations

import pytest

from headrace._cli.text import duration_text, masked_url, plain, plural, short_count, size_text
from headrace._cli.values import parse_queues


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("email:welcome", "email:welcome"),
        ("Größe 日本語 🏳️‍🌈", "Größe 日本語 🏳️‍🌈"),
        ("\x1b[2Jgone", r"\x1b[2Jgone"),
        ("one\ntwo\r\x07", r"one\ntwo\r\x07"),
        ("c1 \x9b31m", r"c1 \x9b31m"),
        ("turned \u202eround", r"turned \u202eround"),
        ("lone \udce4", r"lone \udce4"),
        ("line\u2028end", r"line\u2028end"),
    ],
)
def test_plain_escapes_what_could_command_a_terminal(text: str, shown: str) -> None:
    """Letters of every script and emoji stay; controls, turns and lone surrogates do not."""
    assert shown == plain(text)


def test_plain_keeps_what_it_is_told_to() -> None:
    """A traceback keeps its lines."""
    assert plain("one\n\x1btwo", keep="\n") == "one\n\\x1btwo"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost:6379/0", "redis://localhost:6379/0"),
        ("redis://user:secret@host:6379/1", "redis://***@host:6379/1"),
        ("redis://:se@cret@host", "redis://***@host"),
        ("unix:///redis.sock?db=1&password=secret", "unix:///redis.sock?db=1&password=***"),
        (
            "redis+sentinel://a:secret@h:1,i:2/0?master=m&sentinel_password=secret",
            "redis+sentinel://***@h:1,i:2/0?master=m&sentinel_password=***",
        ),
        ("redis://:sec/ret@host", "redis://***"),
        ("redis://host?PASSWORD=secret#secret", "redis://host?PASSWORD=***"),
        ("memory://", "memory://"),
        ("localhost", "localhost"),
    ],
)
def test_masked_url_hides_credentials(url: str, shown: str) -> None:
    """User and password are hidden wherever a URL can carry them; the rest can be read."""
    assert shown == masked_url(url)


@pytest.mark.parametrize(
    ("text", "queues"),
    [
        ("critical=6,default=3", {"critical": 6, "default": 3}),
        (" low , high = 2 ", {"low": 1, "high": 2}),
        ("a=b=2", {"a=b": 2}),
    ],
)
def test_queues_are_read(text: str, queues: dict[str, int]) -> None:
    """A queue is NAME=WEIGHT, or NAME alone with weight 1; their order stays."""
    parsed = parse_queues(text)

    assert queues == parsed
    assert list(queues) == list(parsed)


@pytest.mark.parametrize("text", ["", ",", "=3", "a=", "a=x", "a=0", "a=-1", "a=1.5", "a=1,a=2"])
def test_bad_queues_are_refused(text: str) -> None:
    """The error says what is wrong and shows the form."""
    with pytest.raises(Exception, match=r"NAME=WEIGHT") as caught:
        parse_queues(text)

    assert type(caught.value).__name__ == "BadParameter"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"),
        (0.25, "250 ms"),
        (1.5, "1.5 s"),
        (61, "1 min 1 s"),
        (3_720, "1 h 2 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_durations_are_shown_in_two_units(seconds: float, shown: str) -> None:
    """Nobody has to count zeros."""
    assert shown == duration_text(seconds)


@pytest.mark.parametrize(
    ("size", "shown"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 << 30, "5.0 GiB"), (3 << 40, "3.0 TiB")],
)
def test_sizes_are_shown_in_powers_of_1024(size: int, shown: str) -> None:
    """The largest unit that leaves at least one of it."""
    assert shown == size_text(size)


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0, "0"),
        (9_999, "9999"),
        (10_000, "10k"),
        (12_345, "12.3k"),
        (999_400, "999k"),
        (999_900, "1M"),
        (2**40, "1.1T"),
    ],
)
def test_counts_are_shortened(number: int, shown: str) -> None:
    """Three digits say enough where there is little room."""
    assert short_count(number) == shown


def test_plural() -> None:
    """One of a thing is singular."""
    assert (
        plural(1, "file"),
        plural(0, "file"),
        plural(1234, "file"),
    ) == ("1 file", "0 files", "1,234 files")
    assert plural(2, "retry", "retries") == "2 retries"
