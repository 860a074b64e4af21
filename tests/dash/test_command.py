"""``headrace dash``: the command around the dashboard."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from headrace._cli.app import app
from headrace._cli.dash import command
from headrace._cli.dash.app import DashApp

if TYPE_CHECKING:
    from pathlib import Path


def python(code: str) -> subprocess.CompletedProcess[str]:
    """Run *code* in a process of its own."""
    return subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )


def test_missing_extra_is_named() -> None:
    """Without Textual the command says how to install it, in two lines."""
    done = python(
        "import sys; sys.modules['textual'] = None; sys.argv = ['headrace', 'dash'];"
        "from headrace.__main__ import main; main()"
    )

    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "Error: dash needs another package",
        'Install it: pip install "headrace[dash]"',
    ]


def test_help_loads_no_textual() -> None:
    """What is not used costs no time."""
    done = python(
        "import sys; from typer.testing import CliRunner; from headrace._cli.app import app;"
        "print(CliRunner().invoke(app, ['--help']).output); print('textual' in sys.modules)"
    )

    assert "dash" in done.stdout
    assert done.stdout.splitlines()[-1] == "False"


def test_needs_a_terminal(memory_url: str) -> None:
    """In a pipe it says what tells programs the numbers."""
    done = CliRunner().invoke(app, ["dash", "--redis", memory_url])

    assert done.exit_code == 2
    assert "dash needs a terminal" in done.stderr
    assert "headrace stats --json" in done.stderr


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[DashApp]:
    """What dashboards were run: none of them draws anything."""
    apps: list[DashApp] = []

    async def run_async(self: DashApp) -> None:
        apps.append(self)

    monkeypatch.setattr(command, "_check_terminal", lambda: None)
    monkeypatch.setattr(DashApp, "run_async", run_async)
    return apps


def test_options_reach_the_dashboard(memory_url: str, ran: list[DashApp]) -> None:
    """The interval, the right to change something, and the address."""
    options = ["--redis", memory_url, "--interval", "5", "--read-only"]
    done = CliRunner().invoke(app, ["dash", *options])

    [dashboard] = ran
    assert done.exit_code == 0
    assert (dashboard.poller.interval, dashboard.read_only) == (5.0, True)
    assert dashboard.where == memory_url


@pytest.mark.parametrize(("url", "code"), [("redis://u:secret@127.0.0.1:1", 69), ("htp://h", 2)])
def test_no_redis_ends_it(url: str, code: int, ran: list[DashApp], tmp_path: Path) -> None:
    """Where there is no Redis from the start, no screen opens; no password is shown."""
    done = CliRunner().invoke(app, ["dash", "--redis", url], env={"HOME": str(tmp_path)})

    assert (done.exit_code, ran) == (code, [])
    assert "secret" not in done.stderr
