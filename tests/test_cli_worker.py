"""``worker``: what it runs, what it says, and the codes that it ends with."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from headrace import Client, Task
from headrace._cli.app import app

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")

SHOP = """
    import contextlib, time
    from headrace import Router, Server

    router = Router()

    @router.task("shop:greet", retention=60)
    async def greet(name: str) -> str:
        return f"Hello, {name}!"

    @router.task("shop:hang")
    def hang() -> None:
        print("hanging", flush=True)
        time.sleep(600)

    @contextlib.asynccontextmanager
    async def ready():
        print("ready", flush=True)
        yield

    @contextlib.asynccontextmanager
    async def broken():
        raise ZeroDivisionError("cannot open the shop")
        yield

    memory = Server("memory://", router, lifespan=ready)
    bad_start = Server("memory://", router, lifespan=broken)
    secret = Server("redis://anna:pass-word@127.0.0.1:1", router)
    number = 42

    def create() -> Server:
        return memory.replace(queues={"made": 1})

    async def create_async() -> Server:
        return memory

    def create_named(name: str) -> Server:
        return memory

    def fail() -> Server:
        raise LookupError("no settings")
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A directory with the module ``shop``."""
    (tmp_path / "shop.py").write_text(dedent(SHOP))
    return tmp_path


def environment(**variables: str) -> dict[str, str]:
    """Return the environment of a worker."""
    names = {"HEADRACE_REDIS_URL", "FORCE_COLOR", "NO_COLOR"}
    kept = {name: value for name, value in os.environ.items() if name not in names}
    return {**kept, **variables}


def worker(shop: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a worker that ends by itself."""
    return subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "headrace", "worker", *arguments],
        cwd=shop,
        env=environment(**variables),
        capture_output=True,
        text=True,
        check=False,
    )


