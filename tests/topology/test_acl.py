"""Redis users with as few rights as possible: what a client needs, and what a worker needs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import pytest

from headrace import BrokerError, Client, DuplicateTaskError, Server, Task, TaskState
from headrace._broker.scripts import SCRIPTS
from tests.server.helpers import Gate, eventually, job, serving
from tests.support.redis_server import RedisServer
from tests.topology.scenario import everything

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET: Final = "correct-horse"  # noqa: S105 - of a server that lives for a test

# Scripts run with the rights of who calls them, so that what they do counts, too.
CLIENT_COMMANDS: Final = frozenset(
    {
        *("eval", "evalsha", "ping", "time"),
        *("get", "set", "hmget", "hset", "llen", "lpush"),
        *("sadd", "scard", "zadd", "zcard", "zscore"),
    }
)
"""Enqueue with every option, look at tasks, wait for results."""

WORKER_COMMANDS: Final = CLIENT_COMMANDS | {
    *("info", "blmove", "subscribe"),
    *("del", "exists", "expire", "pexpire", "hdel", "hget", "incrby", "unlink"),
    *("lrange", "lrem", "lset", "ltrim", "rpop", "rpush", "smembers", "srem"),
    *("zmscore", "zrange", "zrangebyscore", "zrangestore", "zrem", "zremrangebyrank"),
    *("hsetnx", "lpos", "scan", "sismember", "ttl", "type"),
}
"""Run tasks, with groups, schedules, retention, recovery, and repair of what is broken."""

WORKER_KEYS: Final = ("~asynq:*", "~headrace:*", "&asynq:cancel")

CLIENT_SCRIPTS: Final = frozenset({"add_to_group", "enqueue", "schedule"})
WORKER_SCRIPTS: Final = frozenset(
    {
        *("aggregate", "aggregation_check", "annotate", "archive", "complete", "dequeue", "done"),
        *("drop_member", "expire_completed", "extend", "forward", "reclaim", "recover"),
        *("requeue", "retry", "set_limits", "taken_by", "trim_archive", "write_server"),
        *("first_tick", "tick", "write_scheduler"),
        *(name for name in SCRIPTS if name.startswith("audit_")),
    }
)


def rules(commands: frozenset[str], *patterns: str) -> list[str]:
    """Return the rules of a user that may do this and nothing else."""
    return [
        *("reset", "on", f">{SECRET}", "resetchannels", *patterns, "-@all"),
        *(f"+{command}" for command in sorted(commands)),
    ]


@pytest.fixture
def server(redis_executable: str) -> Iterator[RedisServer]:
    """A server with two users of few rights, and nobody else."""
    with RedisServer(redis_executable) as server, server.client() as admin:
        admin.execute_command("ACL", "SETUSER", "worker", *rules(WORKER_COMMANDS, *WORKER_KEYS))
        admin.execute_command("ACL", "SETUSER", "client", *rules(CLIENT_COMMANDS, "~asynq:*"))
        yield server


def url_of(server: RedisServer, user: str) -> str:
    """Return the URL by which a user connects."""
    return server.url.replace("redis://", f"redis://{user}:{SECRET}@")


def denials(server: RedisServer) -> list[str]:
    """Return what Redis denied to somebody."""
    with server.client() as admin:
        log = admin.acl_log()
        return [f"{entry['username']}: {entry['reason']} {entry['object']}" for entry in log]


async def test_users_get_along(server: RedisServer) -> None:
    """Client and worker do everything as the users that the documentation describes."""
    await everything(
        url_of(server, "worker"), producer=url_of(server, "client"), operator=server.url
    )

    assert [] == denials(server)


async def test_all_kinds_of_tasks_can_be_enqueued(server: RedisServer) -> None:
    """A client enqueues with every option as a user that may run nothing."""
    async with Client(url_of(server, "client")) as client:
        await client.ping()
        await client.enqueue(job("now"), unique=60, headers={"a": "b"})
        await client.enqueue(job("later"), process_in=600, unique=60)
        await client.enqueue(job("grouped"), group="g", unique=60)
        await client.enqueue(job("both"), group="g", process_in=600)
        await client.enqueue(job("due"), process_in=0)
        await client.enqueue_many([job(str(n)) for n in range(200)])
        with pytest.raises(DuplicateTaskError):
            await client.enqueue(job("now"), unique=60)

    assert [] == denials(server)


async def test_client_cannot_work(server: RedisServer) -> None:
    """A server that connects as a client is refused at its start, with the reason."""
    with pytest.raises(BrokerError, match="lacks a permission") as caught:
        await Server(url_of(server, "client"), Gate()).start()

    assert "NOPERM" == caught.value.code
    assert not caught.value.retryable


async def test_missing_right_is_told_once(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A right that is taken away while a worker runs is logged, and does not end it."""
    gate = Gate(is_open=True)

    async def is_told() -> bool:
        return any("lacks a permission" in one.getMessage() for one in caplog.records)

    async with (
        Client(url_of(server, "client")) as client,
        serving(url_of(server, "worker"), gate) as worker,
    ):
        with server.client() as admin:
            admin.execute_command("ACL", "SETUSER", "worker", "-rpop")
            await client.enqueue(job("x"))
            await eventually(is_told)
            assert "active" == worker.state
            admin.execute_command("ACL", "SETUSER", "worker", "+rpop")
        await gate.until_entered(1)

    assert ["x"] == gate.entered
    assert len([one for one in caplog.records if "permission" in one.getMessage()]) < 4


@pytest.mark.parametrize(
    ("scripts", "commands"),
    [(WORKER_SCRIPTS, WORKER_COMMANDS), (CLIENT_SCRIPTS, CLIENT_COMMANDS)],
    ids=["worker", "client"],
)
def test_scripts_use_no_other_commands(scripts: frozenset[str], commands: frozenset[str]) -> None:
    """Whatever way a script takes, it calls nothing that the user may not."""
    calls = re.compile(r"redis\.p?call\(\s*'(\w+)'")
    used = {name.lower() for script in scripts for name in calls.findall(SCRIPTS[script].body)}

    assert used <= commands


async def test_task_type_that_looks_like_a_command(server: RedisServer) -> None:
    """Rights are about keys, too: what tasks are called makes no difference."""
    async with Client(url_of(server, "client")) as client:
        info = await client.enqueue(Task("FLUSHALL", b"\r\nFLUSHALL\r\n"), queue="flush all")

    assert TaskState.PENDING == info.state
