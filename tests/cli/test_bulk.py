"""``task archiveall``, ``deleteall`` and ``runall``."""

from __future__ import annotations

import asyncio

import pytest

from headrace import Client, Task
from headrace._cli import confirm
from tests.cli.support import counts, invoke

COMMANDS = [
    ("archiveall", "pending", "archive", {"archived": 1}),
    ("deleteall", "completed", "delete", {}),
    ("runall", "retry", "run", {"pending": 1}),
]


@pytest.mark.parametrize(("command", "state", "action", "after"), COMMANDS)
def test_all_of_a_state(
    shop: str, command: str, state: str, action: str, after: dict[str, int]
) -> None:
    """A dry run counts, and changes nothing; --yes goes ahead."""
    arguments = ("task", command, "--redis", shop, "--queue", "shop", "--state", state, "--json")
    before = counts(shop)
    expected = {"action": action, "queue": "shop", "state": state, "group": None, "count": 1}

    assert invoke(*arguments, "--dry-run").json == {**expected, "dry_run": True}
    assert counts(shop) == before
    assert invoke(*arguments, "--yes").json == {**expected, "dry_run": False}

    del before[state]
    for name, number in after.items():
        before[name] = before.get(name, 0) + number
    assert counts(shop) == before


@pytest.fixture
def groups(memory_url: str) -> str:
    """The URL of a broker with 150 tasks in group "a" and one in group "b"."""

    async def enqueue() -> None:
        async with Client(memory_url) as client:
            await client.enqueue_many([Task("t", n) for n in range(150)], queue="shop", group="a")
            await client.enqueue(Task("t"), queue="shop", group="b")

    asyncio.run(enqueue())
    return memory_url


def test_of_a_group(groups: str) -> None:
    """--group limits it to that group."""
    arguments = ("--redis", groups, "--queue", "shop", "--state", "aggregating", "--group", "a")

    assert invoke("task", "runall", *arguments, "--dry-run", "--json").json["count"] == 150
    assert invoke("task", "runall", *arguments, "--yes").out == (
        "150 aggregating tasks of queue 'shop' of group 'a' made pending.\n"
    )
    assert counts(groups) == {"pending": 150, "aggregating": 1}


@pytest.mark.parametrize(("answer", "code", "left"), [("n\n", 1, 1), ("y\n", 0, 0)])
def test_confirmation(
    shop: str, answer: str, code: int, left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who sits at a terminal is asked, on standard error, with the number of tasks."""
    monkeypatch.setattr(confirm, "is_somebody_there", lambda: True)
    arguments = ("--redis", shop, "--queue", "shop", "--state", "archived")

    done = invoke("task", "deleteall", *arguments, typed=answer)

    assert done.code == code
    assert "Delete 1 archived task of queue 'shop'?" in done.words
    assert counts(shop).get("archived", 0) == left


def test_nobody_to_confirm(shop: str) -> None:
    """Without a terminal and without --yes nothing is changed."""
    done = invoke("task", "deleteall", "--redis", shop, "--queue", "shop", "--state", "retry")

    assert (done.code, done.out) == (1, "")
    assert "Standard input is no terminal" in done.words
    assert counts(shop)["retry"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("runall", "--queue", "shop", "--state", "completed"), "'completed' is not one of"),
        (("archiveall", "--queue", "shop", "--state", "retry", "--group", "g"), "have no group"),
        (("deleteall", "--state", "retry"), "--queue"),
        (("deleteall", "--queue", "shop"), "--state"),
    ],
)
def test_mistakes(shop: str, arguments: tuple[str, ...], message: str) -> None:
    """2, before anything is changed."""
    done = invoke("task", *arguments, "--redis", shop, "--yes")

    assert (done.code, done.out) == (2, "")
    assert message in done.words
