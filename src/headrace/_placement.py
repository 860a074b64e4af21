"""Task and options -> what the broker writes. The client and the aggregator share it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace._broker.keys import QueueKeys
from headrace._broker.values import Placement
from headrace._clock import new_uuid
from headrace._message import TaskMessage
from headrace._task import DEFAULT_MAX_RETRY, DEFAULT_QUEUE, DEFAULT_TIMEOUT

if TYPE_CHECKING:
    import random

    from headrace._task import Options, Task

__all__ = ["placement"]


def placement(task: Task, options: Options, *, rng: random.Random) -> Placement:
    """Return *task* as the broker writes it, with the defaults filled in.

    Whether it is due already is not decided here: Redis's clock says so when it is written.

    Args:
        task: What to do. Its own options count where *options* gives none.
        options: Those given at enqueue.
        rng: Draws the task's ID where none is given.
    """
    options = task.options.overridden_by(options)
    queue = options.queue or DEFAULT_QUEUE
    unique_key = ""
    if options.unique is not None:
        payload = task.payload if task.has_payload else None
        unique_key = QueueKeys(queue).unique(task.type, payload)
    message = TaskMessage(
        id=options.task_id or new_uuid(rng),
        type=task.type,
        queue=queue,
        payload=task.payload,
        max_retry=DEFAULT_MAX_RETRY if options.max_retry is None else options.max_retry,
        timeout=_timeout(options),
        deadline=options.deadline or 0,
        unique_key=unique_key,
        retention=options.retention or 0,
        group_key=options.group or "",
        headers=options.headers or {},
    )
    return Placement(
        message=message,
        process_at=options.process_at,
        process_in=options.process_in,
        unique_ttl=options.unique,
    )


def _timeout(options: Options) -> int:
    if options.timeout is None and options.deadline is None:
        return DEFAULT_TIMEOUT  # A handler that hangs must not hold its slot for good.
    return options.timeout or 0
