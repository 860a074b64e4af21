"""The views: what they show, and how one gets from one to the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from textual.binding import Binding

from headrace import (
    QueueLimits,
    RunningTask,
    SchedulerEnqueueEvent,
    SchedulerEntry,
    ServerStatus,
    Task,
)
from headrace._cli.dash.app import DashApp
from headrace._cli.dash.dialogs import HELP
from headrace._cli.dash.fleet import RunningView, ServersView
from headrace._cli.dash.grid import Grid
from headrace._cli.dash.queue import QueueView
from headrace._cli.dash.queues import QueuesView
from headrace._cli.dash.schedulers import EntryView, SchedulersView
from headrace._cli.dash.task import TaskView
from headrace._cli.dash.tasks import TasksView
from headrace._cli.dash.view import Pane, View
from tests.dash.driver import dashboard

if TYPE_CHECKING:
    from headrace import Client, Inspector


async def test_queues_are_listed(client: Client, inspector: Inspector) -> None:
    """A row for each queue with its counts, and their sum above."""
    await client.enqueue_many([Task("t") for _ in range(3)], queue="mail")
    await client.enqueue(Task("t"), queue="shop", process_in=60)
    await inspector.pause("shop")

    async with dashboard(inspector) as dash:
        assert dash.rows[0][:4] == ["mail", "3", "3", "0"]
        assert dash.rows[1][:6] == ["‖", "shop", "1", "0", "0", "1"]
        assert "2 queues, 4 tasks" in dash.screen
        await dash.press("j")
        assert "shop (paused)" in dash.screen


async def test_no_queues_yet(inspector: Inspector) -> None:
    """An empty Redis is no error."""
    async with dashboard(inspector) as dash:
        assert "No queues yet" in dash.screen
        await dash.press("enter", "p", "space", "2", "3", "4")
        assert dash.notices == []


async def test_wide_terminal_shows_more(client: Client, inspector: Inspector) -> None:
    """Where there is room, the states that are left out at 80 columns have theirs."""
    await client.enqueue(Task("t"), group="g", queue="mail")

    async with dashboard(inspector, size=(140, 40)) as dash:
        assert "COMPL" in dash.screen
        assert "AGGR" in dash.screen
        assert all(len(line) <= 140 for line in dash.screen.splitlines())


async def test_a_queue_and_its_tabs(client: Client, inspector: Inspector) -> None:
    """Enter opens a queue: its facts, then a tab for each state, by arrows or h and l."""
    await client.enqueue_many([Task("mail:send", {"n": 1})], queue="mail", group="vip")
    await client.enqueue(Task("mail:new"), queue="mail", task_id="first")
    await inspector.set_limits("mail", QueueLimits(max_active=7, rate=(100, 60)))

    async with dashboard(inspector) as dash:
        await dash.press("enter")
        assert "7 at a time, 100 in 1 min 0 s" in dash.screen
        assert "vip (1)" in dash.screen
        await dash.press("l")
        assert dash.rows == [["first", "mail:new", "0/25"]]
        await dash.press("left", "left")
        assert dash.rows == [["vip", "1"]]
        await dash.press("enter")
        assert dash.rows[0][1:] == ["mail:send", '{"n":1}']
        await dash.press("escape", "backspace")
        assert dash.column == ["mail"]


async def test_a_task_in_full(client: Client, inspector: Inspector) -> None:
    """Enter opens a task: its fields, headers, and its payload as indented JSON."""
    await client.enqueue(
        Task("mail:send", {"to": ["a", "b"]}),
        task_id="one",
        headers={"trace": "abc"},
        retention=60,
        process_in=120,
    )

    async with dashboard(inspector, size=(80, 50)) as dash:
        await dash.press("enter", "l", "l", "l", "enter")
        shown = dash.screen
        assert '   "to": [\n     "a",\n     "b"\n   ]' in shown
        assert "trace: abc" in shown
        assert "0 of 25 retries used" in shown
        await inspector.delete_task("default", "one")
        await dash.poll()
        assert "no longer there" in dash.screen
        assert "trace: abc" in dash.screen


def two_servers() -> list[ServerStatus]:
    """Return an idle server, and one that runs two tasks."""
    running = [
        RunningTask(task_id=f"job-{n}", task_type="job:long", queue="q", started_at=n)
        for n in (1, 2)
    ]
    return [
        ServerStatus(
            id=f"server-{n}",
            host=f"host-{n}",
            pid=100 + n,
            concurrency=5,
            queues={"q": 3},
            strict_priority=bool(n),
            status="active",
            started_at=1.0,
            active_worker_count=n,
            workers=running[:n],
        )
        for n in (0, 2)
    ]


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch, inspector: Inspector) -> Inspector:
    """An inspector that tells of two servers and of a scheduler."""
    found = two_servers()
    entry = SchedulerEntry(
        id="entry-1",
        spec="@every 5s",
        task_type="job:tick",
        enqueue_options=['Queue("low")'],
        next_enqueue_time=9,
    )

    async def servers() -> list[ServerStatus]:
        return found

    async def scheduler_entries() -> list[SchedulerEntry]:
        return [entry]

    async def enqueue_events(entry_id: str, **_: int) -> list[SchedulerEnqueueEvent]:
        return [SchedulerEnqueueEvent(f"of-{entry_id}", 1_700_000_000)]

    monkeypatch.setattr(inspector, "servers", servers)
    monkeypatch.setattr(inspector, "scheduler_entries", scheduler_entries)
    monkeypatch.setattr(inspector, "enqueue_events", enqueue_events)
    return inspector


async def test_running_tasks(fleet: Inspector) -> None:
    """Key 2 shows what runs on all servers, the oldest first."""
    async with dashboard(fleet) as dash:
        await dash.press("2")
        assert [row[:3] for row in dash.rows] == [
            ["job-1", "job:long", "q"],
            ["job-2", "job:long", "q"],
        ]
        await dash.press("enter")
        assert "There is no queue 'q'" in dash.screen


async def test_servers(fleet: Inspector) -> None:
    """Key 3 shows the servers; Enter what one of them runs."""
    async with dashboard(fleet) as dash:
        await dash.press("3")
        assert "2 servers: 2 of 10 slots in use" in dash.screen
        assert dash.rows[1][:5] == ["host-2", "102", "active", "2", "5"]
        assert dash.rows[1][-2:] == ["q=3", "(strict)"]
        await dash.press("enter")
        assert dash.rows == []
        await dash.press("escape", "down", "enter")
        assert dash.column == ["job-1", "job-2"]


async def test_schedulers(fleet: Inspector) -> None:
    """Key 4 shows the entries; Enter what one enqueued; Enter again that task, in its queue."""
    async with dashboard(fleet) as dash:
        await dash.press("4")
        assert dash.rows[0][:4] == ["@every", "5s", "job:tick", "low"]
        await dash.press("enter")
        assert dash.rows[0][-1] == "of-entry-1"
        await dash.press("enter")
        assert "Queues > low > of-entry-1" in dash.screen


async def test_a_view_keeps_its_place(client: Client, inspector: Inspector) -> None:
    """Who comes back to a view finds what was open there; its key again leads to its beginning."""
    await client.enqueue(Task("t"))

    async with dashboard(inspector) as dash:
        await dash.press("enter", "3", "1")
        assert "Queues > default" in dash.screen
        await dash.press("1")
        assert dash.column == ["default"]


async def test_pages(client: Client, inspector: Inspector) -> None:
    """A page is as long as the screen; page keys turn it, and no further than the last."""
    await client.enqueue_many([Task("t", n) for n in range(45)])

    async with dashboard(inspector) as dash:
        await dash.press("enter", "l")
        assert [row[-1] for row in dash.rows] == [str(n) for n in range(19)]
        await dash.press("pagedown")
        assert [row[-1] for row in dash.rows] == [str(n) for n in range(19, 38)]
        await dash.press("ctrl+f", "pagedown", "pagedown")
        assert [row[-1] for row in dash.rows] == [str(n) for n in range(38, 45)]
        assert "page 3 of 3" in dash.screen
        await inspector.delete_all("default", "pending")
        await dash.poll()
        assert dash.rows == []
        assert "no pending tasks" in dash.screen


async def test_filter(client: Client, inspector: Inspector) -> None:
    """What is typed after / must be in a task's ID, type, error or payload; Esc shows all."""
    await client.enqueue_many([Task("t", {"user": n}) for n in range(60)])
    await client.enqueue(Task("Other"), task_id="single")

    async with dashboard(inspector) as dash:
        await dash.press("enter", "l", "slash", *'"user":5', "enter")
        assert [row[-1] for row in dash.rows] == [f'{{"user":{n}}}' for n in (5, *range(50, 60))]
        assert "page 1 of 1" in dash.screen
        await dash.press("escape", "slash", *"other", "enter")
        assert dash.column == ["single"]
        await dash.press("escape")
        assert len(dash.rows) == 19
        await dash.press("escape", "slash", *"nothing")
        assert dash.rows == []


