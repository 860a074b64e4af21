"""The state prober: the user hears of tasks that change state, and the worker goes on."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import anyio
import pytest

from headrace._config import TaskStateProber
from headrace._task import TaskInfo, TaskState
from headrace._worker import prober as module
from headrace._worker.prober import StateProber
from tests.worker.helpers import lines, running

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace._log import RateLimitedLog

Reports = list["Mapping[str, object]"]


@pytest.fixture
def heard() -> Reports:
    """What the user's function got."""
    return []


def info(state: TaskState, task_id: str = "x") -> TaskInfo:
    """Return a report on a task."""
    return TaskInfo(
        id=task_id, queue="a", type="t", state=state, next_process_at=42.0, result=b"done"
    )


async def test_reports_what_was_asked_for(log: RateLimitedLog, heard: Reports) -> None:
    """Each state has its own kind of report; "*" stands for the rest."""
    probers = {"retry": "next", "completed": "result", "*": "task"}
    prober = StateProber(TaskStateProber(probers, heard.append), log=log)
    active = info(TaskState.ACTIVE)
    for report in (info(TaskState.RETRY), info(TaskState.COMPLETED), active):
        prober.report(report)
    await prober.deliver()

    assert heard == [
        {"task_id": "x", "queue": "a", "state": "retry", "next": 42.0},
        {"task_id": "x", "queue": "a", "state": "completed", "result": b"done"},
        {"task_id": "x", "queue": "a", "state": "active", "task": active},
    ]


async def test_other_states_are_not_reported(log: RateLimitedLog, heard: Reports) -> None:
    """Without "*" only the named states are."""
    prober = StateProber(TaskStateProber({"retry": "next"}, heard.append), log=log)
    prober.report(info(TaskState.ACTIVE))
    await prober.deliver()

    assert heard == []


async def test_it_can_be_set_later(log: RateLimitedLog, heard: Reports) -> None:
    """Without a prober it is not active; it can get one, and lose it, at any time."""
    prober = StateProber(log=log)
    seen = [prober.active]
    prober.report(info(TaskState.ACTIVE, "before"))
    prober.set(TaskStateProber({"*": "task"}, heard.append))
    seen.append(prober.active)
    prober.report(info(TaskState.ACTIVE, "between"))
    prober.set(None)
    seen.append(prober.active)
    prober.report(info(TaskState.ACTIVE, "after"))
    await prober.deliver()

    assert seen == [False, True, False]
    assert [report["task_id"] for report in heard] == ["between"]


async def test_reporting_does_not_wait(log: RateLimitedLog, heard: Reports) -> None:
    """A slow coroutine function holds up nobody but itself; reports stay in order."""

    async def slow(report: Mapping[str, object]) -> None:
        await anyio.sleep(10)
        heard.append(report)

    prober = StateProber(TaskStateProber({"*": "next"}, slow), log=log)
    async with running(prober):
        for task_id in "xyz":
            prober.report(info(TaskState.RETRY, task_id))
        assert heard == []
        await anyio.sleep(31)
        prober.report(info(TaskState.RETRY, "later"))
        await anyio.sleep(11)

    assert [report["task_id"] for report in heard] == ["x", "y", "z", "later"]


async def test_what_it_raises_is_logged(
    log: RateLimitedLog, heard: Reports, caplog: pytest.LogCaptureFixture
) -> None:
    """A failing function is not fatal, and gets the next report all the same."""

    def handler(report: Mapping[str, object]) -> None:
        heard.append(report)
        raise ZeroDivisionError("oh")

    prober = StateProber(TaskStateProber({"*": "task"}, handler), log=log)
    prober.report(info(TaskState.ACTIVE))
    prober.report(info(TaskState.COMPLETED))
    await prober.deliver()

    assert len(heard) == 2
    assert lines(caplog) == ["The state prober failed: ZeroDivisionError: oh"]
    assert vars(caplog.records[0])["task_id"] == "x"


async def test_too_many_reports_drop_the_oldest(
    log: RateLimitedLog,
    heard: Reports,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A function that never keeps up does not fill the memory."""
    monkeypatch.setattr(module, "_MAX_WAITING", 2)
    prober = StateProber(TaskStateProber({"*": "next"}, heard.append), log=log)
    for task_id in "wxyz":
        prober.report(info(TaskState.RETRY, task_id))
    await prober.deliver()

    assert [report["task_id"] for report in heard] == ["y", "z"]
    assert len(lines(caplog, logging.ERROR)) == 1
