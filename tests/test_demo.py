"""The demo: right to the byte for any directory, on both brokers."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from headrace import Task
from headrace._cli.demo import tasks
from headrace._cli.demo.files import Examined, Listing, examine, extension, find_files
from headrace._cli.demo.report import Record, Report
from headrace._cli.demo.runner import run_demo
from headrace._cli.demo.tasks import Demo

if TYPE_CHECKING:
    from collections.abc import Iterable

    import redis

    from tests.support.redis_server import RedisServer

needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")
DEMO = [sys.executable, "-m", "headrace", "demo"]
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "HEADRACE_REDIS_URL"}


def demo(*arguments: str | bytes | Path) -> subprocess.CompletedProcess[str]:
    """Run the demo as a user does."""
    return subprocess.run(  # noqa: S603 - our own command
        [*DEMO, *arguments], capture_output=True, text=True, check=False, env=ENVIRONMENT
    )


def result_of(*arguments: str | bytes | Path) -> dict[str, object]:
    """Run the demo with ``--json``; return what it prints."""
    done = demo(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    result: dict[str, object] = json.loads(done.stdout)
    return result


def digest_of(files: Iterable[tuple[bytes, bytes]]) -> str:
    """Return the digest that files (path and content) should give."""
    lines = [hashlib.sha256(data).hexdigest().encode() + b"  " + p + b"\n" for p, data in files]
    return hashlib.sha256(b"".join(sorted(lines))).hexdigest()


def write_files(root: Path, files: dict[bytes, bytes]) -> None:
    """Write *files* under *root*."""
    for path, data in files.items():
        target = Path(os.fsdecode(os.path.join(os.fsencode(root), path)))  # noqa: PTH118 - of bytes
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


# --- Files -----------------------------------------------------------------------------------


@needs_posix
def test_finds_regular_files_only(tmp_path: Path) -> None:
    """Hidden directories count; links, pipes and empty directories do not. Sorted bytewise."""
    write_files(tmp_path, {b"b/x": b"", b".git/config": b"", b"b.txt": b"", b"B": b""})
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("B")
    (tmp_path / "loop").symlink_to(".")
    os.mkfifo(tmp_path / "pipe")

    assert find_files(os.fsencode(tmp_path)).paths == (b".git/config", b"B", b"b.txt", b"b/x")


def test_directory_that_cannot_be_listed_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies in it cannot be counted, but that it is there is not hidden."""
    write_files(tmp_path, {b"closed/x": b"", b"open": b""})
    scandir = os.scandir

    def guarded(path: bytes) -> contextlib.AbstractContextManager[object]:
        if path.endswith(b"closed/"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)

    root = os.fsencode(tmp_path)
    assert find_files(root) == Listing(root, (b"open",), ((b"closed/", "Permission denied"),))


def test_examine_counts_as_sha256sum_and_wc_do(tmp_path: Path) -> None:
    """Also over many chunks, and without a newline at the end."""
    data = os.urandom(700_000) + b"\nlast"
    path = tmp_path / "file"
    path.write_bytes(data)

    expected = Examined(hashlib.sha256(data).hexdigest(), len(data), data.count(b"\n"))
    assert examine(os.fsencode(path), stopped=threading.Event()) == expected


@needs_posix
@pytest.mark.parametrize("kind", ["link", "pipe", "gone"])
def test_examine_refuses_what_took_a_files_place(tmp_path: Path, kind: str) -> None:
    """It neither follows a link nor waits for a pipe's writer."""
    path = tmp_path / "file"
    if kind == "link":
        (tmp_path / "other").write_bytes(b"")
        path.symlink_to("other")
    elif kind == "pipe":
        os.mkfifo(path)

    with pytest.raises(OSError, match=r"link|regular|No such"):
        examine(os.fsencode(path), stopped=threading.Event())


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (b"a/b.PY", ".py"),
        (b"a.b/c", "(none)"),
        (b".gitignore", "(none)"),
        (b"ends.", "(none)"),
        (b"archive.tar.gz", ".gz"),
        ("x.größe".encode(), ".größe"),
        (b"x.{q}", "(other)"),
        (b"x.\xff", "(other)"),
        (b"x.a b", "(other)"),
        (b"x.\n", "(other)"),
        (b"x." + b"y" * 100, "(other)"),
    ],
)
def test_extension(path: bytes, kind: str) -> None:
    """Whatever a name holds, its extension can name a group."""
    assert extension(path) == kind


