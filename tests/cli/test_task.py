"""``task``: one task, or some."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from headrace import Client, Router, Server, Task, TaskInfo
from tests.cli.support import counts, inspect, invoke

if TYPE_CHECKING:
    from pathlib import Path

STATES = ["pending", "scheduled", "retry", "archived", "completed", "aggregating"]


@pytest.mark.parametrize("state", STATES)
def test_ls(shop: str, state: str) -> None:
    """The tasks of a state, with what matters in it; nothing commands the terminal."""
    group = ("--group", "basket") if state == "aggregating" else ()
    arguments = ("task", "ls", "--redis", shop, "--queue", "shop", "--state", state, *group)
    done = invoke(*arguments)
    [info] = invoke(*arguments, "--json").json

    heading, row = done.out.splitlines()
    assert done.code == 0
    assert heading.split()[:3] == ["ID", "TYPE", "PAYLOAD"]
    assert row.split()[:2] == [state, state]
    assert "\x1b" not in done.out
    assert (info["id"], info["state"]) == (state, state)
    assert set(info) == set(TaskInfo.__dataclass_fields__)


def test_ls_shows_what_matters(shop: str) -> None:
    """Why a task failed, what it returned, when it is due."""
    command = ("task", "ls", "--redis", shop, "--queue", "shop", "--state")

    assert r"no \x1b[31mluck" in invoke(*command, "retry").out
    assert "never again" in invoke(*command, "archived").out
    assert '"done 1"' in invoke(*command, "completed").out
    assert "in 1 h " in invoke(*command, "scheduled").out


def test_ls_pages(memory_url: str) -> None:
    """A page after the other; one behind the last is empty."""

    async def enqueue() -> None:
        async with Client(memory_url) as client:
            await client.enqueue_many([Task("t", n) for n in range(5)])

    asyncio.run(enqueue())
    arguments = ("task", "ls", "--redis", memory_url, "--size", "2", "--json", "--page")

    pages = [[info["payload"] for info in invoke(*arguments, page).json] for page in "1234"]

    assert pages == [["0", "1"], ["2", "3"], ["4"], []]


def test_ls_of_groups_needs_one(shop: str) -> None:
    """Aggregating tasks are listed by their group, and the error says where those are."""
    done = invoke("task", "ls", "--redis", shop, "-q", "shop", "-s", "aggregating")

    assert (done.code, done.out) == (2, "")
    assert "headrace group ls --queue shop" in done.words


def test_inspect(shop: str) -> None:
    """All about one task. Bytes that are no text are marked as base64."""
    done = invoke("task", "inspect", "retry", "--redis", shop, "--queue", "shop")
    pending = invoke("task", "inspect", "pending", "--redis", shop, "-q", "shop", "--json").json

    assert done.code == 0
    assert r"no \x1b[31mluck" in done.out
    assert pending["payload"] == {"base64": "/wA="}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("inspect", "no", "--queue", "shop"), "holds no task with ID 'no'"),
        (("inspect", "no", "--queue", "shpo"), "The queues are: shop."),
        (("update-payload", "pending", "--queue", "shop", "--payload", "1"), "it is pending"),
        (("enqueue", "t", "--queue", "shop", "--id", "retry"), "already holds a task with ID"),
    ],
)
def test_what_is_not_there(shop: str, arguments: tuple[str, ...], message: str) -> None:
    """1, and a line that says what there is."""
    done = invoke("task", *arguments, "--redis", shop)

    assert (done.code, done.out) == (1, "")
    assert message in done.words


@pytest.mark.parametrize(
    ("verb", "task_id", "after"),
    [
        ("archive", "pending", {"archived": 2}),
        ("run", "scheduled", {"pending": 2}),
        ("delete", "completed", {}),
    ],
)
def test_change(shop: str, verb: str, task_id: str, after: dict[str, int]) -> None:
    """A dry run changes nothing; then it is done."""
    arguments = ("task", verb, task_id, "--redis", shop, "--queue", "shop")
    before = counts(shop)

    tried = invoke(*arguments, "--dry-run")
    assert (tried.code, counts(shop)) == (0, before)
    assert "would be" in tried.out
    yes = ("--yes",) if verb == "delete" else ()
    assert invoke(*arguments, *yes, "--json").json == [{"id": task_id, "ok": True, "error": None}]

    del before[task_id]
    assert counts(shop) == {**before, **after}


def test_change_many(shop: str) -> None:
    """Those that can be changed are; 1 and a line for each that cannot."""
    arguments = ("--redis", shop, "--queue", "shop")
    tried = invoke("task", "run", "retry", "pending", "--dry-run", *arguments)
    done = invoke("task", "run", "retry", "pending", "no", "scheduled", *arguments)

    assert (tried.code, done.code) == (1, 1)
    assert tried.out == "Task retry: would be made pending.\n"
    assert done.out == "Task retry: made pending.\nTask scheduled: made pending.\n"
    assert done.err.count("Error: ") == 2
    assert counts(shop)["pending"] == 3


def test_delete_asks(shop: str) -> None:
    """Without --yes, and with nobody to ask, nothing is deleted."""
    done = invoke("task", "delete", "retry", "--redis", shop, "--queue", "shop")

    assert (done.code, done.out) == (1, "")
    assert "--yes goes ahead" in done.words
    assert counts(shop)["retry"] == 1


async def test_cancel(redis_url: str) -> None:
    """A running task is cancelled by its worker; one that does not run is an error."""
    router, started, ended = Router(), asyncio.Event(), asyncio.Event()

    @router.task("long")
    async def run() -> None:
        started.set()
        try:
            await asyncio.sleep(600)
        finally:
            ended.set()

    async with Client(redis_url) as client, Server(redis_url, router):
        await client.enqueue(Task("long"), task_id="long")
        await started.wait()
        arguments = ("--redis", redis_url)
        active = await asyncio.to_thread(invoke, "task", "ls", "-s", "active", *arguments)
        servers = await asyncio.to_thread(invoke, "server", "ls", *arguments, "--tasks")
        done = await asyncio.to_thread(invoke, "task", "cancel", "long", *arguments)
        await ended.wait()
        await client.enqueue(Task("other"), task_id="other", process_in=60)
        refused = await asyncio.to_thread(invoke, "task", "cancel", "other", *arguments)

    assert active.out.splitlines()[1].split() == ["long", "long", "-", "0/25", "alive"]
    assert "default=1" in servers.out
    assert servers.code == 0
    assert (done.code, done.out) == (0, "Task long: asked to stop.\n")
    assert refused.code == 1
    assert "is not running" in refused.words


def test_enqueue(memory_url: str) -> None:
    """Every option reaches the task."""
    done = invoke(
        *("task", "enqueue", "email:welcome", "--redis", memory_url, "--json"),
        *("--payload", '{"user": 7}', "--queue", "mail", "--id", "seven", "--retry", "3"),
        *("--timeout", "1m30s", "--deadline", "2100-01-01T00:00:00Z", "--unique", "1h"),
        *("--process-in", "2h", "--retention", "7d", "--header", "a=b", "--header", "c=d=e"),
    )
    info = done.json

    assert (info["id"], info["queue"], info["type"]) == ("seven", "mail", "email:welcome")
    assert (info["payload"], info["max_retry"], info["timeout"]) == ('{"user":7}', 3, 90)
    assert (info["deadline"], info["retention"]) == (4102444800, 604800)
    assert info["headers"] == {"a": "b", "c": "d=e"}
    assert info["state"] == "scheduled"
    assert info["next_process_at"] == pytest.approx(time.time() + 7200, abs=60)
    again = invoke(
        *("task", "enqueue", "email:welcome", "--redis", memory_url, "--queue", "mail"),
        *("--payload", '{"user": 7}', "--unique", "60"),
    )
    assert again.code == 1
    assert "its uniqueness lock" in again.words


def test_enqueue_at_an_instant_and_into_a_group(memory_url: str) -> None:
    """--process-at is ISO 8601; a group is where it waits."""
    command = ("task", "enqueue", "t", "--redis", memory_url)
    later = invoke(*command, "--process-at", "2100-01-01T01:00:00+01:00", "--json").json
    grouped = invoke(*command, "--group", "g", "--json").json

    assert (later["state"], later["next_process_at"]) == ("scheduled", 4102444800)
    assert (grouped["state"], grouped["group"]) == ("aggregating", "g")


@pytest.mark.parametrize(
    ("payload", "typed", "sent"),
    [
        ('"text"', b"", b'"text"'),
        ("null", b"", b"null"),
        ("@data.bin", b"", b"\x00\xff"),
        ("-", b"not JSON\xff", b"not JSON\xff"),
    ],
)
def test_payloads(
    memory_url: str, directory: Path, payload: str, typed: bytes, sent: bytes
) -> None:
    """JSON, a file's bytes, or those of standard input."""
    (directory / "data.bin").write_bytes(b"\x00\xff")
    command = ("task", "enqueue", "t", "--redis", memory_url, "--id", "one")
    assert invoke(*command, "--payload", payload, typed=typed).code == 0

    info = inspect(memory_url, lambda inspector: inspector.get_task("default", "one"))
    assert info.payload == sent


