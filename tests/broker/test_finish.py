"""finish: the five ends of an attempt, applied, repeated and lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headrace._broker.keys import QUEUES
from headrace._broker.values import Applied, Archive, Done, Finish
from headrace._message import decode_message
from tests.broker.helpers import (
    KEYS,
    Rules,
    Time,
    archive,
    complete,
    done,
    lease_of,
    new,
    requeue,
    retry,
    take,
    take_one,
)
from tests.support.wire import dump, encode, field, members, message_of, plant, take_as_go

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace._broker.redis import RedisBroker
    from headrace._broker.values import Attempt
    from tests.support.wire import RawClient

    End = Callable[[Attempt], Finish]

ENDS = {"done": done, "complete": complete, "retry": retry, "archive": archive, "requeue": requeue}
every_end = pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)


async def counters(raw: RawClient) -> tuple[int, int]:
    """Return how many tasks were processed and failed in all."""
    values = [await raw.execute_command("GET", key) for key in (KEYS.processed, KEYS.failed)]
    processed, failed = (int(value) if isinstance(value, bytes) else 0 for value in values)
    return processed, failed


# --- Applied -------------------------------------------------------------------------------


async def test_done(broker: RedisBroker, raw: RawClient) -> None:
    """The task is gone, its lock too; one was processed."""
    await broker.enqueue([new("a", unique=60)])
    attempt = await take_one(broker)

    assert [Applied.APPLIED] == await broker.finish([done(attempt)])
    left = {QUEUES, KEYS.processed, "asynq:{q}:processed:2023-11-14"}
    assert left - {QUEUES} == set(await dump(raw))
    assert (1, 0) == await counters(raw)


async def test_complete(broker: RedisBroker, raw: RawClient, time: Time) -> None:
    """The task is kept with its result until its retention ends; its lock is free."""
    await broker.enqueue([new("a", unique=60, retention=60)])
    attempt = await take_one(broker)

    assert [Applied.APPLIED] == await broker.finish([complete(attempt, result=b"\x00r")])
    assert await field(raw, "q", "a", "state") == "completed"
    assert await raw.execute_command("HGET", KEYS.task("a"), "result") == b"\x00r"
    score = await raw.execute_command("ZSCORE", KEYS.completed, "a")
    assert score == 1_700_000_061 >= time.now + 60, "whole seconds, and not too early"
    assert (await message_of(raw, "q", "a")).completed_at == 1_700_000_000
    assert await raw.execute_command("EXISTS", KEYS.unique("t", None)) == 0
    assert (1, 0) == await counters(raw)


@pytest.mark.parametrize("result", [None, b"", b"x" * 1_000_000])
async def test_complete_result(broker: RedisBroker, result: bytes | None) -> None:
    """No result is told apart from an empty one."""
    await broker.enqueue([new("a")])
    await broker.finish([complete(await take_one(broker), result=result)])
    task = await broker.get_task("q", "a")

    assert task is not None
    assert result == task.result


async def test_complete_keeps_what_the_handler_wrote(broker: RedisBroker) -> None:
    """A handler that returns nothing does not take back the result that it wrote."""
    await broker.enqueue([new("a")])
    attempt = await take_one(broker)
    await broker.annotate(attempt.lease, "result", b"written")
    await broker.finish([complete(attempt, result=None)])
    task = await broker.get_task("q", "a")

    assert task is not None
    assert task.result == b"written"


async def test_retry(broker: RedisBroker, raw: RawClient) -> None:
    """A failure counts, and puts the task off to a whole second that is not too early."""
    await broker.enqueue([new("a", unique=60)])
    attempt = await take_one(broker)

    assert [Applied.APPLIED] == await broker.finish([retry(attempt, delay=10)])
    assert await raw.execute_command("ZSCORE", KEYS.retry, "a") == 1_700_000_011
    assert await field(raw, "q", "a", "state") == "retry"
    message = await message_of(raw, "q", "a")
    assert (1, "oh") == (message.retried, message.error_msg)
    assert await raw.execute_command("GET", KEYS.unique("t", None)) == b"a", "it still is the one"
    assert (1, 1) == await counters(raw)


async def test_retry_of_what_is_no_failure(broker: RedisBroker, raw: RawClient) -> None:
    """It neither counts nor spends a retry."""
    await broker.enqueue([new("a")])
    await broker.finish([retry(await take_one(broker), is_failure=False)])

    assert (await message_of(raw, "q", "a")).retried == 0
    assert (0, 0) == await counters(raw)


async def test_archive(broker: RedisBroker, raw: RawClient) -> None:
    """The task is kept for a person to look at; its lock is free."""
    await broker.enqueue([new("a", unique=60)])

    assert [Applied.APPLIED] == await broker.finish([archive(await take_one(broker))])
    assert await raw.execute_command("ZSCORE", KEYS.archived, "a") == 1_700_000_000
    assert await field(raw, "q", "a", "state") == "archived"
    assert (await message_of(raw, "q", "a")).error_msg == "oh"
    assert await raw.execute_command("EXISTS", KEYS.unique("t", None)) == 0
    assert (1, 1) == await counters(raw)


async def test_requeue(broker: RedisBroker, raw: RawClient) -> None:
    """The task is back at the front, as if it had not been taken; it keeps its lock."""
    await broker.enqueue([new("a", unique=60), new("b"), new("c")])
    attempt = await take_one(broker)

    assert [Applied.APPLIED] == await broker.finish([requeue(attempt)])
    assert ["c", "b", "a"] == await members(raw, KEYS.pending)
    assert await field(raw, "q", "a", "pending_since") == "1700000000250000000"
    assert attempt.data == await raw.execute_command("HGET", KEYS.task("a"), "msg")
    assert await raw.execute_command("EXISTS", KEYS.unique("t", None)) == 1
    assert (0, 0) == await counters(raw)


async def test_requeue_keeps_the_order(broker: RedisBroker) -> None:
    """Tasks that are given back together run in the order in which they were taken."""
    await broker.enqueue([new(str(n)) for n in range(4)])
    attempts = await take(broker, 3, token="x")
    await broker.finish([requeue(attempt) for attempt in attempts])

    again = await take(broker, token="y")
    assert ["0", "1", "2", "3"] == [attempt.message.id for attempt in again]


async def test_requeue_of_many_keeps_the_order(bare: RedisBroker) -> None:
    """So do more than one call takes."""
    await bare.enqueue([new(f"{n:03}") for n in range(250)])
    attempts = await take(bare, 250, token="x")
    assert [Applied.APPLIED] * 250 == await bare.finish([requeue(a) for a in attempts])

    again = await take(bare, 250, token="y")
    assert [f"{n:03}" for n in range(250)] == [attempt.message.id for attempt in again]


async def test_ends_of_all_kinds_at_once(broker: RedisBroker, raw: RawClient) -> None:
    """Each answer is that of its attempt, whatever its queue and its kind."""
    await broker.enqueue([new(name) for name in ENDS])
    await broker.enqueue([new("x", queue="low"), new("y", queue="low")])
    attempts = await take(broker)
    others = await take(broker, queue="low")
    lost = Finish(lease_of("done", "stale"), Done())
    finishes = [end(attempt) for end, attempt in zip(ENDS.values(), attempts, strict=True)]
    answers = await broker.finish([*finishes[:2], lost, *finishes[2:], *map(done, others)])

    assert [1, 1, -1, 1, 1, 1, 1, 1] == answers
    assert (4, 2) == await counters(raw)


async def test_finish_more_than_one_call_takes(bare: RedisBroker) -> None:
    """250 ends at once are all applied."""
    await bare.enqueue([new(str(n)) for n in range(250)])

    assert [Applied.APPLIED] * 250 == await bare.finish([done(a) for a in await take(bare, 250)])


async def test_ends_of_old_and_new_tasks_of_a_long_active_list(
    bare: RedisBroker, raw: RawClient
) -> None:
    """With thousands of running tasks, the oldest, the newest and those between end alike."""
    await bare.enqueue([new(f"task-{n}") for n in range(1_300)])
    attempts = [one for _ in range(13) for one in await take(bare)]
    ended = [attempts[n] for n in (0, 1, 650, 1_298, 1_299)]

    assert [Applied.APPLIED] * 5 == await bare.finish([done(attempt) for attempt in ended])

    gone = {attempt.message.id for attempt in ended}
    left = {attempt.message.id for attempt in attempts} - gone
    assert left == set(await members(raw, KEYS.active))


async def test_finish_nothing(broker: RedisBroker) -> None:
    """No ends, no answers."""
    assert [] == await broker.finish([])


@every_end
async def test_end_given_twice(broker: RedisBroker, raw: RawClient, end: End) -> None:
    """Twice in one call is applied once."""
    await broker.enqueue([new("a")])
    finish = end(await take_one(broker))
    await broker.finish([finish, finish])

    holders = {"done": [], "requeue": ["a"]}
    name = next(name for name, function in ENDS.items() if function is end)
    assert holders.get(name, []) == await members(raw, KEYS.pending)


# --- Repeated ------------------------------------------------------------------------------


@every_end
async def test_repeat_of_what_was_applied(
    broker: RedisBroker, raw: RawClient, time: Time, end: End
) -> None:
    """If only the answer was lost, the repetition says so and writes nothing."""
    await broker.enqueue([new("a", unique=60)])
    finish = end(await take_one(broker))
    await broker.finish([finish])
    written = await dump(raw)
    time.advance(1)

    assert [Applied.REPEATED] == await broker.finish([finish], repeat=True)
    assert await dump(raw) == written


@every_end
async def test_repeat_of_what_was_not_applied(broker: RedisBroker, end: End) -> None:
    """If the call itself was lost, the repetition does what it should have."""
    await broker.enqueue([new("a")])

    assert [Applied.APPLIED] == await broker.finish([end(await take_one(broker))], repeat=True)


@every_end
async def test_second_end_without_repeat_is_lost(
    broker: RedisBroker, raw: RawClient, end: End
) -> None:
    """Who does not repeat a call has no claim on a task that has ended."""
    await broker.enqueue([new("a")])
    finish = end(await take_one(broker))
    await broker.finish([finish])
    written = await dump(raw)

    assert [Applied.LOST] == await broker.finish([finish])
    assert await dump(raw) == written


@every_end
async def test_repeat_does_not_touch_the_next_attempt(
    broker: RedisBroker, raw: RawClient, time: Time, end: End
) -> None:
    """A late repetition of a requeue or a retry leaves alone whoever runs the task now."""
    await broker.enqueue([new("a")])
    first = await take_one(broker, token="first")
    await broker.finish([requeue(first)])
    await take_one(broker, token="second")
    time.advance(1)
    written = await dump(raw)

    assert [Applied.LOST] == await broker.finish([end(first)], repeat=True)
    assert await dump(raw) == written


# --- Lost ----------------------------------------------------------------------------------


@every_end
async def test_end_of_an_attempt_that_lost_its_lease(
    broker: RedisBroker, raw: RawClient, time: Time, end: End
) -> None:
    """Another worker runs the task by now: nothing is written."""
    await broker.enqueue([new("a", unique=60)])
    zombie = await take_one(broker, token="zombie")
    time.advance(16)
    await broker.recover("q", max_crashes=3)
    await take_one(broker, token="heir")
    written = await dump(raw)

    assert [Applied.LOST] == await broker.finish([end(zombie)])
    assert [Applied.LOST] == await broker.finish([end(zombie)], repeat=True)
    assert await dump(raw) == written


@every_end
async def test_end_of_an_attempt_whose_task_waits_again(
    broker: RedisBroker, raw: RawClient, time: Time, end: End
) -> None:
    """The same, before anybody else has taken it."""
    await broker.enqueue([new("a")])
    zombie = await take_one(broker)
    time.advance(16)
    await broker.recover("q", max_crashes=3)
    written = await dump(raw)

    for repeat in (False, True):
        assert [Applied.LOST] == await broker.finish([end(zombie)], repeat=repeat)
    assert await dump(raw) == written


@every_end
async def test_end_after_the_lease_before_anybody_noticed(
    broker: RedisBroker, time: Time, end: End
) -> None:
    """A lease that has ended is still the attempt's own until somebody recovers the task."""
    await broker.enqueue([new("a")])
    attempt = await take_one(broker)
    time.advance(100)

    assert [Applied.APPLIED] == await broker.finish([end(attempt)])


