"""A wrong argument of a typed task is an error of type, in mypy and in pyright."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CHECKED = HERE / "typed_tasks.py"
MARK = re.compile(r"# type: ignore\[[^]]+\] # pyright: ignore\[[^]]+\]$", re.MULTILINE)

pytestmark = pytest.mark.timeout(300)  # mypy's first run reads all packages.


def run(module: str, *args: str) -> subprocess.CompletedProcess[str]:
    """Run a type checker as a command."""
    pytest.importorskip(module, reason=f"needs {module}, of the dependency group typing")
    return subprocess.run(  # noqa: S603 - our own arguments
        [sys.executable, "-m", module, *args],
        cwd=HERE.parents[1],
        capture_output=True,
        check=False,
        text=True,
    )


def test_every_mistake_is_marked_for_both() -> None:
    """Marks of one type checker only would hide what the other does not see."""
    text = CHECKED.read_text("utf-8")

    assert (
        text.count("# type: ignore") == text.count("# pyright: ignore") == len(MARK.findall(text))
    )
    assert len(MARK.findall(text)) >= 20


def test_mypy_sees_the_mistakes_and_nothing_else() -> None:
    """Right calls pass, wrong ones are reported where they are marked."""
    done = run("mypy", "--strict", "--warn-unused-ignores", "--follow-imports=silent", str(CHECKED))

    assert (0, "Success") == (done.returncode, done.stdout[:7]), done.stdout + done.stderr


def test_pyright_sees_the_mistakes_and_nothing_else() -> None:
    """Right calls pass, wrong ones are reported where they are marked."""
    if run("pyright", "--version").returncode:
        pytest.skip("pyright cannot start: it downloads Node.js where there is none")
    done = run("pyright", "-p", str(HERE), "--pythonpath", sys.executable)

    assert (0, "0 errors") == (done.returncode, done.stdout[:8]), done.stdout + done.stderr
