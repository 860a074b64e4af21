"""update_payload: of a scheduled task, with its lock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headrace import (
    Client,
    DuplicateTaskError,
    InvalidOptionError,
    Task,
    TaskNotFoundError,
    TaskState,
    TaskStateError,
)
from tests.inspector.helpers import KEYS, put
from tests.support.wire import dump, encode, field, message_of, plant

if TYPE_CHECKING:
    from headrace import Inspector
    from headrace._task import JsonValue
    from tests.support.wire import RawClient

UNKNOWN_FIELD = b"\xfa\x07\x03new"
"""Field 127 of a later version of the wire."""


async def ttl_of(raw: RawClient, key: str) -> int:
    """Return for how many seconds a key lives; -2 if it is not there."""
    ttl = await raw.execute_command("TTL", key)
    assert isinstance(ttl, int)
    return ttl


@pytest.mark.parametrize(
    ("payload", "written"),
    [(b"\x00\xff", b"\x00\xff"), ({"n": 1}, b'{"n":1}'), ([], b"[]"), (b"", b""), (None, b"")],
)
async def test_payload(
    inspector: Inspector, raw: RawClient, payload: bytes | JsonValue, written: bytes
) -> None:
    """The payload is another one; all else stays, fields of later versions included."""
    data = encode("a", payload=b"old", deadline=2_000_000_000, headers={"k": "v"}) + UNKNOWN_FIELD
    await plant(raw, "q", "a", "scheduled", data=data, score=3e9)
    await inspector.update_payload("q", "a", payload)

    info = await inspector.get_task("q", "a")
    assert (written, 3e9, 2_000_000_000, {"k": "v"}) == (
        *(info.payload, info.next_process_at),
        *(info.deadline, dict(info.headers)),
    )
    message = await message_of(raw, "q", "a")
    assert UNKNOWN_FIELD in message.SerializeToString()
    assert (25, 1800) == (message.retry, message.timeout)


async def test_lock_goes_with_the_payload(
    inspector: Inspector, client: Client, raw: RawClient
) -> None:
    """The old payload is free, the new one is locked, for as long as the old one was."""
    await client.enqueue(Task("t", "old"), queue="q", task_id="a", process_in=600, unique=900)
    old, new = KEYS.unique("t", b'"old"'), KEYS.unique("t", b'"new"')
    ttl = await ttl_of(raw, old)
    await inspector.update_payload("q", "a", "new")

    assert -2 == await ttl_of(raw, old)
    assert ttl - 60 < await ttl_of(raw, new) <= ttl
    assert new == await field(raw, "q", "a", "unique_key")
    assert new == (await message_of(raw, "q", "a")).unique_key
    with pytest.raises(DuplicateTaskError):
        await client.enqueue(Task("t", "new"), queue="q", unique=900)
    await client.enqueue(Task("t", "old"), queue="q", unique=900)


async def test_same_payload_keeps_the_lock(
    inspector: Inspector, client: Client, raw: RawClient
) -> None:
    """Nothing changes."""
    await client.enqueue(Task("t", "old"), queue="q", task_id="a", process_in=600, unique=900)
    before = await dump(raw)
    await inspector.update_payload("q", "a", "old")

    assert before == await dump(raw)


async def test_lock_that_has_ended(inspector: Inspector, client: Client, raw: RawClient) -> None:
    """A task whose lock is gone, or went over to another, takes no new one."""
    await client.enqueue(Task("t", "old"), queue="q", task_id="a", process_in=600, unique=900)
    await raw.execute_command("DEL", KEYS.unique("t", b'"old"'))
    await inspector.update_payload("q", "a", "new")

    assert [] == [key for key in await dump(raw) if ":unique:" in key]


async def test_lock_of_another(inspector: Inspector, client: Client, raw: RawClient) -> None:
    """A payload that another task has locked is refused, and nothing is written."""
    await client.enqueue(Task("t", "old"), queue="q", task_id="a", process_in=600, unique=900)
    await client.enqueue(Task("t", "new"), queue="q", task_id="b", unique=900)
    before = await dump(raw)

    with pytest.raises(DuplicateTaskError) as caught:
        await inspector.update_payload("q", "a", "new")
    assert ("b", KEYS.unique("t", b'"new"')) == (caught.value.holder, caught.value.unique_key)
    assert before == await dump(raw)


@pytest.mark.parametrize("state", [state for state in TaskState if state != TaskState.SCHEDULED])
async def test_only_scheduled_tasks(inspector: Inspector, raw: RawClient, state: TaskState) -> None:
    """As in asynq, other tasks keep their payload."""
    await put(raw, "a", state)
    before = await dump(raw)

    with pytest.raises(TaskStateError, match=f"payload of task 'a'.* it is {state}") as caught:
        await inspector.update_payload("q", "a", b"")
    assert (str(state), "update the payload of") == (caught.value.state, caught.value.action)
    assert before == await dump(raw)


async def test_unknown_task(inspector: Inspector, raw: RawClient) -> None:
    """The error names it."""
    await put(raw, "a", "scheduled")

    with pytest.raises(TaskNotFoundError, match="'b'"):
        await inspector.update_payload("q", "b", b"")


async def test_payload_that_json_cannot_carry(inspector: Inspector, raw: RawClient) -> None:
    """It is refused, and nothing is written."""
    await put(raw, "a", "scheduled")
    before = await dump(raw)

    with pytest.raises(InvalidOptionError, match="payload"):
        await inspector.update_payload("q", "a", {"n": float("nan")})
    assert before == await dump(raw)


async def test_change_in_between(inspector: Inspector, raw: RawClient) -> None:
    """If somebody else changes the task just then, it is read again."""
    await put(raw, "a", "scheduled")
    one = inspector._broker._link.commands.one
    meddled: list[bool] = []

    async def meddling(command: object) -> object:
        if not isinstance(command, tuple) and not meddled:
            meddled.append(True)
            data = encode("a", payload=b"theirs", headers={"k": "v"})
            await raw.execute_command("HSET", KEYS.task("a"), "msg", data)
        return await one(command)  # type: ignore[arg-type]  # It is passed on.

    inspector._broker._link.commands.one = meddling  # type: ignore[method-assign]  # A test's.
    await inspector.update_payload("q", "a", b"ours")
    info = await inspector.get_task("q", "a")

    assert (b"ours", {"k": "v"}) == (info.payload, dict(info.headers))