async def test_cursor_follows_its_row(client: Client, inspector: Inspector) -> None:
    """When rows move, the cursor stays on what it was on."""
    for name in ("b", "c"):
        await client.enqueue(Task("t"), queue=name)

    async with dashboard(inspector) as dash:
        await dash.press("j")
        await client.enqueue(Task("t"), queue="a")
        await dash.poll()
        assert dash.column == ["a", "b", "c"]
        assert dash.app.screen.query_one(Grid).current == "c"


async def test_hostile_text_is_only_text(client: Client, inspector: Inspector) -> None:
    """Markup is shown as it is, and what could command a terminal as an escape."""
    kind = "t:[red]x[/]\u202e"
    await client.enqueue(Task(kind, b"[bold]\x1b[2J"), task_id="[link=x]", queue="[b]q")

    async with dashboard(inspector, size=(140, 24)) as dash:
        assert dash.column == ["[b]q"]
        await dash.press("enter", "l")
        assert dash.rows == [["[link=x]", r"t:[red]x[/]\u202e", "0/25", r"[bold]\x1b[2J"]]
        await dash.press("d")
        assert "[link=x]" in dash.screen
        await dash.press("n", "enter")
        assert r"[bold]\x1b[2J" in dash.screen
        assert "\x1b" not in dash.screen


