"""What one side enqueues, the other reads alike and runs, with every option."""

from __future__ import annotations

import dataclasses
import math
import time
from typing import TYPE_CHECKING, cast

import pytest

from headrace import Client, DuplicateTaskError, Inspector, Task, TaskIdConflictError
from tests.interop.handlers import router_for
from tests.interop.programs import GoError
from tests.interop.views import comparable, read_report, view
from tests.interop.waiting import PATIENCE, until_empty
from tests.server.helpers import serving
from tests.support.randomness import seeded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace import TaskOptions
    from tests.interop.conftest import StartGoWorker, Wire
    from tests.interop.programs import GoClient, GoInspector, View
    from tests.support.processes import Journal

QUEUES = {"default": 1, "low": 1}
LATE = 4_000_000_000
KEPT = {"retention": 3_600}


@dataclasses.dataclass(frozen=True)
class Case:
    """A task with its options, which both sides take by the same names."""

    payload: bytes | None = b"hello"
    type: str = "echo"
    options: Mapping[str, object] = dataclasses.field(default_factory=dict)

    @property
    def all_options(self) -> Mapping[str, object]:
        """The options; and that it is kept, so that its end can be looked at."""
        return {**KEPT, **self.options}

    def task(self) -> Task:
        """Return it for our client."""
        return Task(self.type, self.payload, **self._options())

    def _options(self) -> TaskOptions:
        return cast("TaskOptions", dict(self.all_options))


def make_cases() -> dict[str, Case]:
    """Return a task for every option, and for every kind of payload."""
    soon = math.ceil(time.time()) + 3
    return {
        "process_at": Case(options={"process_at": soon}),  # First: it must not be past then.
        "nothing": Case(),
        "absent payload": Case(None),
        "empty payload": Case(b""),
        "binary payload": Case(bytes(range(256))),
        "payload of 1 MB": Case(seeded().randbytes(1 << 20)),
        "max_retry": Case(options={"max_retry": 3}),
        "no retry": Case(options={"max_retry": 0}),
        "a retry": Case(type="fail_once", options={"max_retry": 3}),
        "timeout": Case(options={"timeout": 90}),
        "deadline": Case(options={"deadline": LATE}),
        "timeout before deadline": Case(options={"timeout": 90, "deadline": LATE}),
        "deadline before timeout": Case(options={"timeout": 90_000, "deadline": LATE}),
        "unique": Case(b"only", options={"unique": 600}),
        "unique without payload": Case(None, options={"unique": 600}),
        "unique and late": Case(b"late", options={"unique": 600, "process_in": 1}),
        "task_id": Case(options={"task_id": "my:id {ü}"}),
        "process_in": Case(options={"process_in": 1}),
        "retention": Case(options={"retention": 86_400}),
        "headers": Case(options={"headers": {"trace-id": "ab:1", "ü": "é\n"}}),
        "queue": Case(options={"queue": "low"}),
    }


def expected_report(case: Case, task_id: str) -> dict[str, object]:
    """Return what a handler is told of a task, but its deadline."""
    return {
        "id": task_id,
        "type": case.type,
        "queue": case.options.get("queue", "default"),
        "payload": case.payload or b"",
        "headers": case.options.get("headers", {}),
        "retried": 1 if case.type == "fail_once" else 0,
        "max_retry": case.options.get("max_retry", 25),
    }


def check_deadline(case: Case, deadline: object, enqueued_at: float) -> None:
    """The attempt's deadline is the task's own, or its timeout after its start."""
    timeout = cast("int", case.options.get("timeout", 0 if "deadline" in case.options else 1_800))
    at = cast("int", case.options.get("deadline", math.inf))
    lowest = min(at, int(enqueued_at) + timeout if timeout else math.inf)
    highest = min(at, time.time() + 1 + timeout if timeout else math.inf)
    assert lowest <= cast("int", deadline) <= highest