@every_end
async def test_task_that_a_go_server_runs(
    broker: RedisBroker, raw: RawClient, rules: Rules, time: Time, end: End
) -> None:
    """Go's lease names no attempt, and ours of before has no claim on it."""
    rules.allow(12)  # The Go server's steps are not ours.
    await broker.enqueue([new("a")])
    ours = await take_one(broker)
    await broker.finish([retry(ours, delay=0)])
    await take_as_go(raw, "q", "a", int(time.now) + 30)
    written = await dump(raw)

    assert [Applied.LOST] == await broker.finish([end(ours)])
    assert [Applied.LOST] == await broker.finish([end(ours)], repeat=True)
    assert await dump(raw) == written


async def test_task_that_only_go_has_seen(broker: RedisBroker, raw: RawClient) -> None:
    """An attempt that Go began is nobody's of ours, whatever token comes."""
    await plant(raw, "q", "a", "active", score=1_700_000_030)
    written = await dump(raw)

    for token in ("", "token"):
        finish = Finish(lease_of("a", token), Done())
        assert [Applied.LOST] == await broker.finish([finish])
    assert await dump(raw) == written


async def test_task_that_never_was(broker: RedisBroker, raw: RawClient) -> None:
    """Without a hash there is nothing to hold; a repetition of a deletion has done its work."""
    finish = Finish(lease_of("a"), Done())

    assert [Applied.LOST] == await broker.finish([finish])
    assert [Applied.REPEATED] == await broker.finish([finish], repeat=True)
    assert [Applied.LOST] == await broker.finish(
        [Finish(lease_of("a"), Archive(encode("a")))], repeat=True
    )
    assert await dump(raw) == {}


