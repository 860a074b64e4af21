"""``MODULE:NAME`` on the command line: what it finds, and what it says when it finds nothing."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from headrace._cli.failure import CliError, ExitCode
from headrace._cli.target import load_target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Writes a module into the current directory, and forgets it afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)

    def write(path: str, code: str) -> None:
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(dedent(code))

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


def failure(spec: str) -> CliError:
    """Return how loading *spec* fails."""
    with pytest.raises(CliError) as caught:
        load_target(spec)
    return caught.value


def test_finds_what_is_named(write: Callable[[str, str], None]) -> None:
    """The current directory is on the import path, and a name may have dots."""
    write("shop_a/tasks.py", "class Tools:\n    server = 42")

    assert load_target("shop_a.tasks:Tools.server") == 42


@pytest.mark.parametrize("spec", ["tasks", "", ":", "tasks:", ":server"])
def test_incomplete_target_shows_the_form(spec: str) -> None:
    """A target without module or name is a usage error that shows how to write it."""
    error = failure(spec)

    assert error.code == ExitCode.USAGE
    assert "myapp.tasks:server" in error.hint


def test_path_of_a_file_suggests_the_module(write: Callable[[str, str], None]) -> None:
    """Who completes a path in the shell is told the module's name."""
    write("shop_b/tasks.py", "server = 1")

    assert "shop_b.tasks:server" in failure("./shop_b/tasks.py:server").hint


@pytest.mark.parametrize(
    ("spec", "missing", "suggestion"),
    [
        ("shop_cc:server", "shop_cc", "shop_c"),
        ("shop_c.task:server", "shop_c.task", "tasks"),
        ("no_such_thing_at_all:server", "no_such_thing_at_all", "Run from the directory"),
    ],
)
def test_missing_module(
    write: Callable[[str, str], None], spec: str, missing: str, suggestion: str
) -> None:
    """The error names the module that is missing, and one that is spelt alike."""
    write("shop_c/__init__.py", "")
    write("shop_c/tasks.py", "")

    error = failure(spec)

    assert error.code == ExitCode.USAGE
    assert repr(missing) in error.message
    assert suggestion in error.hint


def test_missing_name_suggests_a_similar_one(write: Callable[[str, str], None]) -> None:
    """A typing error in the name is a usage error."""
    write("shop_d.py", "server = 1")

    error = failure("shop_d:sever")

    assert error.code == ExitCode.USAGE
    assert error.hint == "Did you mean server?"


def test_missing_name_lists_what_could_run(write: Callable[[str, str], None]) -> None:
    """Where nothing is spelt alike, the module's routers and servers are named."""
    write("shop_e.py", "import headrace\ntasks = headrace.Router()")

    assert failure("shop_e:worker").hint == "It has tasks."


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("import no_such_package", "ModuleNotFoundError"),
        ("def boom():\n    raise ValueError('bad \\x1b[2J')\nboom()", "ValueError"),
        ("def", "SyntaxError"),
    ],
)
def test_error_of_the_module_shows_its_traceback(
    write: Callable[[str, str], None], code: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A fault in the user's module is shown from their first line on, without our own."""
    write("shop_f.py", code)

    error = failure("shop_f:server")

    shown = capsys.readouterr().err
    assert error.code == ExitCode.FAILURE
    assert kind in error.message
    assert kind in shown
    assert str(Path("shop_f.py").resolve()) in shown
    assert "headrace" not in shown
    assert "\x1b" not in shown
