"""What can be done, each after a confirmation."""

from __future__ import annotations

import asyncio

import pytest

from headrace import Client, Inspector, Router, Schedule, Server, Task, TaskContext, TaskState
from headrace._cli.dash.actions import AllTasks, Outcome, Request, Tasks, Verb, notice, perform
from tests.dash.driver import dashboard

STATES = ["pending", "active", "scheduled", "retry", "archived", "completed", "aggregating"]


def tab(state: str) -> list[str]:
    """Return the keys from the list of queues to the tab of a state."""
    return ["enter", *["l"] * (STATES.index(state) + 1)]


@pytest.mark.parametrize(
    ("key", "before", "after"),
    [
        ("r", "scheduled", "pending"),
        ("a", "pending", "archived"),
        ("d", "scheduled", None),
    ],
)
async def test_action_on_the_row(
    client: Client, inspector: Inspector, key: str, before: str, after: str | None
) -> None:
    """It is done to the task under the cursor alone, and only once it is confirmed."""
    later = 60 if before == "scheduled" else None
    for task_id in ("one", "two"):
        await client.enqueue(Task("t"), task_id=task_id, process_in=later)

    async with dashboard(inspector) as dash:
        await dash.press(*tab(before), "j", key)
        assert f"1 {before} task" in dash.screen
        assert "two\n" in "\n".join(line.strip(" │") for line in dash.screen.splitlines())
        await dash.press("n")
        assert dash.column == ["one", "two"]
        await dash.press(key, "enter")  # No is what Enter means.
        assert dash.column == ["one", "two"]
        assert dash.notices == []
        await dash.press(key)
        await dash.confirm()
        assert dash.column == ["one"]
        assert dash.notices[0].startswith("1 task ")
    if after is None:
        assert [info.id for info in await inspector.list_tasks("default", before)] == ["one"]
    else:
        assert (await inspector.get_task("default", "two")).state is TaskState.from_name(after)


async def test_action_on_marked_rows(client: Client, inspector: Inspector) -> None:
    """Space marks, on any page; the dialog says how many; what is gone meanwhile is reported."""
    await client.enqueue_many([Task("t", n) for n in range(30)])

    async with dashboard(inspector) as dash:
        await dash.press(*tab("pending"), "space", "space", "pagedown", "space")
        assert "3 marked" in dash.screen
        [first] = await inspector.list_tasks("default", "pending", size=1)
        await inspector.delete_task("default", first.id)
        await dash.press("d")
        assert "Delete 3 pending tasks?" in dash.screen
        await dash.confirm()
        assert "2 tasks deleted. 1 error:" in dash.notices[0]
        assert "marked" not in dash.screen
    assert (await inspector.queue_stats("default")).pending == 27


async def test_a_mark_can_be_taken_away(client: Client, inspector: Inspector) -> None:
    """Space on a marked row takes its mark away."""
    await client.enqueue(Task("t"))

    async with dashboard(inspector) as dash:
        await dash.press(*tab("pending"), "space")
        assert "1 marked" in dash.screen
        await dash.press("space")
        assert "marked" not in dash.screen


@pytest.mark.parametrize(
    ("key", "before", "after"),
    [("R", "scheduled", "pending"), ("A", "pending", "archived"), ("D", "pending", None)],
)
async def test_action_on_all(
    client: Client, inspector: Inspector, key: str, before: str, after: str | None
) -> None:
    """It is done to all tasks of the state, whatever page or filter is shown."""
    later = 60 if before == "scheduled" else None
    await client.enqueue_many([Task("t", n) for n in range(120)], process_in=later)

    async with dashboard(inspector) as dash:
        await dash.press(*tab(before), "slash", "1", "1", "7", "enter", key)
        assert f"120 {before} tasks" in dash.screen
        assert "The filter does not" in dash.screen
        await dash.press("escape")
        assert getattr(await inspector.queue_stats("default"), before) == 120
        await dash.press(key)
        await dash.confirm()
        assert dash.notices[0].startswith("120 tasks ")
    stats = await inspector.queue_stats("default")
    assert getattr(stats, before) == 0
    assert stats.size == (120 if after else 0)


