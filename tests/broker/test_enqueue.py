"""enqueue, schedule and add to group: what is written, and what is refused."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Unpack

import pytest

from headrace._broker.keys import QUEUES
from headrace._broker.values import Placed
from headrace._errors import DuplicateTaskError, TaskIdConflictError
from headrace._message import decode_message
from headrace._task import TaskState
from tests.broker.helpers import KEYS, Options, Time, complete, done, new, retry, take, take_one
from tests.support.wire import ABSENT, dump, field, members, message_of

if TYPE_CHECKING:
    from headrace._broker.redis import RedisBroker
    from headrace._broker.values import Placement
    from tests.support.wire import RawClient

PENDING = Placed(TaskState.PENDING, 0.0)
KINDS: dict[str, Options] = {
    "pending": {},
    "scheduled": {"after": 60.0},
    "aggregating": {"group_key": "g"},
}


def of(kind: str, **more: Unpack[Options]) -> Options:
    """Return the options of a task that goes there."""
    return {**KINDS[kind], **more}


every_kind = pytest.mark.parametrize("kind", KINDS)


async def test_enqueue(broker: RedisBroker, raw: RawClient) -> None:
    """The hash, the queue's left end and the queue's name are written."""
    placement = new("a", payload=b"\x00\xff", headers={"k": "ü"})

    assert [PENDING] == await broker.enqueue([placement])
    assert ["a"] == await members(raw, KEYS.pending)
    assert ["q"] == await members(raw, QUEUES)
    message = await message_of(raw, "q", "a")
    assert decode_message(message.SerializeToString()) == placement.message
    assert await field(raw, "q", "a", "state") == "pending"
    assert await field(raw, "q", "a", "pending_since") == "1700000000250000000"
    assert await field(raw, "q", "a", "unique_key") is None


async def test_enqueue_is_first_in_first_out(broker: RedisBroker) -> None:
    """One consumer gets tasks in the order in which they were written, batch or not."""
    await broker.enqueue([new("1"), new("2")])
    await broker.enqueue([new("3")])

    assert ["1", "2"] == [attempt.message.id for attempt in await take(broker, 2, token="x")]
    assert ["3"] == [attempt.message.id for attempt in await take(broker, 2, token="y")]


async def test_enqueue_many_queues_at_once(broker: RedisBroker, raw: RawClient) -> None:
    """Each answer is that of its task, whatever its queue and kind."""
    await broker.enqueue([new("there")])
    answers = await broker.enqueue(
        [
            new("a"),
            new("b", queue="low", after=5),
            new("there"),
            new("c", group_key="g"),
            new("d", queue="low"),
        ]
    )

    assert PENDING == answers[0]
    assert Placed(TaskState.SCHEDULED, 1_700_000_006.0) == answers[1]
    assert isinstance(answers[2], TaskIdConflictError)
    assert Placed(TaskState.AGGREGATING, 0.0) == answers[3]
    assert PENDING == answers[4]
    assert ["low", "q"] == await members(raw, QUEUES)


async def test_enqueue_more_than_one_call_takes(broker: RedisBroker, raw: RawClient) -> None:
    """250 tasks in one go are all written, in their order."""
    ids = [f"{n:03}" for n in range(250)]

    assert [PENDING] * 250 == await broker.enqueue([new(task_id) for task_id in ids])
    assert ids[::-1] == await members(raw, KEYS.pending)


async def test_enqueue_nothing(broker: RedisBroker, raw: RawClient) -> None:
    """No tasks, no answers, nothing written."""
    assert [] == await broker.enqueue([])
    assert await dump(raw) == {}


# --- Conflicts -----------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["pending", "scheduled", "aggregating"])
async def test_id_conflict_tells_the_state(broker: RedisBroker, state: str) -> None:
    """An ID that is taken is refused, and the error tells what has it."""
    first = {
        "pending": new("a"),
        "scheduled": new("a", after=60),
        "aggregating": new("a", group_key="g"),
    }
    await broker.enqueue([first[state]])

    for again in first.values():
        [answer] = await broker.enqueue([again])
        assert isinstance(answer, TaskIdConflictError)
        assert ("q", "a", state) == (answer.queue, answer.task_id, answer.state)


async def test_id_conflict_with_active_and_completed(broker: RedisBroker) -> None:
    """An ID is free again once its task is gone, not before."""
    await broker.enqueue([new("a")])
    attempt = await take_one(broker)
    for state in ("active", "completed"):
        [answer] = await broker.enqueue([new("a")])
        assert isinstance(answer, TaskIdConflictError)
        assert state == answer.state
        if state == "active":
            await broker.finish([complete(attempt)])


async def test_same_id_in_another_queue(broker: RedisBroker) -> None:
    """IDs are unique within their queue only."""
    assert [PENDING, PENDING] == await broker.enqueue([new("a"), new("a", queue="low")])


@every_kind
async def test_twice_in_one_batch(broker: RedisBroker, kind: str) -> None:
    """Of an ID that comes twice in one call, the first is written and the second refused."""
    batch = [new("a", **of(kind, type=name)) for name in ("first", "second")]
    first, second = await broker.enqueue(batch)

    assert isinstance(first, Placed)
    assert isinstance(second, TaskIdConflictError)
    task = await broker.get_task("q", "a")
    assert task is not None
    assert task.type == "first"


# --- Uniqueness ----------------------------------------------------------------------------


async def test_unique_takes_the_lock(broker: RedisBroker, raw: RawClient) -> None:
    """The lock names its holder and lasts for the period; the hash names the lock."""
    digest = hashlib.md5(b"x", usedforsecurity=False).hexdigest()
    lock = f"asynq:{{q}}:unique:t:{digest}"
    await broker.enqueue([new("a", payload=b"x", unique=60)])

    assert await raw.execute_command("GET", lock) == b"a"
    assert await raw.execute_command("TTL", lock) == 60
    assert await field(raw, "q", "a", "unique_key") == lock
    assert (await message_of(raw, "q", "a")).unique_key == lock


@every_kind
async def test_duplicate_is_refused(broker: RedisBroker, kind: str) -> None:
    """A second task of the same type and payload is refused while the lock is held."""
    await broker.enqueue([new("a", payload=b"x", unique=60)])
    [answer] = await broker.enqueue([new("b", **of(kind, payload=b"x", unique=60))])

    assert isinstance(answer, DuplicateTaskError)
    assert ("q", "t", "a") == (answer.queue, answer.task_type, answer.holder)
    assert await broker.get_task("q", "b") is None


@every_kind
async def test_duplicates_in_one_batch(broker: RedisBroker, kind: str) -> None:
    """The first of two in one call gets the lock."""
    first, second = await broker.enqueue([new(task_id, **of(kind, unique=60)) for task_id in "ab"])

    assert isinstance(first, Placed)
    assert isinstance(second, DuplicateTaskError)
    assert second.holder == "a"


async def test_another_payload_or_queue_is_no_duplicate(broker: RedisBroker) -> None:
    """Only type, payload and queue together make a duplicate; no payload is one of its own."""
    answers = await broker.enqueue(
        [
            new("a", unique=60),
            new("b", payload=b"", unique=60),
            new("c", payload=b"x", unique=60),
            new("d", payload=b"x", type="u", unique=60),
            new("e", payload=b"x", queue="low", unique=60),
            new("f", payload=b"x"),
        ]
    )

    assert [PENDING] * 6 == answers


async def test_lock_of_a_scheduled_task_lasts_longer(broker: RedisBroker, raw: RawClient) -> None:
    """The period begins when the task is due: until then the lock is held, too."""
    await broker.enqueue([new("a", unique=60, after=100)])

    # Due at …100.25, so at …101: 100.75 s from now.
    assert await raw.execute_command("TTL", KEYS.unique("t", None)) == 161


async def test_lock_of_a_task_scheduled_for_the_past(broker: RedisBroker, raw: RawClient) -> None:
    """It lasts for the period, not less."""
    await broker.enqueue([new("a", unique=60, at=1_600_000_000)])

    assert await raw.execute_command("TTL", KEYS.unique("t", None)) == 60


async def test_lock_left_behind_by_the_same_id(broker: RedisBroker, raw: RawClient) -> None:
    """A lock whose holder is this very ID keeps nobody out."""
    await raw.execute_command("SET", KEYS.unique("t", None), "a")

    assert [PENDING] == await broker.enqueue([new("a", unique=60)])


# --- Schedule ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "due"),
    [
        ({"at": 1_700_000_100.0}, 1_700_000_100),
        ({"at": 1_700_000_100.001}, 1_700_000_101),
        ({"after": 10.0}, 1_700_000_011),
        ({"after": 9.75}, 1_700_000_010),
        ({"after": 0.5}, 1_700_000_001),
    ],
)
async def test_schedule_rounds_up(
    broker: RedisBroker, raw: RawClient, options: Options, due: int
) -> None:
    """Go's tools read whole seconds only; rounded up, nothing runs early."""
    assert [Placed(TaskState.SCHEDULED, due)] == await broker.enqueue([new("a", **options)])
    assert await raw.execute_command("ZSCORE", KEYS.scheduled, "a") == due
    assert await field(raw, "q", "a", "state") == "scheduled"


