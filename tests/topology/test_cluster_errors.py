"""What a cluster's client raises, and what becomes of it while one node is away."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest
from redis import exceptions as redis_errors

from headrace import Client, Task, TaskInfo, TaskState
from headrace._broker.connections import ClusterSender
from headrace._broker.faults import FOREIGN_ERRORS, broker_error
from headrace._broker.values import Placed
from headrace._errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.asyncio import RedisCluster

    from headrace import HeadraceError
    from headrace._broker.connections import Argument
    from headrace._broker.values import Placement


def wrapped(text: str, cause: Exception | None) -> redis_errors.RedisClusterException:
    """Return an error of the cluster's client."""
    error = redis_errors.RedisClusterException(text)
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "code", "retryable"),
    [
        (
            wrapped(
                "Redis Cluster cannot be connected. Please provide at least one reachable node",
                redis_errors.ConnectionError("Error 111 connecting to 127.0.0.1:1."),
            ),
            "",
            True,
        ),
        (
            wrapped(
                "Redis Cluster cannot be connected. Please provide at least one reachable node",
                redis_errors.AuthenticationError("WRONGPASS invalid username-password pair"),
            ),
            "NOAUTH",
            False,
        ),
        (wrapped("All slots are not covered after query all nodes", None), "CLUSTERDOWN", True),
        (wrapped("startup_nodes could not agree on a slots cache", None), "CLUSTERDOWN", True),
        (wrapped("No way to dispatch this command to Redis Cluster.", None), "", False),
        (
            redis_errors.ResponseError("The user executing the script can't run this command"),
            "NOPERM",
            False,
        ),
    ],
)
def test_errors_are_taken_for_what_they_are(
    error: Exception,
    code: str,
    retryable: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """A cluster that is being put together is worth another try; a refusal is not."""
    assert isinstance(error, FOREIGN_ERRORS)
    mapped = broker_error(error)

    assert (code, retryable, False) == (mapped.code, mapped.retryable, mapped.ambiguous)


class Nodes:
    """A cluster's client whose nodes answer with their key, or fail."""

    def __init__(self, away: dict[str, Exception]) -> None:
        self._away = away

    def pipeline(self, *, transaction: bool) -> Pipeline:
        """Return one for commands to one node."""
        assert not transaction
        return Pipeline(self._away)


class Pipeline:
    """Commands to one node."""

    def __init__(self, away: dict[str, Exception]) -> None:
        self._away = away
        self._keys: list[str] = []

    def execute_command(self, *command: Argument) -> None:
        """Take a command."""
        self._keys.append(str(command[3] if command[0] == "EVALSHA" else command[1]))

    async def execute(self, *, raise_on_error: bool) -> list[object]:
        """Answer with the keys."""
        assert not raise_on_error
        assert 1 == len(set(self._keys)), "one slot at a time"
        if self._keys[0] in self._away:
            raise self._away[self._keys[0]]
        return list(self._keys)


COMMANDS: Sequence[tuple[Argument, ...]] = [
    ("EVALSHA", "sha", 1, "a", "x"),
    ("GET", "b"),
    ("EVALSHA", "sha", 2, "a", "c"),
]
GONE = redis_errors.ConnectionError("Error 111 connecting to 127.0.0.1:1.")


def sender(away: dict[str, Exception]) -> ClusterSender:
    """Return what sends to those nodes."""
    return ClusterSender(cast("RedisCluster", Nodes(away)))


async def test_replies_come_in_order() -> None:
    """Whatever node answers, each command gets its own reply."""
    assert ["a", "b", "a"] == await sender({}).send(COMMANDS)


async def test_one_node_that_is_away_costs_no_other_reply() -> None:
    """What other nodes answered counts: their commands were applied."""
    assert [GONE, "b", GONE] == await sender({"a": GONE}).send(COMMANDS)


async def test_no_answer_at_all_is_raised() -> None:
    """Where no node answers, nothing did."""
    with pytest.raises(redis_errors.ConnectionError):
        await sender({"a": GONE, "b": GONE}).send(COMMANDS)


async def test_bug_is_not_taken_for_a_reply() -> None:
    """What no Redis raises goes through."""
    with pytest.raises(KeyError):
        await sender({"b": KeyError()}).send(COMMANDS)


async def test_only_what_got_no_answer_is_written_again(memory_url: str) -> None:
    """Of tasks that share a round trip, one whose node is away does not spoil the others."""
    async with Client(memory_url) as client:
        enqueue = client._broker.enqueue
        calls: list[tuple[list[bytes], bool]] = []

        async def partly(
            placements: Sequence[Placement], *, repeat: bool = False
        ) -> list[Placed | HeadraceError]:
            calls.append(([one.message.payload for one in placements], repeat))
            if len(calls) == 1:
                lost = BrokerError("its node is away", ambiguous=True)
                return [Placed(TaskState.PENDING, 0.0), lost, Placed(TaskState.PENDING, 0.0)]
            return await enqueue(placements, repeat=repeat)

        client._broker.enqueue = partly  # type: ignore[method-assign]
        infos = await client.enqueue_many([Task("t", name) for name in (b"a", b"b", b"c")])

    assert [([b"a", b"b", b"c"], False), ([b"b"], True)] == calls
    assert [b"a", b"b", b"c"] == [info.payload for info in infos]


async def test_what_never_gets_an_answer_fails_alone(memory_url: str) -> None:
    """The error of the one says that it may have been written; the others succeed."""
    async with Client(memory_url, timeout=0.2) as client:
        tries = 0

        async def partly(
            placements: Sequence[Placement], *, repeat: bool = False
        ) -> list[Placed | HeadraceError]:
            nonlocal tries
            tries += 1
            error = BrokerError("its node is away", ambiguous=tries == 1)
            return [
                error if one.message.payload == b"b" else Placed(TaskState.PENDING, 0.0)
                for one in placements
            ]

        client._broker.enqueue = partly  # type: ignore[method-assign]
        results = await client.enqueue_many([Task("t", b"a"), Task("t", b"b")], return_errors=True)

    assert isinstance(results[0], TaskInfo)
    assert isinstance(results[1], BrokerError)
    assert results[1].ambiguous
    assert tries > 1
