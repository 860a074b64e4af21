"""``headrace check``: what a person sees of the audit."""

from __future__ import annotations

import json

import pytest_asyncio
from typer.testing import CliRunner

from headrace._cli.app import app
from tests.audit.damage import KEYS
from tests.support.wire import plant, raw_client


def invoke(url: str, *arguments: str, typed: str = "") -> tuple[int, str, str]:
    """Run the command; return its exit code, its output and its errors."""
    done = CliRunner().invoke(app, ["check", "--redis", url, *arguments], input=typed)
    return done.exit_code, done.stdout, done.stderr


@pytest_asyncio.fixture
async def sound_url(redis_url: str) -> str:
    """The URL of a Redis that has one task. Nothing stays open: a command has its own loop."""
    client = raw_client(redis_url)
    await plant(client, "q", "pending")
    await client.aclose()
    return redis_url


@pytest_asyncio.fixture
async def damaged_url(sound_url: str) -> str:
    """The same, but the task is in no list."""
    client = raw_client(sound_url)
    await client.execute_command("DEL", KEYS.pending)
    await client.aclose()
    return sound_url


def test_sound(sound_url: str) -> None:
    """0, and a line that says so."""
    assert invoke(sound_url) == (0, "Nothing is wrong.\n", "")
    assert invoke(sound_url, "--json") == (0, "[]\n", "")


def test_findings(damaged_url: str) -> None:
    """1, and a table of what is wrong, with counts."""
    code, shown, _ = invoke(damaged_url)

    assert code == 1
    assert "pending, but in no container" in shown
    assert "1 finding (1 of rule 1): 0 repaired." in shown


def test_findings_as_json(damaged_url: str) -> None:
    """One array, with everything that is known of each."""
    code, shown, _ = invoke(damaged_url, "--json", "--queue", "q")

    [finding] = json.loads(shown)
    assert code == 1
    assert finding["invariant"] == 1
    assert (finding["queue"], finding["subject"], finding["repaired"]) == ("q", "pending", False)
    assert invoke(damaged_url, "--json", "--queue", "low")[:2] == (0, "[]\n")


def test_repair(damaged_url: str) -> None:
    """A dry run changes nothing; a repair asks first, ends with 0, and leaves nothing."""
    assert invoke(damaged_url, "--repair", "--dry-run")[0] == 1
    assert invoke(damaged_url, "--repair", typed="n\n")[0] == 1
    assert invoke(damaged_url)[0] == 1

    code, shown, _ = invoke(damaged_url, "--repair", "--yes")

    assert code == 0
    assert "1 repaired" in shown
    assert invoke(damaged_url)[0] == 0
