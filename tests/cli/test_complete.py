"""Shell completion, as the script for bash asks for it."""

from __future__ import annotations

import pytest

from headrace._cli import complete
from tests.cli.support import invoke


def completions(line: str, **variables: str) -> tuple[str, list[str]]:
    """Return what is offered for *line*, whose last word is incomplete, and its errors."""
    words = line.split(" ")
    done = invoke(
        _HEADRACE_COMPLETE="complete_bash",
        COMP_WORDS=line,
        COMP_CWORD=str(len(words) - 1),
        **variables,
    )
    return done.err, done.out.split()


def test_commands_and_states() -> None:
    """What the program knows by itself."""
    assert completions("headrace task ar") == ("", ["archive", "archiveall"])
    assert completions("headrace task runall --state sch") == ("", ["scheduled"])


def test_queues(shop: str) -> None:
    """The names of queues come from Redis, wherever it is said to be."""
    variables = {"HEADRACE_REDIS_URL": shop}

    assert completions("headrace queue pause sh", **variables) == ("", ["shop"])
    assert completions("headrace task ls --queue sh", **variables) == ("", ["shop"])
    assert completions("headrace queue pause x", **variables) == ("", [])
    assert completions(f"headrace --redis {shop} queue rm ") == ("", ["shop"])


@pytest.mark.parametrize(
    "variables",
    [{"HEADRACE_REDIS_URL": "redis://127.0.0.1:1"}, {"HEADRACE_CONFIG": "/not/there.toml"}],
)
def test_silence(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes wrong must not disturb who types."""
    monkeypatch.setattr(complete, "PATIENCE", 0.2)

    assert completions("headrace queue pause sh", **variables) == ("", [])
