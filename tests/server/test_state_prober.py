"""The state prober: what it reports of the tasks, and when."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from headrace import (
    Client,
    InvalidOptionError,
    Router,
    SkipRetry,
    Task,
    TaskInfo,
    TaskState,
    TaskStateProber,
)
from tests.server.helpers import Gate, Watch, job, serving

if TYPE_CHECKING:
    from collections.abc import Mapping


def three_ends() -> Router:
    """Return a router whose handlers succeed, fail, and fail for good."""
    router = Router()

    @router.handler("good")
    async def good(task: Task) -> int:
        return 42

    @router.handler("bad")
    async def bad(task: Task) -> None:
        raise ValueError

    @router.handler("worse")
    async def worse(task: Task) -> None:
        raise SkipRetry

    return router


async def test_prober_reports_what_was_asked_for(broker_url: str, client: Client) -> None:
    """Each state reports what its prober names: next process time, result, or the task."""
    reports: list[Mapping[str, object]] = []
    done = asyncio.Event()

    def take(report: Mapping[str, object]) -> None:
        reports.append(report)
        if len(reports) == 5:
            done.set()

    prober = TaskStateProber({"completed": "result", "retry": "next", "archived": "info"}, take)
    async with serving(
        broker_url, three_ends(), state_prober=prober, concurrency=1, retry_delay=lambda *_: 500
    ):
        one = await client.enqueue(Task("good"), retention=60)
        two = await client.enqueue(Task("bad"))
        three = await client.enqueue(Task("worse"))
        four = await client.enqueue(Task("good"), retention=60)
        five = await client.enqueue(Task("good"))
        await done.wait()
    due = (await client.get_task(two.id)).next_process_at

    assert {
        "task_id": one.id,
        "queue": "default",
        "state": "completed",
        "result": b"42",
    } == reports[0]
    assert {"task_id": two.id, "queue": "default", "state": "retry", "next": due} == reports[1]
    assert three.id == reports[2]["task_id"]
    assert isinstance(info := reports[2]["task"], TaskInfo)
    assert TaskState.ARCHIVED == info.state
    assert (four.id, five.id) == (reports[3]["task_id"], reports[4]["task_id"])
    assert reports[4]["result"] is None


async def test_star_reports_all_other_states(broker_url: str, client: Client) -> None:
    """The prober "*" stands for all states without one of their own."""
    reports: list[tuple[object, ...]] = []
    done = asyncio.Event()

    async def take(report: Mapping[str, object]) -> None:
        await asyncio.sleep(0)
        reports.append((report["state"], *(key for key in report if key in {"task", "next"})))
        if report["state"] == "completed":
            done.set()

    async def handler(task: Task) -> None:
        pass

    prober = TaskStateProber({"*": "task", "active": "next"}, take)
    async with serving(broker_url, handler, state_prober=prober):
        await client.enqueue(Task("t"))
        await done.wait()

    assert [("active", "next"), ("completed", "task")] == reports


async def test_prober_may_be_set_later(broker_url: str, client: Client, watch: Watch) -> None:
    """A prober set while the server runs reports from then on; None ends it."""
    gate = Gate(is_open=True)
    async with serving(broker_url, gate) as server:
        await client.enqueue(job("before"))
        await gate.until_entered(1)
        await gate.until_empty()
        server.set_state_prober(watch.prober)
        info = await client.enqueue(job("during"))
        await watch.until(info, TaskState.COMPLETED)
        server.set_state_prober(None)
        await client.enqueue(job("after"))
        await gate.until_entered(3)

    assert {info.id} == {
        one.id for one in watch.infos if one.payload in {b"before", b"during", b"after"}
    } - {one.id for one in watch.infos if one.payload == b"before"}
    assert not [one for one in watch.infos if one.payload == b"after"]


async def test_reports_are_delivered_before_the_end(broker_url: str, client: Client) -> None:
    """A shutdown waits for the reports of the last tasks."""
    gate = Gate()
    states: list[object] = []

    async def take(report: Mapping[str, object]) -> None:
        await asyncio.sleep(0.01)  # A slow one.
        states.append(report["state"])

    async with serving(
        broker_url,
        gate,
        state_prober=TaskStateProber({"pending": "task"}, take),
        shutdown_timeout=0,
    ):
        await client.enqueue_many([job(str(n)) for n in range(3)])
        await gate.until_entered(3)

    assert ["pending"] * 3 == states


async def test_broken_prober_does_no_harm(
    broker_url: str, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """What a prober raises is logged; the tasks go on."""
    gate = Gate(is_open=True)

    def broken(report: Mapping[str, object]) -> None:
        raise KeyError("oops")

    async with serving(broker_url, gate, state_prober=TaskStateProber({"*": "task"}, broken)):
        await client.enqueue_many([job(str(n)) for n in range(5)])
        await gate.until_entered(5)

    lines = [one for one in caplog.records if "state prober failed" in one.getMessage()]
    assert 1 == len(lines)


def test_unknown_state_is_refused() -> None:
    """A prober for a state that does not exist is an error, not silence."""
    with pytest.raises(InvalidOptionError, match="finished"):
        TaskStateProber({"finished": "task"}, lambda _: None)