# --- Report ----------------------------------------------------------------------------------


async def test_report_counts_a_file_once() -> None:
    """Records that arrive twice, or are of no file, change nothing."""
    report = Report([b"a", b"b"])
    first = Record(file=0, sha256="0" * 64, size=5, lines=1, retried=1)

    report.add([first, first, Record(file=7, retried=0)])
    report.add([first])
    assert not report.complete.is_set()

    report.add([Record.of_failure(1, "Permission denied", retried=0)])
    assert report.complete.is_set()
    totals = report.totals()
    assert (totals.files, totals.bytes, totals.retried, totals.failed) == (1, 5, 1, 1)
    assert report.failures() == [(b"b", "Permission denied")]
    assert report.digest() == hashlib.sha256(b"0" * 64 + b"  a\n").hexdigest()


async def test_report_of_nothing_is_complete() -> None:
    """There is nothing to wait for."""
    assert Report([]).complete.is_set()


# --- The run ---------------------------------------------------------------------------------


async def run(listing: Listing) -> Report:
    """Run the demo's tasks in this process."""
    return await run_demo(listing, redis=None, concurrency=10, on_examined=lambda _: None)


async def test_unreadable_file_is_counted_and_named(tmp_path: Path) -> None:
    """A file that is gone when its turn comes is reported; the others go on."""
    (tmp_path / "here").write_bytes(b"1\n")

    report = await run(Listing(os.fsencode(tmp_path), (b"gone", b"here")))

    totals = report.totals()
    assert (totals.files, totals.bytes, totals.failed) == (1, 2, 1)
    assert report.failures() == [(b"gone", "No such file or directory")]
    assert report.digest() == digest_of([(b"here", b"1\n")])


async def test_tasks_that_run_twice_count_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Delivery is at least once: the totals are right all the same."""
    files = {b"%d" % number: b"x" * number for number in range(30)}
    write_files(tmp_path, files)
    once = Demo.tasks
    monkeypatch.setattr(Demo, "tasks", lambda demo: itertools.chain(once(demo), once(demo)))
    examined: list[int] = []

    report = await run_demo(
        find_files(os.fsencode(tmp_path)), redis=None, concurrency=3, on_examined=examined.append
    )

    assert report.totals().files == 30
    assert report.totals().bytes == sum(examined) == sum(range(30))
    assert report.digest() == digest_of(files.items())


async def test_task_that_is_given_up_counts_as_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The demo does not wait for a record that will never come."""
    monkeypatch.setattr(tasks, "FAIL_EVERY", 1)
    monkeypatch.setattr(tasks, "MAX_RETRY", 0)

    report = await run(Listing(os.fsencode(tmp_path), (b"a", b"b")))

    assert report.totals().failed == 2


async def test_report_that_is_given_up_ends_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it the counts would be wrong: the demo says so instead."""

    def spoil(_demo: Demo, _group: str, _tasks: object) -> Task:
        return Task(tasks.REPORT, {"records": "none"})

    monkeypatch.setattr(Demo, "aggregate", spoil)
    (tmp_path / "file").write_bytes(b"")

    report = await run(find_files(os.fsencode(tmp_path)))

    assert "demo:report" in report.problem


# --- The command -----------------------------------------------------------------------------


@needs_posix
@pytest.mark.parametrize("broker", ["memory", "redis"])
def test_any_name_gives_the_right_result(
    broker: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Names may hold newlines, braces, quotes, percent signs, and bytes that are no text."""
    files = {
        b"plain.txt": b"one\ntwo\n",
        b"no newline": b"x",
        b"empty.py": b"",
        b"line\nbreak.txt": b"\n",
        b"quote\"'{brace}%41.txt": b"q",
        b"\xff\xfe.bin": b"\x00" * 1000,
        b"deep/.hidden/\xc3\xa4.TXT": b"a\n" * 3,
        b"same/plain.txt": b"one\ntwo\n",
    }
    write_files(tmp_path, files)
    redis = ["--redis", request.getfixturevalue("redis_url")] if broker == "redis" else []

    result = result_of(tmp_path, *redis)

    seconds = result.pop("seconds")
    assert isinstance(seconds, float)
    assert result == {
        "files": len(files),
        "bytes": sum(map(len, files.values())),
        "lines": sum(data.count(b"\n") for data in files.values()),
        "retried": 0,
        "digest": digest_of(files.items()),
        "failed": 0,
    }


