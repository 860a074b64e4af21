"""Where Headrace differs from asynq on purpose: each difference, and the defect that it avoids.

The differential test accepts no other. Each entry was looked at, one by one, and is met by the
test's own cases: one that is not met any more is reported, too.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

from headrace import TaskState

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.interop.comparison import Difference, Facts
    from tests.interop.states import Operation

__all__ = ["REVIEWED", "Case", "Reviewed", "explain"]


@dataclasses.dataclass(frozen=True)
class Case:
    """What was done, and what each side answered: "refused", or what it returned."""

    operation: Operation
    before: Facts
    theirs: int | str = "done"
    ours: int | str = "done"

    @property
    def state_before(self) -> object:
        """The state of the task that the operation is about; None if there is none."""
        return self.before.get(("task", self.operation.task_id, "state"))


@dataclasses.dataclass(frozen=True)
class Reviewed:
    """One difference that is meant."""

    name: str
    defect: str
    """What asynq does, and what would come of it."""
    applies: Callable[[Case, Difference], bool]


def _is_lock(found: Difference) -> bool:
    return found.where[0].startswith("unique:")


def _lock_left(case: Case, found: Difference) -> bool:
    if not _is_lock(found) or found.ours is not None:
        return False
    match case.operation.op:
        case "archive" | "archive_all" | "delete_queue":
            return True
        case "delete_all":
            return case.operation.state in {TaskState.PENDING, TaskState.AGGREGATING}
        case "delete":
            return case.state_before == str(TaskState.AGGREGATING)
    return False


def _lock_of_a_refused_task(case: Case, found: Difference) -> bool:
    is_refused = case.operation.op == "enqueue" and case.theirs == case.ours == "refused"
    return is_refused and _is_lock(found) and found.ours is None


def _lock_of_a_new_payload(case: Case, found: Difference) -> bool:
    names = {"unique_key", "msg"}
    concerns = _is_lock(found) or (found.field == "unique_key" and found.where[2] in names)
    return case.operation.op == "update_payload" and concerns


def _duplicate_of_a_new_payload(case: Case, found: Difference) -> bool:
    is_refused = case.operation.op == "update_payload" and case.ours == "refused"
    return is_refused and case.theirs != "refused"


def _lock_field(case: Case, found: Difference) -> bool:
    ops = {"enqueue", "run", "run_all"}
    is_field = found.where[0] == "task" and found.where[2:] == ("unique_key",)
    return case.operation.op in ops and is_field and found.theirs is None


def _pending_since(case: Case, found: Difference) -> bool:
    moves = {"run", "run_all", "archive", "archive_all"}
    return case.operation.op in moves and found.field == "pending_since"


def _archived_after_completion(case: Case, found: Difference) -> bool:
    was_completed = case.state_before == str(TaskState.COMPLETED)
    return case.operation.op == "archive" and was_completed and case.ours == "refused"


def _result_of_an_earlier_run(case: Case, found: Difference) -> bool:
    was_completed = case.state_before == str(TaskState.COMPLETED)
    is_trace = found.field in {"result", "completed_at"} and found.ours is None
    return case.operation.op == "run" and was_completed and is_trace


def _group_of_a_late_task(case: Case, found: Difference) -> bool:
    is_group = found.field == "group" and found.theirs is None
    return case.operation.op == "enqueue" and is_group


def _rest_of_a_queue(case: Case, found: Difference) -> bool:
    both = case.operation.op == "delete_queue" and case.theirs == case.ours == "done"
    return both and found.ours is None


def _queue_that_is_not_empty(case: Case, found: Difference) -> bool:
    return case.operation.op == "delete_queue" and (case.theirs, case.ours) == ("done", "refused")


def _lock_left_by_worker(case: Case, found: Difference) -> bool:
    return case.operation.op == "work" and _is_lock(found) and found.ours is None


def _words_of_an_error(case: Case, found: Difference) -> bool:
    is_text = found.where[2:] == ("msg", "error_msg")
    return case.operation.op == "work" and is_text and None not in {found.theirs, found.ours}


REVIEWED: Final = (
    Reviewed(
        "lock left",
        "The uniqueness lock leaks when tasks are archived, when all pending ones are deleted, "
        "one or all of a group, or a queue: nobody can enqueue the like until it expires.",
        _lock_left,
    ),
    Reviewed(
        "lock left by a worker",
        "The uniqueness lock leaks when a worker archives its task.",
        _lock_left_by_worker,
    ),
    Reviewed(
        "lock of a refused task",
        "The lock is taken before the ID is looked at: a task that is refused for its ID leaves "
        "a lock behind that names the other task.",
        _lock_of_a_refused_task,
    ),
    Reviewed(
        "lock of a new payload",
        "A task whose payload is updated keeps the lock of its old payload: the old one cannot "
        "be enqueued, and the new one twice.",
        _lock_of_a_new_payload,
    ),
    Reviewed(
        "duplicate of a new payload",
        "So a payload can be updated into the duplicate of another unique task.",
        _duplicate_of_a_new_payload,
    ),
    Reviewed(
        "lock not in the hash",
        "A unique task that is put into a group does not name its lock in its hash, so asynq's "
        "own scripts cannot free it; the lock leaks when the task is deleted or aggregated.",
        _lock_field,
    ),
    Reviewed(
        "pending_since",
        "Tasks that a person runs get no pending_since, which makes the queue's latency 0, and "
        "archived ones keep theirs.",
        _pending_since,
    ),
    Reviewed(
        "completed task archived",
        "A task that was completed is moved to the archive of failures, against asynq's own "
        "documentation, which refuses it.",
        _archived_after_completion,
    ),
    Reviewed(
        "result of an earlier run",
        "A completed task that is run again keeps the result and the time of its first run: "
        "whoever waits for it takes the old one.",
        _result_of_an_earlier_run,
    ),
    Reviewed(
        "group of a late task",
        "A task with a group that is scheduled for later loses its group.",
        _group_of_a_late_task,
    ),
    Reviewed(
        "rest of a queue",
        "Deleting a queue forgets its completed tasks, its groups, its locks and its counters; "
        "they stay in Redis for ever.",
        _rest_of_a_queue,
    ),
    Reviewed(
        "queue that is not empty",
        "A queue that holds completed tasks or groups only is taken for empty, and its name "
        "deleted from under them.",
        _queue_that_is_not_empty,
    ),
    Reviewed(
        "words of an error",
        "No defect: asynq adds its sentinel's text to the error of a task that skips retries.",
        _words_of_an_error,
    ),
)


def explain(case: Case, found: Difference) -> str | None:
    """Return the name of the entry that a difference belongs to; None: it is not meant."""
    for entry in REVIEWED:
        if entry.applies(case, found):
            return entry.name
    return None