@pytest.mark.parametrize("placement", [new("a", at=1.0), new("a", at=1_700_000_000.0)])
async def test_what_is_due_already_is_pending_at_once(
    broker: RedisBroker, raw: RawClient, placement: Placement
) -> None:
    """A time that has come needs no forwarder."""
    assert [PENDING] == await broker.enqueue([placement])
    assert ["a"] == await members(raw, KEYS.pending)
    assert await raw.execute_command("EXISTS", KEYS.scheduled) == 0


async def test_schedule_with_group_keeps_the_group(broker: RedisBroker, raw: RawClient) -> None:
    """A task with a time and a group waits for the time first."""
    [answer] = await broker.enqueue([new("a", after=10, group_key="g")])

    assert Placed(TaskState.SCHEDULED, 1_700_000_011.0) == answer
    assert await field(raw, "q", "a", "group") == "g"


async def test_schedule_for_the_past_with_group(broker: RedisBroker, raw: RawClient) -> None:
    """It goes into its group at once, however long ago it was due."""
    for n, at in enumerate((1.0, 1_600_000_000.0, 1_700_000_000.0)):
        [answer] = await broker.enqueue([new(str(n), at=at, group_key="g")])
        assert Placed(TaskState.AGGREGATING, 0.0) == answer

    assert ["g"] == await members(raw, KEYS.groups)
    assert ["0", "1", "2"] == await members(raw, KEYS.group("g"))