async def test_action_on_a_group(client: Client, inspector: Inspector) -> None:
    """On the row of a group it is done to that group; within it, to what is chosen there."""
    for name in ("a", "b"):
        await client.enqueue_many([Task("t", n) for n in range(3)], group=name)

    async with dashboard(inspector) as dash:
        await dash.press(*tab("aggregating"), "r")
        assert "Run 3 aggregating tasks now?" in dash.screen
        assert "group a" in dash.screen
        await dash.confirm()
        assert dash.rows == [["b", "3"]]
        await dash.press("enter", "d")
        await dash.confirm()
        assert len(dash.rows) == 2
        await dash.press("A")
        assert "Archive 2 aggregating tasks?" in dash.screen
        await dash.confirm()
    stats = await inspector.queue_stats("default")
    assert (stats.pending, stats.archived, stats.aggregating) == (3, 2, 0)


async def test_pause_and_resume(client: Client, inspector: Inspector) -> None:
    """Key p pauses the queues that are marked, and resumes them if they are paused."""
    for name in ("a", "b", "c"):
        await client.enqueue(Task("t"), queue=name)

    async with dashboard(inspector) as dash:
        await dash.press("space", "space", "k", "p")
        assert "Pause 2 queues?" in dash.screen
        await dash.confirm()
        assert [stats.paused for stats in await inspector.stats()] == [True, True, False]
        await dash.press("p")
        assert "Resume 1 queue?" in dash.screen
        await dash.press("n", "enter", "p")
        await dash.confirm()
        assert not (await inspector.queue_stats("b")).paused
        assert dash.notices == ["2 queues paused.", "1 queue resumed."]


async def test_what_cannot_be_done_is_not_asked(client: Client, inspector: Inspector) -> None:
    """Where the state does not allow it, the notice says which states do."""
    await client.enqueue(Task("t"))

    async with dashboard(inspector) as dash:
        await dash.press(*tab("pending"), "c", "r")
        assert dash.notices == [
            "Pending tasks cannot be asked to stop; those can: active.",
            (
                "Pending tasks cannot be made pending; those can: scheduled, retry, archived, "
                "completed, aggregating."
            ),
        ]
        await dash.press("l", "l", "D")
        assert dash.notices[-1] == "There are no scheduled tasks."


async def test_action_on_an_open_task(client: Client, inspector: Inspector) -> None:
    """The same keys work where a task is shown in full."""
    await client.enqueue(Task("t"), task_id="one")

    async with dashboard(inspector) as dash:
        await dash.press(*tab("pending"), "enter", "a")
        await dash.confirm()
        assert "state        archived" in dash.screen


async def test_read_only_changes_nothing(client: Client, inspector: Inspector) -> None:
    """With --read-only no key asks for an action, and the bar says so."""
    await client.enqueue(Task("t"), task_id="one")

    async with dashboard(inspector, read_only=True) as dash:
        assert "read-only" in dash.screen
        await dash.press("p", "space", *tab("pending"), *"radcRADC", "p", "space")
        assert dash.column == ["one"]
        await dash.press("enter", *"radc")
        assert "state        pending" in dash.screen
        assert dash.notices == []


async def test_errors_of_an_action_are_told(inspector: Inspector) -> None:
    """A queue that is gone fails the whole; a task that is gone, itself."""
    request = Request(Verb.DELETE, AllTasks("gone", TaskState.PENDING, 3))
    outcome = await perform(request, inspector, lambda _: None)
    assert "There is no queue 'gone'" in notice(request, outcome)

    many = Outcome(done=1, problems=[f"bad \x1b {n}" for n in range(7)])
    text = notice(Request(Verb.RUN, Tasks([("q", "x")], TaskState.RETRY)), many)
    assert text.splitlines()[0] == "1 task made pending. 7 errors:"
    assert text.splitlines()[-1] == "… and 3 more errors"
    assert "\x1b" not in text


async def test_cancel_on_real_redis(redis_url: str) -> None:
    """A running task is seen, and its handler cancelled; then the scheduler's entry is seen."""
    router, cancelled = Router(), asyncio.Event()

    @router.task("job:long", max_retry=0)
    async def job(ctx: TaskContext) -> None:
        await ctx.progress(0.25, "a quarter")
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    server = Server(
        redis_url,
        router,
        heartbeat_interval=0.2,
        schedules=[Schedule("@every 1h", Task("job:tick"))],
    )
    async with Client(redis_url) as client, Inspector(redis_url) as inspector, server:
        await client.enqueue(job.task(), task_id="one")
        async with dashboard(inspector) as dash:
            await dash.press("2")
            while not dash.rows:  # Until the heartbeat tells of it.
                await dash.poll()
            assert dash.column == ["one"]
            await dash.press("c")
            await dash.confirm()
            assert dash.notices == ["1 task asked to stop."]
            await cancelled.wait()
            await dash.press("4")
            while not dash.rows:
                await dash.poll()
            assert "job:tick" in dash.screen
