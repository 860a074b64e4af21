"""Redis key names: asynq's, to the letter."""

from __future__ import annotations

from datetime import date

import pytest

from headrace._broker import keys
from headrace._broker.keys import QueueKeys

LOW = QueueKeys("low")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (LOW.task("1"), "asynq:{low}:t:1"),
        (LOW.task_prefix, "asynq:{low}:t:"),
        (LOW.pending, "asynq:{low}:pending"),
        (LOW.active, "asynq:{low}:active"),
        (LOW.lease, "asynq:{low}:lease"),
        (LOW.scheduled, "asynq:{low}:scheduled"),
        (LOW.retry, "asynq:{low}:retry"),
        (LOW.archived, "asynq:{low}:archived"),
        (LOW.completed, "asynq:{low}:completed"),
        (LOW.groups, "asynq:{low}:groups"),
        (LOW.group("g"), "asynq:{low}:g:g"),
        (LOW.group_prefix, "asynq:{low}:g:"),
        (LOW.aggregation_set("g", "s"), "asynq:{low}:g:g:s"),
        (LOW.aggregation_sets, "asynq:{low}:aggregation_sets"),
        (LOW.paused, "asynq:{low}:paused"),
        (LOW.processed, "asynq:{low}:processed"),
        (LOW.failed, "asynq:{low}:failed"),
        (LOW.processed_on(date(2026, 1, 2)), "asynq:{low}:processed:2026-01-02"),
        (LOW.failed_on(date(2026, 12, 31)), "asynq:{low}:failed:2026-12-31"),
        (LOW.prefix, "asynq:{low}:"),
        (LOW.own_prefix, "headrace:{low}:"),
        (keys.server_key("h", 1, "u"), "asynq:servers:{h:1:u}"),
        (keys.workers_key("h", 1, "u"), "asynq:workers:{h:1:u}"),
        (keys.scheduler_key("h", 1, "u"), "asynq:schedulers:{h:1:u}"),
        (keys.scheduler_history_key("e"), "asynq:scheduler_history:e"),
        (keys.semaphore_key("s"), "asynq:sema:s"),
        (keys.QUEUES, "asynq:queues"),
        (keys.SERVERS, "asynq:servers"),
        (keys.WORKERS, "asynq:workers"),
        (keys.SCHEDULERS, "asynq:schedulers"),
        (keys.CANCEL_CHANNEL, "asynq:cancel"),
    ],
)
def test_names(name: str, expected: str) -> None:
    """Each name is the one that asynq uses."""
    assert name == expected


def test_unique_lock_names_type_and_payload() -> None:
    """The payload goes in as an MD5 in hex; without one, the name ends with the colon."""
    digest = "9dd4e461268c8034f5c8564e155c67a6"

    assert LOW.unique("t", b"x") == f"asynq:{{low}}:unique:t:{digest}"
    assert LOW.unique("t", None) == "asynq:{low}:unique:t:"


def test_all_keys_of_a_queue_share_its_slot() -> None:
    """The braces, which Redis Cluster hashes, hold the queue's name and nothing else."""
    properties = [name for name, value in vars(QueueKeys).items() if isinstance(value, property)]
    names = [str(getattr(LOW, name)) for name in properties]

    assert len(names) > 12
    assert all(name.split("{")[1].split("}")[0] == "low" for name in names)