def test_every_hundredth_file_is_retried(tmp_path: Path) -> None:
    """Its first attempt fails on purpose, which the log does not mention."""
    files = {b"%03d.txt" % number: b"%d\n" % number for number in range(250)}
    write_files(tmp_path, files)

    done = demo(tmp_path, "--json", "--concurrency", "7")

    result = json.loads(done.stdout)
    assert (result["files"], result["retried"]) == (250, 2)
    assert result["digest"] == digest_of(files.items())
    assert done.stderr == ""


def test_empty_directory_is_no_error(tmp_path: Path) -> None:
    """All counts are 0, and the digest is that of nothing."""
    result = result_of(tmp_path)

    assert result["files"] == result["failed"] == 0
    assert result["digest"] == hashlib.sha256(b"").hexdigest()


def test_current_directory_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without PATH the files here are examined."""
    (tmp_path / "one").write_bytes(b"1")
    monkeypatch.chdir(tmp_path)

    assert result_of()["digest"] == digest_of([(b"one", b"1")])


def test_what_is_no_directory_is_a_usage_error(tmp_path: Path) -> None:
    """A missing PATH, and one of a file."""
    (tmp_path / "file").write_bytes(b"")

    assert demo(tmp_path / "missing").returncode == 2
    assert demo(tmp_path / "file").returncode == 2


def test_summary_shows_extensions_and_totals(tmp_path: Path) -> None:
    """Without --json it is for people: a table, then the totals."""
    write_files(tmp_path, {b"a.py": b"1\n", b"b.py": b"2\n", b"c": b"3\n"})

    shown = demo(tmp_path).stdout

    assert re.search(r"^\.py +2 +4 B +2 +0 +0$", shown, re.MULTILINE)
    assert re.search(r"^total +3 +6 B +3 +0 +0$", shown, re.MULTILINE)
    assert "3 files, 6 B, 3 lines" in shown
    assert "0 retries, 0 failed, through the embedded broker" in shown


def lasting_keys(client: redis.Redis) -> list[bytes]:
    """Return the keys that stay until somebody deletes them; a day's counts expire."""
    return [key for key in client.scan_iter() if client.ttl(key) < 0]


@needs_posix
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_demo_cleans_up(
    signum: signal.Signals, tmp_path: Path, redis_server: RedisServer
) -> None:
    """Ctrl+C ends it at once, in the middle of a large file, with code 130; nothing is left."""
    redis_server.flush()
    with (tmp_path / "large").open("wb") as file:
        file.truncate(1 << 40)
    command = [*DEMO, str(tmp_path), "--redis", redis_server.url]
    with (
        contextlib.closing(redis_server.client()) as client,
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process,  # noqa: S603 - our own
    ):
        try:
            # There is no event to wait for: another process takes the task.
            while not client.keys("asynq:{demo-*}:active"):
                time.sleep(0.01)
            process.send_signal(signum)
            assert process.stderr is not None
            errors = process.stderr.read()
        finally:
            process.kill()
        assert process.wait() == 130
        assert lasting_keys(client) == []
    assert "Traceback" not in errors


@needs_posix
def test_demo_leaves_nothing_on_redis(tmp_path: Path, redis_server: RedisServer) -> None:
    """It can run on a Redis that others use."""
    redis_server.flush()
    (tmp_path / "file").write_bytes(b"")

    assert result_of(tmp_path, "--redis", redis_server.url)["files"] == 1
    with contextlib.closing(redis_server.client()) as client:
        assert lasting_keys(client) == []


def test_redis_out_of_reach(tmp_path: Path) -> None:
    """One line and code 69, which tells a script that Redis is to blame."""
    (tmp_path / "file").write_bytes(b"")

    done = demo(tmp_path, "--redis", "redis://127.0.0.1:1")

    assert done.returncode == 69
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
