"""``stats`` and ``version``, and what all commands have in common."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys

import pytest
from typer.testing import CliRunner

import headrace
from headrace import Client, QueueStats, Router, Server, Task
from headrace._cli.app import app


def invoke(*arguments: str, **variables: str) -> tuple[int, str, str]:
    """Run a command; return its exit code, its output and its errors."""
    runner = CliRunner(env={"HEADRACE_REDIS_URL": None, "COLUMNS": "80", **variables})
    done = runner.invoke(app, arguments)
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture
async def stats_url(redis_url: str) -> str:
    """The URL of a Redis with two queues; one task of "default" is done."""
    router = Router()
    router.handler("job:")(print)
    async with Client(redis_url) as client:
        info = await client.enqueue(Task("job:done"), retention=60)
        async with Server(redis_url, router):
            await client.result(info, timeout=60)
        await client.enqueue_many([Task("job:new") for _ in range(3)], queue="low")
        await client.enqueue(Task("job:later"), queue="low", process_in=60)
    return redis_url


def test_stats_as_json(stats_url: str) -> None:
    """Everything that is known of each queue, and of Redis."""
    code, shown, errors = invoke("stats", "--redis", stats_url, "--json")

    default, low = json.loads(shown)["queues"]
    redis = json.loads(shown)["redis"]
    assert (code, errors) == (0, "")
    assert (default["queue"], default["size"]) == ("default", 0)
    assert (default["completed"], default["processed"], default["failed"]) == (1, 1, 0)
    assert (low["queue"], low["size"], low["pending"], low["scheduled"]) == ("low", 4, 3, 1)
    assert low["latency"] > 0
    assert set(low) == {*QueueStats.__dataclass_fields__, "size"}
    assert set(redis) == {"version", "uptime", "clients", "memory", "memory_peak"}
    assert redis["memory"] > 0


def test_stats_as_table(stats_url: str) -> None:
    """A line a queue, their sum, and Redis. The URL may come from the environment."""
    code, shown, _ = invoke("stats", HEADRACE_REDIS_URL=stats_url)

    heading, default, low, total, _, redis = shown.splitlines()
    assert code == 0
    assert heading.split()[:4] == ["QUEUE", "SIZE", "PENDING", "ACTIVE"]
    assert default.split()[:3] == ["default", "0", "0"]
    assert low.split()[:6] == ["low", "4", "3", "0", "1", "0"]
    assert total.split()[:5] == ["in", "all", "4", "3", "0"]
    assert redis.startswith("Redis ")
    assert "of memory" in redis


def test_stats_of_one_queue(stats_url: str) -> None:
    """--queue shows that one; a queue that is not there is a mistake."""
    shown = invoke("stats", "--redis", stats_url, "--queue", "low", "--json")[1]
    (low,) = json.loads(shown)["queues"]
    assert low["queue"] == "low"

    code, shown, errors = invoke("stats", "--redis", stats_url, "--queue", "lwo")
    assert (code, shown) == (1, "")
    assert "The queues are: default, low." in errors


def test_stats_without_queues() -> None:
    """A new Redis has none, which is no error."""
    code, shown, errors = invoke("stats", "--redis", "memory://empty", "--json")
    assert (code, errors) == (0, "")
    assert json.loads(shown) == {"queues": [], "redis": None}
    assert "No queues yet" in invoke("stats", "--redis", "memory://empty")[1]


@pytest.mark.parametrize(
    ("url", "code"), [("redis://u:pass-word@127.0.0.1:1", 69), ("htp://u:pass-word@h", 2)]
)
def test_stats_of_no_redis(url: str, code: int) -> None:
    """69 if it is out of reach, 2 if the URL is wrong. The password is not shown."""
    found, shown, errors = invoke("stats", "--redis", url)

    assert (found, shown) == (code, "")
    assert errors.startswith("Error: ")
    assert "pass-word" not in errors


def test_version() -> None:
    """What a report of a fault should say."""
    code, shown, _ = invoke("version", "--json")

    versions = json.loads(shown)
    assert code == 0
    assert versions["headrace"] == headrace.__version__
    assert versions["python"] == platform.python_version()
    assert headrace.__version__ in invoke("version")[1]


def headrace_command(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m headrace`` as a user does."""
    return subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "headrace", *arguments],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_no_color_is_respected() -> None:
    """FORCE_COLOR gives colours without a terminal; NO_COLOR takes them away again."""
    forced = {"FORCE_COLOR": "1", "TERM": "xterm-256color"}

    assert "\x1b[1;31m" in headrace_command("stats", "--redis", "x:", **forced).stderr
    plain = headrace_command("stats", "--redis", "x:", NO_COLOR="1", **forced).stderr
    assert "\x1b[1;31m" not in plain
    assert "31m" not in plain


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_missing_extra_is_named(missing: str) -> None:
    """Without the extra the command says how to install it, in one line."""
    code = (
        f"import sys; sys.modules[{missing!r}] = None; from headrace.__main__ import main; main()"
    )
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        'The command line needs more packages. Install them: pip install "headrace[cli]"'
    ]


def test_help_names_the_commands() -> None:
    """Without arguments the help is shown; it is quick, since it loads no Redis."""
    shown = invoke("--help")[1]
    assert all(name in shown for name in ("worker", "demo", "stats", "version"))
    for name in ("worker", "demo", "stats", "version"):
        assert invoke(name, "--help")[0] == 0
