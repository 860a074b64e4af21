"""The rate semaphore: slots shared by handlers everywhere, Go's included."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
import math
import time as wall
from typing import TYPE_CHECKING, cast

import pytest
import pytest_asyncio

from headrace import (
    BrokerError,
    InvalidOptionError,
    RateLimitedError,
    RateSemaphore,
    TaskState,
    current_context,
)
from headrace._broker.keys import semaphore_key
from tests.server.helpers import PATIENCE, Watch, job, serving
from tests.support.wire import dump

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from headrace import Client, Task
    from headrace._broker.redis import RedisBroker
    from tests.broker.helpers import Time
    from tests.support.wire import RawClient

    RunOne = Callable[[TaskState], Awaitable[None]]

KEY = semaphore_key("api")


@pytest_asyncio.fixture
async def semaphore(broker_url: str) -> AsyncIterator[RateSemaphore]:
    """Two slots."""
    async with RateSemaphore(broker_url, "api", 2) as semaphore:
        yield semaphore


@pytest_asyncio.fixture
async def run_one(
    broker_url: str, client: Client, semaphore: RateSemaphore, watch: Watch
) -> RunOne:
    """Runs one task that needs a slot, and returns when it is in a state."""

    async def handler(_task: Task) -> None:
        async with semaphore.slot():
            pass

    async def run(state: TaskState) -> None:
        async with serving(broker_url, handler, state_prober=watch.prober):
            info = await client.enqueue(job("t"), max_retry=0)
            await watch.until(info, state)

    return run


async def holders(raw: RawClient) -> dict[bytes, float]:
    """Return who holds a slot, and until when."""
    key = (await dump(raw)).get(KEY)
    return {} if key is None else cast("dict[bytes, float]", key.content)


def soon() -> float:
    """Return an instant in a minute."""
    return wall.time() + 60


# --- On the wire, with a time of the test's ------------------------------------------------


async def test_acquire_writes_what_go_does(bare: RedisBroker, raw: RawClient, time: Time) -> None:
    """A slot is a member of asynq's sorted set: the task's ID, scored with its deadline."""
    assert await bare.acquire_token("api", 2, "a", 1_700_000_060)

    assert "asynq:sema:api" == KEY
    assert {b"a": 1_700_000_060.0} == await holders(raw)


async def test_no_more_holders_than_tokens(bare: RedisBroker) -> None:
    """The next one gets a slot only when one was given back."""
    until = 1_700_000_060
    taken = [await bare.acquire_token("api", 2, holder, until) for holder in "abc"]
    given_back = await bare.release_token("api", "a")
    again = [await bare.acquire_token("api", 2, holder, until) for holder in "ca"]

    assert [True, True, False] == taken
    assert given_back
    assert [True, False] == again


async def test_holders_of_go_count(bare: RedisBroker, raw: RawClient) -> None:
    """Slots that a Go program took are taken."""
    await raw.execute_command("ZADD", KEY, 1_700_000_060, "go-1", 1_700_000_060, "go-2")

    assert not await bare.acquire_token("api", 2, "a", 1_700_000_060)
    await raw.execute_command("ZREM", KEY, "go-1")
    assert await bare.acquire_token("api", 2, "a", 1_700_000_060)


async def test_slot_ends_in_the_second_after_its_deadline(
    bare: RedisBroker, raw: RawClient, time: Time
) -> None:
    """As with Go: in the second of the deadline it is still held, in the next it is free."""
    await bare.acquire_token("api", 1, "a", 1_700_000_010)
    time.now = 1_700_000_010.99
    late = await bare.acquire_token("api", 1, "b", 1_700_000_060)
    time.now = 1_700_000_011.0
    free = await bare.acquire_token("api", 1, "b", 1_700_000_060)

    assert (False, True) == (late, free)
    assert {b"b": 1_700_000_060.0} == await holders(raw)


async def test_refusal_still_clears_what_expired(
    bare: RedisBroker, raw: RawClient, time: Time
) -> None:
    """Expired holders go away, whether or not there is a slot for who asks."""
    await raw.execute_command("ZADD", KEY, 1_600_000_000, "old", 1_700_000_060, "new")

    assert not await bare.acquire_token("api", 1, "a", 1_700_000_060)
    assert {b"new": 1_700_000_060.0} == await holders(raw)


async def test_holder_keeps_its_slot(bare: RedisBroker, raw: RawClient) -> None:
    """A task that came back from a dead worker has its slot, with the new deadline."""
    await bare.acquire_token("api", 1, "a", 1_700_000_060)

    assert await bare.acquire_token("api", 1, "a", 1_700_000_090)
    assert {b"a": 1_700_000_090.0} == await holders(raw)


async def test_expired_holder_waits_like_everybody(bare: RedisBroker, time: Time) -> None:
    """Who lost its slot and finds it taken does not get in for having held it once."""
    await bare.acquire_token("api", 1, "a", 1_700_000_010)
    time.advance(20)
    await bare.acquire_token("api", 1, "b", 1_700_000_060)

    assert not await bare.acquire_token("api", 1, "a", 1_700_000_060)


async def test_release_with_a_deadline(bare: RedisBroker, raw: RawClient) -> None:
    """An attempt that ends late leaves alone what a later attempt at its task holds."""
    await bare.acquire_token("api", 1, "a", 1_700_000_060)
    await bare.acquire_token("api", 1, "a", 1_700_000_090)

    assert not await bare.release_token("api", "a", 1_700_000_060)
    assert {b"a": 1_700_000_090.0} == await holders(raw)
    assert await bare.release_token("api", "a", 1_700_000_090)
    assert not await bare.release_token("api", "a")


async def test_scopes_are_apart(bare: RedisBroker) -> None:
    """Each scope has its own slots."""
    assert await bare.acquire_token("x", 1, "a", 1_700_000_060)
    assert await bare.acquire_token("y", 1, "b", 1_700_000_060)


async def test_wrong_type_changes_nothing(bare: RedisBroker, raw: RawClient) -> None:
    """A key that holds something else is an error."""
    await raw.execute_command("SET", KEY, "x")
    for step in (bare.acquire_token("api", 1, "a", 1_700_000_060), bare.release_token("api", "a")):
        with pytest.raises(BrokerError):
            await step

    assert b"x" == (await dump(raw))[KEY].content


# --- Outside of handlers -------------------------------------------------------------------


async def test_try_acquire_and_release(semaphore: RateSemaphore, raw: RawClient) -> None:
    """Any program may hold a slot under a name of its own; another may give it back."""
    deadline = soon()
    later = dt.datetime.fromtimestamp(deadline + 60, dt.UTC)

    assert await semaphore.try_acquire("a", deadline)
    assert await semaphore.try_acquire("b", later)
    assert not await semaphore.try_acquire("c", deadline)
    assert {b"a": math.ceil(deadline), b"b": math.ceil(deadline + 60)} == await holders(raw)
    assert await semaphore.release("a")
    assert not await semaphore.release("a")
    assert await semaphore.try_acquire("c", deadline)


async def test_outside_of_a_handler(semaphore: RateSemaphore) -> None:
    """Without a handler somebody must say who holds the slot, and until when."""
    with pytest.raises(LookupError):
        await semaphore.try_acquire()
    with pytest.raises(LookupError):
        await semaphore.try_acquire("a")
    with pytest.raises(LookupError):
        await semaphore.release()
    with pytest.raises(LookupError):
        async with semaphore.slot():
            pass
    with pytest.raises(InvalidOptionError, match="deadline"):
        await semaphore.try_acquire("a", math.nan)
    with pytest.raises(InvalidOptionError, match="task_id"):
        await semaphore.try_acquire("", soon())


async def test_repr(semaphore: RateSemaphore) -> None:
    """It shows its scope and its number of slots."""
    assert ("api", 2) == (semaphore.scope, semaphore.max_tokens)
    assert repr(semaphore).startswith("<RateSemaphore 'api' of 2 ")


# --- In handlers ---------------------------------------------------------------------------


async def test_slots_bound_what_handlers_do(
    broker_url: str, client: Client, semaphore: RateSemaphore, raw: RawClient, watch: Watch
) -> None:
    """Two servers' handlers never hold more than two slots; who found none runs again later.

    No retry is spent on that, and all slots are given back.
    """
    inside, most = 0, 0
    runs: list[str] = []

    async def handler(task: Task) -> None:
        nonlocal inside, most
        runs.append(task.payload.decode())
        async with semaphore.slot(retry_in=0):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.005)
            inside -= 1

    tasks = [job(str(n)) for n in range(5)]
    async with (
        serving(broker_url, handler, state_prober=watch.prober, delayed_task_check_interval=0.05),
        serving(broker_url, handler, state_prober=watch.prober, delayed_task_check_interval=0.05),
    ):
        infos = await client.enqueue_many(tasks, max_retry=0, retention=60)
        for info in infos:
            await watch.until(info, TaskState.COMPLETED)

    assert 2 == most
    assert len(runs) > 5
    assert {0} == {info.retried for info in watch.infos}
    assert {} == await holders(raw)


async def test_slot_is_given_back_whatever_happens(
    broker_url: str, client: Client, semaphore: RateSemaphore, raw: RawClient, watch: Watch
) -> None:
    """An error, and the shutdown of the server, free the slot; its deadline was the attempt's."""
    entered = asyncio.Event()
    deadlines: list[float | None] = []

    async def handler(task: Task) -> None:
        async with semaphore.slot():
            deadlines.append(current_context().deadline)
            entered.set()
            if task.payload == b"fails":
                raise ValueError
            await asyncio.Event().wait()

    async with serving(broker_url, handler, state_prober=watch.prober, shutdown_timeout=0):
        info = await client.enqueue(job("fails"), max_retry=0)
        await watch.until(info, TaskState.ARCHIVED)
        assert {} == await holders(raw)
        entered.clear()
        await client.enqueue(job("waits"), timeout=100)
        async with asyncio.timeout(PATIENCE):
            await entered.wait()
        [until] = (await holders(raw)).values()
        assert until == math.ceil(deadlines[-1] or 0)

    assert {} == await holders(raw)