# --- Groups --------------------------------------------------------------------------------


async def test_add_to_group(broker: RedisBroker, raw: RawClient) -> None:
    """The task waits in its group since now, and the group's name is known."""
    await broker.enqueue([new("a", group_key="g"), new("b", group_key="h:1")])

    assert ["g", "h:1"] == await members(raw, KEYS.groups)
    assert await raw.execute_command("ZSCORE", KEYS.group("g"), "a") == 1_700_000_000
    assert await field(raw, "q", "a", "state") == "aggregating"
    assert await field(raw, "q", "a", "group") == "g"
    assert await raw.execute_command("TYPE", KEYS.pending) == ABSENT.encode()


# --- A repeated call -----------------------------------------------------------------------


@every_kind
async def test_repeat_recognises_its_own_task(
    broker: RedisBroker, raw: RawClient, time: Time, kind: str
) -> None:
    """A call whose answer was lost finds what it wrote, and answers as it did before."""
    batch = [new("a", **of(kind, payload=b"x", unique=60))]
    answers = await broker.enqueue(batch)
    written = await dump(raw)
    time.advance(3)

    assert answers == await broker.enqueue(batch, repeat=True)
    assert await dump(raw) == written


async def test_repeat_writes_what_is_missing(broker: RedisBroker, raw: RawClient) -> None:
    """A call of which a part was applied is completed by its repetition."""
    await broker.enqueue([new("a")])

    assert [PENDING, PENDING] == await broker.enqueue([new("a"), new("b")], repeat=True)
    assert ["b", "a"] == await members(raw, KEYS.pending)


async def test_repeat_finds_a_task_that_runs(broker: RedisBroker) -> None:
    """A task that was written and taken meanwhile is reported as what it is now."""
    await broker.enqueue([new("a")])
    await take_one(broker)

    assert [Placed(TaskState.ACTIVE, 0.0)] == await broker.enqueue([new("a")], repeat=True)


async def test_repeat_is_no_excuse_for_other_bytes(broker: RedisBroker) -> None:
    """An ID that holds another message is a conflict, also for a repetition."""
    await broker.enqueue([new("a", payload=b"x")])
    [answer] = await broker.enqueue([new("a", payload=b"y")], repeat=True)

    assert isinstance(answer, TaskIdConflictError)


async def test_repeat_of_a_batch_with_an_id_twice(broker: RedisBroker) -> None:
    """The repetition refuses the same of the two as the call did."""
    batch = [new("a"), new("a")]
    first = await broker.enqueue(batch)
    again = await broker.enqueue(batch, repeat=True)

    assert [PENDING, PENDING] == [first[0], again[0]]
    assert [TaskIdConflictError] * 2 == [type(first[1]), type(again[1])]


async def test_repeat_does_not_bring_back_a_lock(broker: RedisBroker, raw: RawClient) -> None:
    """What the first try wrote is left alone: its task may have freed the lock already."""
    batch = [new("a", unique=60)]
    await broker.enqueue(batch)
    await broker.finish([complete(await take_one(broker))])
    await broker.enqueue(batch, repeat=True)

    assert await raw.execute_command("EXISTS", KEYS.unique("t", None)) == 0


# --- The lock's end ------------------------------------------------------------------------


async def test_lock_is_free_when_its_holder_is_done(broker: RedisBroker) -> None:
    """The next one of the same kind may come as soon as the first has ended."""
    await broker.enqueue([new("a", unique=60)])
    await broker.finish([done(await take_one(broker))])

    assert [PENDING] == await broker.enqueue([new("b", unique=60)])


async def test_lock_outlives_a_retry(broker: RedisBroker) -> None:
    """A task that failed and waits for its next attempt still is the only one."""
    await broker.enqueue([new("a", unique=60)])
    await broker.finish([retry(await take_one(broker))])
    [answer] = await broker.enqueue([new("b", unique=60)])

    assert isinstance(answer, DuplicateTaskError)


async def test_lock_of_another_is_left_alone(broker: RedisBroker, raw: RawClient) -> None:
    """A task whose lock ran out does not free the lock that another holds now."""
    lock = KEYS.unique("t", None)
    await broker.enqueue([new("a", unique=60)])
    await raw.execute_command("DEL", lock)  # As if its time had passed.
    await broker.enqueue([new("b", unique=60)])
    first, _ = await take(broker)
    await broker.finish([done(first)])

    assert await raw.execute_command("GET", lock) == b"b"