async def check_results(
    client: Client, cases: Mapping[str, Case], infos: Mapping[str, View], since: float
) -> None:
    """Each task ended with the report that its handler is to give."""
    for name, info in infos.items():
        case = cases[name]
        queue, task_id = str(info["queue"]), str(info["id"])
        await client.result(task_id, queue=queue, timeout=PATIENCE)
        done = await client.get_task(task_id, queue)
        report = dict(read_report(done.result or b""))
        check_deadline(case, report.pop("deadline"), since)
        assert expected_report(case, task_id) == report, name


async def test_go_enqueues_we_work(
    wire: Wire, client: Client, inspector: Inspector, go_client: GoClient
) -> None:
    """We read each option as asynq's client does, and our worker heeds it."""
    since, cases = time.time(), make_cases()
    infos: dict[str, View] = {}
    for name, case in cases.items():
        info = go_client.enqueue(case.type, case.payload, **case.all_options)
        infos[name] = comparable(info)
        ours = view(await inspector.get_task(str(info["queue"]), str(info["id"])))
        assert infos[name] == {**ours, "next_process_at": infos[name]["next_process_at"]}, name
        if "process_at" in case.options:
            assert ours["next_process_at"] == case.options["process_at"]

    async with serving(wire.url, router_for(wire.url), queues=QUEUES, retry_delay=lambda *_: 1.0):
        await check_results(client, cases, infos, since)


async def test_we_enqueue_go_works(
    client: Client, go_inspector: GoInspector, start_go_worker: StartGoWorker
) -> None:
    """What our client wrote, asynq reads option by option, and its worker heeds it."""
    since, cases = time.time(), make_cases()
    infos: dict[str, View] = {}
    for name, case in cases.items():
        info = await client.enqueue(case.task())
        infos[name] = view(info)
        theirs = comparable(go_inspector.get(info.queue, info.id))
        assert {**theirs, "next_process_at": infos[name]["next_process_at"]} == infos[name], name
        if "process_at" in case.options:
            assert theirs["next_process_at"] == case.options["process_at"]

    worker = start_go_worker(queues=QUEUES, retry_delay=1)
    await check_results(client, cases, infos, since)
    worker.stop()


async def test_tasks_without_retention_vanish(
    wire: Wire,
    client: Client,
    go_client: GoClient,
    start_go_worker: StartGoWorker,
    journal: Journal,
) -> None:
    """Each side deletes the other's task once it is done, and counts it."""
    await client.enqueue(Task("reply", b"ours"))
    worker = start_go_worker()
    journal.until("end")
    await until_empty(client)
    worker.stop()
    go_client.enqueue("reply", b"theirs")
    async with serving(wire.url, router_for(wire.url)):
        stats = await until_empty(client)

    assert (0, 2, 0) == (stats.completed, stats.processed, stats.failed)


# --- Refusals ------------------------------------------------------------------------------


async def test_unique_holds_across_languages(
    client: Client, go_client: GoClient, inspector: Inspector
) -> None:
    """A task that one side made unique, the other refuses, until it is gone."""
    for payload in (b"x", None):
        ours = await client.enqueue(Task("t", payload), unique=600)
        with pytest.raises(GoError, match="task already exists"):
            go_client.enqueue("t", payload, unique=600)
        await inspector.delete_task("default", ours.id)
        theirs = go_client.enqueue("t", payload, unique=600)
        with pytest.raises(DuplicateTaskError) as caught:
            await client.enqueue(Task("t", payload), unique=600)
        assert caught.value.holder == theirs["id"]


async def test_ids_conflict_across_languages(client: Client, go_client: GoClient) -> None:
    """An ID that one side gave, the other refuses."""
    await client.enqueue(Task("t"), task_id="ours")
    with pytest.raises(GoError, match="conflicts"):
        go_client.enqueue("t", task_id="ours")
    go_client.enqueue("t", task_id="theirs")
    with pytest.raises(TaskIdConflictError):
        await client.enqueue(Task("t"), task_id="theirs")
