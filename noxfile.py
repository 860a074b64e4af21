"""What a developer runs: ``nox -s NAME``; ``nox --list`` shows the names."""

from __future__ import annotations

import difflib
from pathlib import Path

import nox

PYPROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
PROTO = Path("src/headrace/_proto/asynq.proto")

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint", "typing", "proto", "docs", "tests"]
# Test with the Pythons that are here. nox would fail on the others where CI is set.
nox.options.error_on_missing_interpreters = False


@nox.session(default=False)
def demo(session: nox.Session) -> None:
    """Hash a directory's files in the background: ``nox -s demo -- PATH --json``."""
    session.install(".[cli]")
    session.run("python", "-m", "headrace", "demo", *session.posargs)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests on each Python that is found."""
    session.install("-e", ".[cli,test]")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session(default=False)
def interop(session: nox.Session) -> None:
    """Run the tests with Go programs, the long ones too: 20,000 tasks under kills, 20 minutes."""
    session.install("-e", ".[cli,test]")
    tests = ("tests/interop", "tests/interop/soak.py")
    options = ("--numprocesses=0", "-o", "log_cli=true", "-o", "log_cli_level=WARNING")
    session.run("python", "-m", "pytest", *tests, *options, *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check the code's style; ``-- --fix`` mends what can be mended."""
    session.install(*nox.project.dependency_groups(PYPROJECT, "lint"))
    fix = "--fix" in session.posargs
    session.run("ruff", "check", *(["--fix"] if fix else []))
    session.run("ruff", "format", *([] if fix else ["--check"]))


@nox.session
def typing(session: nox.Session) -> None:
    """Check the types: of everything by mypy, of the public names by pyright, as users see them."""
    groups = nox.project.dependency_groups(PYPROJECT, "typing", "bench")
    session.install("-e", ".[all,test]", *groups)
    session.run("mypy")
    session.run("pyright", "--verifytypes", "headrace", "--ignoreexternal")
    # What needs these packages is skipped elsewhere.
    session.run("python", "-m", "pytest", "tests/typing", "tests/benchmarks/test_report.py")


@nox.session
def docs(session: nox.Session) -> None:
    """Run the code in README and docs, and check the links between pages."""
    session.install("-e", ".[cli,test]")
    session.run("python", "-m", "pytest", "tests/test_docs.py", "tests/test_examples.py")


@nox.session
def proto(session: nox.Session) -> None:
    """Check that the generated code is current; ``-- --write`` generates it again."""
    session.install(*nox.project.dependency_groups(PYPROJECT, "proto"))
    source = Path("src")
    target = source if "--write" in session.posargs else Path(session.create_tmp())
    session.run(
        *("python", "-m", "grpc_tools.protoc", f"-I{source}"),
        *(f"--python_out={target}", f"--pyi_out={target}", PROTO.as_posix()),
    )
    stale = [
        line
        for suffix in ("_pb2.py", "_pb2.pyi")
        for line in _difference(source, target, f"headrace/_proto/asynq{suffix}")
    ]
    if stale:
        session.error("Run nox -s proto -- --write:\n" + "".join(stale[:40]))


def _difference(old: Path, new: Path, name: str) -> list[str]:
    before, after = (
        (root / name).read_text("utf-8").splitlines(keepends=True) for root in (old, new)
    )
    return list(difflib.unified_diff(before, after, f"{name} as it is", f"{name} as it should be"))


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Measure Headrace beside its peers: ``-- run --help``, ``-- report --help``."""
    session.install(".[all]", *nox.project.dependency_groups(PYPROJECT, "bench"))
    session.run("python", "-m", "benchmarks", *(session.posargs or ["run"]))
