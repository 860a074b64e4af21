"""What can be done to tasks and queues: what is asked first, the doing, and what is told."""

from __future__ import annotations

import dataclasses
import enum
from typing import TYPE_CHECKING, Final, TypeAlias

from headrace import BrokerError, HeadraceError, TaskState
from headrace._cli.text import plain, plural

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from headrace import Inspector

__all__ = [
    "AllTasks",
    "Outcome",
    "Queues",
    "Request",
    "Tasks",
    "Verb",
    "notice",
    "perform",
    "question",
    "refusal",
]

_NAMED: Final = 4
"""How many tasks a question or a notice names."""


class Verb(enum.StrEnum):
    """What is done."""

    RUN = "run"
    ARCHIVE = "archive"
    DELETE = "delete"
    CANCEL = "cancel"
    PAUSE = "pause"
    RESUME = "resume"


_PAST: Final = {
    Verb.RUN: "made pending",
    Verb.ARCHIVE: "archived",
    Verb.DELETE: "deleted",
    Verb.CANCEL: "asked to stop",
    Verb.PAUSE: "paused",
    Verb.RESUME: "resumed",
}
_MEANS: Final = {
    Verb.RUN: "becomes pending: the next free worker takes it.",
    Verb.ARCHIVE: "is not run unless somebody runs it again; its uniqueness lock is freed. "
    "The archive keeps the last 10,000 tasks.",
    Verb.DELETE: "is gone, with its payload, result and uniqueness lock. "
    "This cannot be taken back.",
    Verb.CANCEL: "is interrupted by its worker, and tried again later if it has retries left.",
    Verb.PAUSE: "No worker takes tasks from it until it is resumed. What runs goes on, and so "
    "does enqueueing.",
    Verb.RESUME: "Workers take its tasks again.",
}
_WAITING: Final = (
    TaskState.SCHEDULED,
    TaskState.RETRY,
    TaskState.AGGREGATING,
)
_STATES: Final = {
    Verb.RUN: frozenset({*_WAITING, TaskState.ARCHIVED, TaskState.COMPLETED}),
    Verb.ARCHIVE: frozenset({*_WAITING, TaskState.PENDING}),
    Verb.DELETE: frozenset(TaskState) - {TaskState.ACTIVE},
    Verb.CANCEL: frozenset({TaskState.ACTIVE}),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Tasks:
    """Some tasks: pairs of queue and ID, all of them in one state."""

    ids: Sequence[tuple[str, str]]
    state: TaskState


@dataclasses.dataclass(frozen=True, slots=True)
class AllTasks:
    """All tasks of a state."""

    queue: str
    state: TaskState
    count: int
    """How many there were when they were last counted."""
    group: str | None = None
    """None: of all groups."""
    filtered: bool = False
    """Whether the view shows some of them only."""


@dataclasses.dataclass(frozen=True, slots=True)
class Queues:
    """Some queues, by name."""

    names: Sequence[str]


Target: TypeAlias = Tasks | AllTasks | Queues


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """What shall be done, to what."""

    verb: Verb
    target: Target


@dataclasses.dataclass(slots=True)
class Outcome:
    """What came of it."""

    done: int = 0
    problems: list[str] = dataclasses.field(default_factory=list)
    """One for each task or queue that it failed for."""


def refusal(request: Request) -> str:
    """Return why it cannot be done at all; "" if it can."""
    verb, target = request.verb, request.target
    if isinstance(target, Queues):
        return "" if target.names else "There is no queue to do that to."
    if target.state not in _STATES.get(verb, ()):
        states = ", ".join(str(state) for state in sorted(_STATES.get(verb, ())))
        kind = str(target.state).capitalize()
        return f"{kind} tasks cannot be {_PAST[verb]}; those can: {states}."
    if isinstance(target, Tasks):
        return "" if target.ids else "There is no task to do that to."
    if verb is Verb.RUN and target.state is TaskState.COMPLETED:
        return "Completed tasks are run again one by one, or those that are marked."
    return "" if target.count else f"There are no {target.state} tasks."


def question(request: Request) -> tuple[str, str]:
    """Return what to ask before it is done: a headline, and what it means."""
    verb, target = request.verb, request.target
    if isinstance(target, Queues):
        what = plural(len(target.names), "queue")
        return f"{verb.capitalize()} {what}?", f"{_listed(target.names)}\n\n{_MEANS[verb]}"
    now = " now" if verb is Verb.RUN else ""
    if isinstance(target, Tasks):
        count = len(target.ids)
        names = _listed([task_id for _, task_id in target.ids])
        where = _listed(sorted({queue for queue, _ in target.ids}))
        scope = f"{names}\nin {where}"
    else:
        count = target.count
        scope = f"All {target.state} tasks of {plain(target.queue)}"
        if target.group is not None:
            scope += f", group {plain(target.group)}"
        scope += f": {count:,} when last counted, and what joins them meanwhile may be among them."
        if target.filtered:
            scope += " The filter does not matter: all of them, not only those shown."
    title = f"{verb.capitalize()} {plural(count, f'{target.state} task')}{now}?"
    subject = "It" if count == 1 else "Each"
    return title, f"{scope}\n\n{subject} {_MEANS[verb]}"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(plain(name) for name in names[:_NAMED])
    more = len(names) - _NAMED
    return f"{shown} and {more:,} more" if more > 0 else shown


async def perform(
    request: Request, inspector: Inspector, on_progress: Callable[[int], None]
) -> Outcome:
    """Do it.

    Args:
        request: What to do.
        inspector: With what.
        on_progress: Told now and then how many were done so far.

    Returns:
        How many it was done to, and each error. No `HeadraceError` is raised.
    """
    outcome = Outcome()

    def progress(done: int) -> None:
        outcome.done = done
        on_progress(done)

    target = request.target
    try:
        if isinstance(target, AllTasks):
            await _change_all(request.verb, target, inspector, progress)
        else:
            await _change_each(request.verb, target, inspector, outcome, progress)
    except HeadraceError as error:
        outcome.problems.append(str(error))
    return outcome


async def _change_all(
    verb: Verb, target: AllTasks, inspector: Inspector, progress: Callable[[int], None]
) -> None:
    queue, state, group = target.queue, target.state, target.group
    if verb is Verb.CANCEL:
        done = 0
        running = [info.id async for info in inspector.iter_tasks(queue, state)]
        for task_id in running:
            done += await inspector.cancel(queue, task_id)
            progress(done)
        return
    change = {
        Verb.RUN: inspector.run_all,
        Verb.ARCHIVE: inspector.archive_all,
        Verb.DELETE: inspector.delete_all,
    }[verb]
    progress(await change(queue, state, group=group, on_progress=progress))


async def _change_each(
    verb: Verb,
    target: Tasks | Queues,
    inspector: Inspector,
    outcome: Outcome,
    progress: Callable[[int], None],
) -> None:
    pairs = target.ids if isinstance(target, Tasks) else [(name, "") for name in target.names]
    for queue, task_id in pairs:
        try:
            await _change_one(verb, queue, task_id, inspector)
        except BrokerError:
            raise  # The others would fare no better.
        except HeadraceError as error:
            outcome.problems.append(str(error))
        else:
            progress(outcome.done + 1)


async def _change_one(verb: Verb, queue: str, task_id: str, inspector: Inspector) -> None:
    if verb is Verb.PAUSE:
        await inspector.pause(queue)
    elif verb is Verb.RESUME:
        await inspector.unpause(queue)
    elif verb is Verb.CANCEL:
        if not await inspector.cancel(queue, task_id):
            raise HeadraceError(f"Task {task_id!r} is not running any more.")
    elif verb is Verb.RUN:
        await inspector.run_task(queue, task_id)
    elif verb is Verb.ARCHIVE:
        await inspector.archive_task(queue, task_id)
    else:
        await inspector.delete_task(queue, task_id)


def notice(request: Request, outcome: Outcome) -> str:
    """Return what to tell of the outcome. Safe to print."""
    target = request.target
    noun = "queue" if isinstance(target, Queues) else "task"
    text = f"{plural(outcome.done, noun)} {_PAST[request.verb]}."
    if not outcome.problems:
        return text
    shown = "\n".join(plain(problem) for problem in outcome.problems[:_NAMED])
    more = len(outcome.problems) - _NAMED
    rest = f"\n… and {plural(more, 'more error')}" if more > 0 else ""
    return f"{text} {plural(len(outcome.problems), 'error')}:\n{shown}{rest}"