@contextlib.contextmanager
def running(shop: Path, *arguments: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """Run a worker that has to be ended. Its output is one stream."""
    with subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-m", "headrace", "worker", *arguments],
        cwd=shop,
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """Read the worker's lines up to the one with *text*; return all of them."""
    assert process.stdout is not None
    read = ""
    for line in process.stdout:
        read += line
        if text in line:
            return read
    raise AssertionError(f"It ended without {text!r}:\n{read}")


# --- What it runs ----------------------------------------------------------------------------


@needs_posix
async def test_router_with_url_runs_tasks(shop: Path, redis_url: str) -> None:
    """A router needs --redis; SIGTERM ends the worker with code 0."""
    with running(shop, "shop:router", "--redis", redis_url) as process:
        read_until(process, "Headrace runs")
        async with Client(redis_url) as client:
            info = await client.enqueue(Task("shop:greet", {"name": "Ada"}), retention=60)
            assert await client.result(info, timeout=60) == "Hello, Ada!"
        process.send_signal(signal.SIGTERM)

        assert process.wait() == 0


@needs_posix
def test_router_takes_the_url_of_the_environment(shop: Path) -> None:
    """HEADRACE_REDIS_URL stands in for --redis."""
    with running(shop, "shop:router", HEADRACE_REDIS_URL="memory://here") as process:
        read_until(process, "Headrace runs")
        process.send_signal(signal.SIGINT)

        assert process.wait() == 0


@needs_posix
def test_options_take_precedence_over_the_server(shop: Path) -> None:
    """The banner shows what will run."""
    options = ("--concurrency", "7", "--queues", "critical=6,low", "--strict")
    with running(shop, "shop:memory", *options, HEADRACE_REDIS_URL="redis://x") as process:
        banner = read_until(process, "ready")
        process.send_signal(signal.SIGTERM)
        process.wait()

    assert "queues critical=6 low=1 (strict); concurrency 7; tasks shop:greet, shop:hang" in banner


@needs_posix
def test_factory(shop: Path) -> None:
    """A function without arguments may make the server."""
    with running(shop, "shop:create") as process:
        assert "queues made=1" in read_until(process, "ready")
        process.send_signal(signal.SIGTERM)

        assert process.wait() == 0


@needs_posix
def test_log_as_json(shop: Path) -> None:
    """Every line of the log is an object, the banner too."""
    with running(shop, "shop:memory", "--log-format", "json") as process:
        read = read_until(process, "Headrace runs")
        process.send_signal(signal.SIGTERM)
        assert process.stdout is not None
        read += process.stdout.read()

    entries = [json.loads(line) for line in read.splitlines() if line != "ready"]
    assert entries[0]["worker"]["tasks"] == "shop:greet, shop:hang"
    assert entries[-1]["message"] == "Headrace has shut down"


@needs_posix
async def test_handler_that_hangs_cannot_keep_the_worker(shop: Path, redis_url: str) -> None:
    """Its task is said to be stuck, and the worker ends with code 1: it was not drained."""
    arguments = ("shop:router", "--redis", redis_url, "--shutdown-timeout", "0")
    with running(shop, *arguments) as process:
        async with Client(redis_url) as client:
            await client.enqueue(Task("shop:hang"))
        read_until(process, "hanging")
        process.send_signal(signal.SIGTERM)

        assert process.wait() == 1
        assert process.stdout is not None
        assert "stuck" in process.stdout.read()


# --- How it fails ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["shop"], "does not say what to run"),
        (["shop:sever"], "has no attribute 'sever'"),
        (["shpo:memory"], "Did you mean shop?"),
        (["shop:number"], "is of type int"),
        (["shop:create_async"], "is a coroutine function"),
        (["shop:create_named"], "missing a required argument: 'name'"),
        (["shop:router"], "Give --redis URL or set HEADRACE_REDIS_URL"),
        (["shop:memory", "--redis", "memory://"], "a Server, which has its own Redis"),
        (["shop:router", "--redis", "http://u:pass-word@h"], "the forms of a URL are"),
        (["shop:memory", "--queues", "a=0"], "NAME=WEIGHT"),
        (["shop:memory", "--queues", "a{b=1"], "braces"),
        (["shop:memory", "--concurrency", "0"], "--concurrency"),
        (["shop:memory", "--shutdown-timeout", "inf"], "shutdown_timeout=inf"),
        (["shop:memory", "--log-level", "loud"], "--log-level"),
        (["shop:memory", "--no-such-option"], "No such option"),
        ([], "Missing argument"),
    ],
)
def test_mistakes_of_the_user(
    shop: Path, arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They end with code 2 and a clear line, without a traceback and without credentials."""
    monkeypatch.chdir(shop)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "shop", raising=False)
    variables = {"COLUMNS": "200", "HEADRACE_REDIS_URL": None}

    done = CliRunner(env=variables).invoke(app, ["worker", *arguments])

    assert done.exit_code == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert "pass-word" not in done.stderr
    assert done.stdout == ""


def test_error_of_the_factory(shop: Path) -> None:
    """The user's own fault: their traceback, and code 1."""
    done = worker(shop, "shop:fail")

    assert done.returncode == 1
    assert 'raise LookupError("no settings")' in done.stderr
    assert "cli" not in done.stderr


def test_error_at_the_start(shop: Path) -> None:
    """What a lifespan raises ends the worker with code 1, and is shown."""
    done = worker(shop, "shop:bad_start")

    assert done.returncode == 1
    assert "ZeroDivisionError: cannot open the shop" in done.stderr


def test_redis_out_of_reach(shop: Path) -> None:
    """Code 69 tells a supervisor that a pause may help; the log has the reason in one line."""
    done = worker(shop, "shop:secret")

    assert done.returncode == 69
    assert "Redis did not answer" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert "pass-word" not in done.stderr


# --- Reload ----------------------------------------------------------------------------------


@needs_posix
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_reload_restarts_on_a_change(shop: Path, signum: signal.Signals) -> None:
    """A changed file is in effect at once; a signal ends the worker, then its supervisor."""
    pytest.importorskip("watchfiles")
    with running(shop, "shop:memory", "--reload") as process:
        read_until(process, "Headrace runs")
        module = shop / "shop.py"
        module.write_text(module.read_text().replace('print("ready"', 'print("restocked"'))
        read = read_until(process, "restocked") + read_until(process, "Headrace runs")
        assert "shop.py changed: restarting the worker" in read
        assert "Headrace has shut down" in read
        process.send_signal(signum)

        assert process.wait() == 0


@needs_posix
def test_reload_survives_a_mistake(shop: Path) -> None:
    """A module that cannot be imported waits for the next change."""
    pytest.importorskip("watchfiles")
    module = shop / "shop.py"
    good = module.read_text()
    module.write_text("def")
    with running(shop, "shop:memory", "--reload") as process:
        read_until(process, "raised SyntaxError")
        module.write_text(good)
        read_until(process, "Headrace runs")
        process.send_signal(signal.SIGTERM)

        assert process.wait() == 0