def test_update_payload(shop: str) -> None:
    """A scheduled task gets another payload."""
    command = ("task", "update-payload", "scheduled", "--redis", shop, "--queue", "shop")

    assert invoke(*command, "--payload", "[2]").code == 0
    assert invoke(*command, "--payload", "[3]", "--json").json["payload"] == "[3]"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--payload", "{user: 7}"), "is not JSON"),
        (("--payload", "@missing"), "cannot read 'missing'"),
        (("--process-in", "1x"), "'1x' is no duration"),
        (("--process-at", "2030-01-01T00:00"), "says no time zone"),
        (("--process-at", "2030-01-01T00:00Z", "--process-in", "1"), "process_at is given too"),
        (("--header", "a"), "'a' is no KEY=VALUE"),
        (("--unique", "0.5"), "it must be at least 1 s"),
        (("--retry", "-1"), "--retry"),
        (("--queue", "a{b"), "braces"),
    ],
)
def test_enqueue_refuses(memory_url: str, arguments: tuple[str, ...], message: str) -> None:
    """2, with what is wrong; nothing is written."""
    done = invoke("task", "enqueue", "t", "--redis", memory_url, *arguments)

    assert (done.code, done.out) == (2, "")
    assert message in done.words
    assert inspect(memory_url, lambda inspector: inspector.queues()) == []
