"""What goes wrong between Redis and us: told apart in one place, and survived where it can be."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from redis import exceptions as redis_errors

from headrace._broker.commands import Call, Commands
from headrace._broker.faults import Fault, broker_error, classify
from headrace._errors import BrokerError
from tests.broker.helpers import KEYS, LEASE, Time, done, new, take

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace._broker.connections import Argument, Sender
    from headrace._broker.redis import RedisBroker
    from tests.support.wire import RawClient

SAFE, AMBIGUOUS, FATAL = Fault.RETRY_SAFE, Fault.AMBIGUOUS, Fault.FATAL
WRAPPED = "Error running script (call to f_6c): @user_script:8: @user_script: 8: -{} and so on"
FAULTS: list[tuple[Exception, Fault, str]] = [
    (redis_errors.BusyLoadingError("Redis is loading the dataset in memory"), SAFE, "LOADING"),
    (redis_errors.ReadOnlyError("You can't write against a read only replica."), SAFE, "READONLY"),
    (redis_errors.ResponseError("MISCONF Redis is configured to save RDB"), SAFE, "MISCONF"),
    (redis_errors.ResponseError("BUSY Redis is busy running a script."), SAFE, "BUSY"),
    (redis_errors.OutOfMemoryError("command not allowed when used memory"), SAFE, "OOM"),
    (redis_errors.ResponseError("NOREPLICAS Not enough good replicas"), SAFE, "NOREPLICAS"),
    (redis_errors.MasterDownError("Link with MASTER is down"), SAFE, "MASTERDOWN"),
    (redis_errors.ClusterDownError("The cluster is down"), SAFE, "CLUSTERDOWN"),
    (redis_errors.TryAgainError("Multiple keys request during rehashing"), SAFE, "TRYAGAIN"),
    (redis_errors.NoScriptError("No matching script."), SAFE, "NOSCRIPT"),
    (redis_errors.ResponseError("UNBLOCKED the instance became a replica"), SAFE, "UNBLOCKED"),
    *(
        (redis_errors.ResponseError(WRAPPED.format(code)), SAFE, code)
        for code in ("OOM", "MISCONF", "READONLY", "NOREPLICAS")
    ),
    (redis_errors.ResponseError(WRAPPED.format("WRONGTYPE")), FATAL, "WRONGTYPE"),
    (redis_errors.ResponseError("WRONGTYPE Operation against a key"), FATAL, "WRONGTYPE"),
    (redis_errors.NoPermissionError("this user has no permissions"), FATAL, "NOPERM"),
    (redis_errors.AuthenticationError("invalid username-password pair"), FATAL, "NOAUTH"),
    (redis_errors.ResponseError("ERR unknown command"), FATAL, "ERR"),
    (redis_errors.ResponseError("something odd"), FATAL, ""),
    (redis_errors.DataError("Invalid input"), FATAL, ""),
    (ConnectionRefusedError(111, "refused"), SAFE, ""),
    (redis_errors.ConnectionError("Error 111 connecting to localhost:1."), SAFE, ""),
    (redis_errors.TimeoutError("Timeout connecting to server"), SAFE, ""),
    (redis_errors.ConnectionError("Connection closed by server."), AMBIGUOUS, ""),
    (redis_errors.TimeoutError("Timeout reading from socket"), AMBIGUOUS, ""),
    (ConnectionResetError(104, "reset"), AMBIGUOUS, ""),
    (BrokenPipeError(32, "broken"), AMBIGUOUS, ""),
    (TimeoutError(), AMBIGUOUS, ""),
]


@pytest.mark.parametrize(("error", "fault", "code"), FAULTS, ids=lambda value: str(value)[:40])
def test_every_error_has_its_kind(error: Exception, fault: Fault, code: str) -> None:
    """Whether to repeat a command depends on whether it may have been applied."""
    mapped = broker_error(error)

    assert fault is classify(error)
    assert (fault is AMBIGUOUS, fault is not FATAL) == (mapped.ambiguous, mapped.retryable)
    assert code == mapped.code
    assert str(mapped).startswith("Redis ")
    assert mapped.__cause__ is error


async def test_scripts_come_back_after_a_flush(
    broker: RedisBroker, raw: RawClient, time: Time
) -> None:
    """A restarted Redis knows no scripts; nobody notices, nothing is done twice."""

    async def forget() -> None:
        await raw.execute_command("SCRIPT", "FLUSH")

    await forget()
    await broker.enqueue([new(str(n)) for n in range(3)])
    await forget()
    attempts = await take(broker)
    await forget()
    assert not (await broker.extend([attempt.lease for attempt in attempts], LEASE)).lost
    await forget()
    assert [1, 1, 1] == await broker.finish([done(attempt) for attempt in attempts])
    await forget()
    assert (await broker.forward("q")).now == time.now


class Script:
    """A sender that answers as it is told."""

    def __init__(self, *answers: list[object] | Exception) -> None:
        self._answers = list(answers)
        self.sent: list[Sequence[tuple[Argument, ...]]] = []

    async def send(self, commands: Sequence[tuple[Argument, ...]]) -> list[object]:
        """Return the next answer, or raise it."""
        self.sent.append(commands)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def nodes(self, key: str | None = None) -> Sequence[Sender]:  # noqa: ARG002 - it is one
        """Return itself."""
        return [self]

    async def close(self) -> None:
        """Do nothing."""


UNKNOWN = redis_errors.NoScriptError("No matching script.")


async def test_only_unknown_scripts_are_sent_again() -> None:
    """What Redis has run is not run twice."""
    sender = Script([1, UNKNOWN, 3], [2])
    calls: list[Call | tuple[str, ...]] = [
        Call("forward", (), ()),
        Call("reclaim", (), ()),
        ("PING",),
    ]

    assert [1, 2, 3] == await Commands(sender).run(*calls)
    [(command, body, *_)] = sender.sent[1]
    assert command == "EVAL"
    assert "reclaim.lua" in str(body)


async def test_half_a_round_trip_is_ambiguous() -> None:
    """If the connection breaks before the rest is sent again, a part has been applied."""
    refused = redis_errors.ConnectionError("Error 111 connecting to localhost:1.")
    calls = [Call("done", (), ()), Call("retry", (), ())]
    with pytest.raises(BrokerError) as caught:
        await Commands(Script([[1], UNKNOWN], refused)).run(*calls)
    assert caught.value.ambiguous

    with pytest.raises(BrokerError) as caught:
        await Commands(Script([UNKNOWN, UNKNOWN], refused)).run(*calls)
    assert not caught.value.ambiguous, "nothing was"


async def test_cancelled_commands_leave_no_reply_behind(real_time: RedisBroker) -> None:
    """Whoever comes next gets its own answer, not that of a call that was given up."""
    for _ in range(20):
        task = asyncio.create_task(real_time.enqueue([new("a")]))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert (await real_time.queue_stats("low")).pending == 0
        assert await real_time.get_task("low", "none") is None


async def test_many_calls_at_once(real_time: RedisBroker) -> None:
    """More calls than connections wait for each other, and all are answered."""
    answers = await asyncio.gather(*(real_time.enqueue([new(str(n))]) for n in range(60)))

    assert all(not isinstance(answer[0], Exception) for answer in answers)
    assert (await real_time.queue_stats("q")).pending == 60
    assert KEYS.pending
