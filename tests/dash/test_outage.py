"""A Redis that goes away, and comes back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from headrace import BrokerError, Client, HeadraceError, Inspector, Task, TaskState
from headrace._cli.dash.actions import AllTasks, Request, Verb, perform
from headrace._cli.dash.app import NoticeHandler
from headrace._cli.dash.poller import Poller
from tests.dash.driver import dashboard
from tests.support.redis_server import RedisServer

if TYPE_CHECKING:
    import pytest


async def test_outage_shows_a_banner(redis_executable: str) -> None:
    """The screen stays, a banner says why it is old, actions fail; then all goes on by itself."""
    with RedisServer(redis_executable, appendonly="yes", appendfsync="always") as redis:
        async with Client(redis.url) as client:
            await client.enqueue(Task("t"), task_id="one")
        async with Inspector(redis.url) as inspector, dashboard(inspector) as dash:
            await dash.press("enter", "l")
            redis.stop()
            await dash.poll()
            assert "Trying again every" in dash.screen
            assert "What is shown is from" in dash.screen
            assert dash.column == ["one"]
            await dash.press("d")
            await dash.confirm()
            assert dash.notices[0].startswith("0 tasks deleted. 1 error:")
            await dash.press("escape")
            assert dash.column == ["default"]
            redis.start()
            await dash.poll()
            assert "Trying again" not in dash.screen
            assert dash.rows[0][:2] == ["default", "1"]


async def test_outage_while_queues_are_counted(
    inspector: Inspector, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the queues that are counted at the same time, one error is enough for the banner."""

    async def fail(_: str) -> None:
        raise BrokerError("Redis went away", retryable=True)

    for name in ("a", "b"):
        await client.enqueue(Task("t"), queue=name)
    async with dashboard(inspector) as dash:
        with monkeypatch.context() as patch:
            patch.setattr(inspector, "queue_stats", fail)
            await dash.poll()
            assert "Redis went away. Trying again" in dash.screen
            assert dash.column == ["a", "b"]
        await dash.poll()
        assert "Trying again" not in dash.screen


async def test_outage_in_the_midst_of_an_action(
    inspector: Inspector, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was done before it is counted."""
    await client.enqueue_many([Task("t", n) for n in range(250)])
    steps: list[int] = []

    def progress(done: int) -> None:
        steps.append(done)
        if done == 200:
            monkeypatch.setattr(inspector._broker, "change_some", fail)

    async def fail(*_: object) -> None:
        raise BrokerError("Redis went away", retryable=True)

    request = Request(Verb.DELETE, AllTasks("default", TaskState.PENDING, 250))
    outcome = await perform(request, inspector, progress)

    assert steps == [100, 200]
    assert (outcome.done, outcome.problems) == (200, ["Redis went away"])


async def test_never_two_polls_at_a_time() -> None:
    """A poll that is asked for while one is under way begins when that has ended."""
    under_way, most, polls = 0, 0, 0
    gate, fifth = asyncio.Event(), asyncio.Event()

    async def read() -> None:
        nonlocal under_way, most, polls
        under_way, polls = under_way + 1, polls + 1
        most = max(most, under_way)
        if polls == 5:
            fifth.set()
        await gate.wait()
        under_way -= 1

    poller = Poller(read, lambda _: None, interval=10_000)
    running = asyncio.create_task(poller.run())
    others = [asyncio.create_task(poller.poll()) for _ in range(3)]
    await asyncio.sleep(0)
    poller.wake()
    gate.set()
    await asyncio.gather(*others)
    await fifth.wait()  # The one that `wake` asked for.
    running.cancel()

    assert (polls, most) == (5, 1)


async def test_poller_survives_errors() -> None:
    """It tells each poll's error, and None once a poll went well."""
    results: list[HeadraceError | None] = []
    errors = [BrokerError("down", retryable=True), None]

    async def read() -> None:
        error = errors.pop(0)
        if error is not None:
            raise error

    poller = Poller(read, results.append, interval=2)
    await poller.poll()
    await poller.poll()

    assert [str(result) for result in results] == ["down", "None"]


async def test_warnings_become_notices(inspector: Inspector) -> None:
    """What the inspector logs is shown, with controls escaped, and not written to the screen."""
    import logging  # noqa: PLC0415 - for this test alone

    async with dashboard(inspector) as dash:
        handler = NoticeHandler(dash.app)
        record = logging.makeLogRecord({"msg": "Task %r [b] \x1b", "args": ("x",)})
        handler.emit(record)
        await dash.poll()
        assert dash.notices == [r"Task 'x' [b] \x1b"]