async def test_interval_and_theme(inspector: Inspector) -> None:
    """Keys change how often Redis is asked, which the bar shows, and the theme."""
    async with dashboard(inspector) as dash:
        await dash.press("plus")
        assert "every 60 s" in dash.screen
        await dash.press("plus", "plus", "minus")
        assert "every 30 s" in dash.screen
        assert dash.app.current_theme.dark
        await dash.press("t")
        assert not dash.app.current_theme.dark


async def test_no_colours_where_none_are_wanted(
    inspector: Inspector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NO_COLOR takes the colours away."""
    monkeypatch.setenv("NO_COLOR", "1")

    async with dashboard(inspector) as dash:
        filters = [type(one).__name__ for one in dash.app.get_line_filters()]
        assert "Monochrome" in filters


async def test_help_names_all_keys(inspector: Inspector) -> None:
    """Each key that does something is in the help, and q in it does not quit."""
    shown = {key for _, keys in HELP for names, _ in keys for key in names.split()}
    named = {
        "slash": "/",
        "question_mark": "?",
        "plus": "+",
        "minus": "-",
        "space": "Space",
        "up": "↑",
        "down": "↓",
        "left": "←",
        "right": "→",
        "f5": "F5",
        "enter": "Enter",
        "escape": "Esc",
        "backspace": "Backspace",
        "pageup": "PgUp",
        "pagedown": "PgDn",
        "home": "Home",
        "end": "End",
        "equals_sign": "+",
    }
    classes = (DashApp, View, Grid, Pane, QueuesView, QueueView, TasksView, TaskView)
    for owner in (*classes, RunningView, ServersView, SchedulersView, EntryView):
        for binding in owner.__dict__.get("BINDINGS", []):
            assert isinstance(binding, Binding)
            for key in binding.key.split(","):
                assert key.startswith("ctrl+") or named.get(key, key) in shown, key

    async with dashboard(inspector) as dash:
        await dash.press("question_mark")
        assert "read more often, less often" in dash.screen
        await dash.press("q")
        assert "No queues yet" in dash.screen
        assert dash.app.is_running
