"""Every write of the inspector, with every key of a foreign type."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headrace import BrokerError, TaskState
from tests.broker.test_wrong_types import KEY_TYPES, MAKERS, essence, spoil
from tests.inspector.helpers import KEYS, lock_key, put
from tests.support.invariants import check, snapshot_of
from tests.support.wire import read_keys, redis_time

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from headrace import Inspector
    from tests.support.wire import RawClient

GROUP: dict[TaskState, str | None] = {TaskState.SCHEDULED: None, TaskState.AGGREGATING: "g"}
STEPS: dict[str, Callable[[Inspector, TaskState], Coroutine[object, object, object]]] = {
    "delete_task": lambda inspector, _: inspector._broker.change_task("delete", "q", "a"),
    "run_task": lambda inspector, _: inspector._broker.change_task("run", "q", "a"),
    "archive_task": lambda inspector, _: inspector._broker.change_task("archive", "q", "a"),
    "delete_all": lambda inspector, state: inspector.delete_all("q", state, group=GROUP[state]),
    "run_all": lambda inspector, state: inspector.run_all("q", state, group=GROUP[state]),
    "archive_all": lambda inspector, state: inspector.archive_all("q", state, group=GROUP[state]),
    "update_payload": lambda inspector, _: inspector.update_payload("q", "a", b"new"),
}
SPOILED = {
    **KEY_TYPES,
    KEYS.task("a"): "hash",
    lock_key("a"): "string",
    KEYS.unique("t", b"new"): "string",
}


@pytest.mark.parametrize("state", GROUP, ids=str)
@pytest.mark.parametrize("name", STEPS)
async def test_wrong_type(bare: Inspector, raw: RawClient, name: str, state: TaskState) -> None:
    """Whatever key holds whatever else: refused with nothing written, or done as a whole."""
    if name == "update_payload" and state is not TaskState.SCHEDULED:
        return
    for key, right in SPOILED.items():
        for kind in MAKERS.keys() - {right}:
            await raw.execute_command("FLUSHALL")
            await put(raw, "a", state, locked=True)
            await spoil(raw, key, kind)
            before, refused = await read_keys(raw), False
            try:
                await STEPS[name](bare, state)
            except BrokerError as error:
                if error.code != "WRONGTYPE":
                    raise
                refused = True
            after, now = await read_keys(raw), await redis_time(raw)
            if refused:
                assert essence(after) == essence(before), (key, kind)
            known, found = (set(check(snapshot_of(keys, "q", now=now))) for keys in (before, after))
            expected = {1, 6, 24} if key == KEYS.task("a") else {6, 24}
            assert not {str(v) for v in found - known if v.number not in expected}, (key, kind)