async def test_rate_limited_error_says_when(
    broker_url: str, client: Client, semaphore: RateSemaphore, watch: Watch
) -> None:
    """Without a free slot the task waits in retry, unspent, for as long as the slot said."""
    for holder in "ab":
        await semaphore.try_acquire(holder, soon())
    caught: list[RateLimitedError] = []

    async def handler(_task: Task) -> None:
        try:
            async with semaphore.slot(dt.timedelta(seconds=30)):
                raise AssertionError
        except RateLimitedError as error:
            caught.append(error)
            raise

    async with serving(broker_url, handler, state_prober=watch.prober):
        info = await client.enqueue(job("t"), max_retry=0)
        await watch.until(info, TaskState.RETRY)
    waiting = await client.get_task(info.id)

    assert 0 == waiting.retried
    assert ("api", 2, 30.0) == (caught[0].scope, caught[0].max_tokens, caught[0].retry_in)
    assert "All slots of semaphore 'api'" in waiting.last_error


async def test_slot_that_cannot_be_given_back(
    run_one: RunOne,
    semaphore: RateSemaphore,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """If Redis does not answer when the work is done, the task is done all the same."""

    async def refuse(*_args: object) -> bool:
        raise BrokerError("Redis did not answer")

    monkeypatch.setattr(semaphore._broker, "release_token", refuse)
    with caplog.at_level(logging.WARNING, "headrace"):
        await run_one(TaskState.COMPLETED)

    assert "Could not give back a slot of semaphore 'api'" in caplog.text


async def test_lost_answer_leaves_no_slot_behind(
    run_one: RunOne, semaphore: RateSemaphore, raw: RawClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slot that was taken although no answer came is given back."""
    acquire = semaphore._broker.acquire_token

    async def lose(scope: str, tokens: int, holder: str, deadline: int) -> bool:
        await acquire(scope, tokens, holder, deadline)
        raise BrokerError("no answer", ambiguous=True)

    monkeypatch.setattr(semaphore._broker, "acquire_token", lose)
    await run_one(TaskState.ARCHIVED)

    assert {} == await holders(raw)


async def test_many_at_once(broker_url: str) -> None:
    """Of fifty programs that ask at the same time, as many get a slot as there are."""
    async with contextlib.AsyncExitStack() as stack:
        semaphores = [
            await stack.enter_async_context(RateSemaphore(broker_url, "api", 7)) for _ in range(5)
        ]
        deadline = soon()
        got = await asyncio.gather(
            *(semaphores[n % 5].try_acquire(str(n), deadline) for n in range(50))
        )

    assert 7 == sum(got)
