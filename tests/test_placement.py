"""Task and options -> what the broker writes."""

from __future__ import annotations

import hashlib
import uuid
from typing import TYPE_CHECKING

import pytest

from headrace._placement import placement
from headrace._task import NO_OPTIONS, Options, Task
from tests.support.randomness import seeded

if TYPE_CHECKING:
    import random


@pytest.fixture
def rng() -> random.Random:
    """Randomness that is the same in every run."""
    return seeded()


def test_defaults(rng: random.Random) -> None:
    """What is not given is asynq's default; the ID is a random UUID."""
    placed = placement(Task("t", b"x"), NO_OPTIONS, rng=rng)
    message = placed.message

    assert (message.type, message.payload, message.queue) == ("t", b"x", "default")
    assert (message.max_retry, message.timeout, message.deadline) == (25, 1800, 0)
    assert (message.retention, message.unique_key, message.group_key) == (0, "", "")
    assert dict(message.headers) == {}
    assert (placed.process_at, placed.process_in, placed.unique_ttl) == (None, None, None)
    assert uuid.UUID(message.id).version == 4


def test_ids_come_from_the_injected_source() -> None:
    """The same seed draws the same IDs, one after another different ones."""
    first, second = seeded(), seeded()
    ids = [placement(Task("t"), NO_OPTIONS, rng=first).message.id for _ in range(3)]

    assert ids == [placement(Task("t"), NO_OPTIONS, rng=second).message.id for _ in range(3)]
    assert len(set(ids)) == 3


def test_every_option_arrives(rng: random.Random) -> None:
    """Each option of enqueue is found in what is written."""
    options = Options.check(
        {
            "queue": "low",
            "max_retry": 3,
            "timeout": 10,
            "deadline": 2_000_000_000,
            "unique": 60,
            "task_id": "one",
            "process_at": 1_900_000_000.5,
            "retention": 99,
            "group": "g",
            "headers": {"k": "v"},
        }
    )
    placed = placement(Task("t", b"x"), options, rng=rng)
    message = placed.message

    assert (message.queue, message.max_retry, message.timeout) == ("low", 3, 10)
    assert (message.deadline, message.id, message.retention) == (2_000_000_000, "one", 99)
    assert (message.group_key, dict(message.headers)) == ("g", {"k": "v"})
    assert (placed.process_at, placed.process_in, placed.unique_ttl) == (1_900_000_000.5, None, 60)


def test_options_at_enqueue_come_before_those_of_the_task(rng: random.Random) -> None:
    """The task's own options are defaults; headers are joined."""
    task = Task("t", queue="a", max_retry=1, process_at=1_900_000_000, headers={"x": "1"})
    options = Options.check({"max_retry": 2, "process_in": 5, "headers": {"y": "2"}})
    placed = placement(task, options, rng=rng)

    assert (placed.message.queue, placed.message.max_retry) == ("a", 2)
    assert (placed.process_at, placed.process_in) == (None, 5.0)
    assert dict(placed.message.headers) == {"x": "1", "y": "2"}


def test_options_that_were_merged_already_stay_as_they_are(rng: random.Random) -> None:
    """Merging twice is merging once."""
    task = Task("t", queue="a", process_at=1_900_000_000)
    merged = task.options.overridden_by(Options.check({"process_in": 5, "task_id": "one"}))

    once = placement(Task("t"), merged, rng=rng)
    assert placement(task, merged, rng=rng) == once


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (1800, 0)),
        ({"timeout": 5}, (5, 0)),
        ({"deadline": 2_000_000_000}, (0, 2_000_000_000)),
        ({"timeout": 5, "deadline": 2_000_000_000}, (5, 2_000_000_000)),
    ],
)
def test_timeout_has_a_default_only_without_a_deadline(
    rng: random.Random, options: dict[str, int], expected: tuple[int, int]
) -> None:
    """A task with a deadline is bounded already."""
    message = placement(Task("t"), Options.check(options), rng=rng).message  # type: ignore[arg-type]

    assert (message.timeout, message.deadline) == expected


@pytest.mark.parametrize(
    ("payload", "digest"),
    [
        (b"x", hashlib.md5(b"x", usedforsecurity=False).hexdigest()),
        (b"", hashlib.md5(b"", usedforsecurity=False).hexdigest()),
        (None, ""),
    ],
)
def test_unique_key(rng: random.Random, payload: bytes | None, digest: str) -> None:
    """The lock's name tells an empty payload from an absent one."""
    message = placement(Task("t", payload), Options.check({"unique": 1}), rng=rng).message

    assert message.unique_key == f"asynq:{{default}}:unique:t:{digest}"


def test_no_retries_is_not_the_default(rng: random.Random) -> None:
    """0 is a value, not "not given"."""
    assert placement(Task("t", max_retry=0), NO_OPTIONS, rng=rng).message.max_retry == 0