@every_end
async def test_missing_lease_is_no_loss(
    broker: RedisBroker, raw: RawClient, rules: Rules, end: End
) -> None:
    """The attempt whose token stands in the hash holds the task, lease entry or not."""
    rules.allow(4)
    await broker.enqueue([new("a")])
    attempt = await take_one(broker)
    await raw.execute_command("DEL", KEYS.lease)

    assert [Applied.APPLIED] == await broker.finish([end(attempt)])


@every_end
async def test_missing_active_entry_is_no_loss(
    broker: RedisBroker, raw: RawClient, rules: Rules, end: End
) -> None:
    """Nor does a lost list of active tasks keep an attempt from ending."""
    rules.allow(1, 4, 12, 21)
    await broker.enqueue([new("a")])
    attempt = await take_one(broker)
    await raw.execute_command("DEL", KEYS.active)

    assert [Applied.APPLIED] == await broker.finish([end(attempt)])


async def test_unknown_fields_survive_a_retry(broker: RedisBroker, raw: RawClient) -> None:
    """What a newer program wrote into a message is still there after we changed it."""
    data = encode("a", headers={"k": "v"}) + b"\xfa\x3e\x03new"  # Field 1007, bytes.
    await plant(raw, "q", "a", data=data)
    await broker.finish([retry(await take_one(broker))])
    message = await message_of(raw, "q", "a")

    assert message.SerializeToString().endswith(b"\xfa\x3e\x03new")
    assert decode_message(message.SerializeToString()).retried == 1
