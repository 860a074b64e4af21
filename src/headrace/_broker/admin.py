"""What a person does to queues and tasks."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from headrace._broker.attempts import trim_call
from headrace._broker.commands import Call, checked
from headrace._broker.keys import QUEUES
from headrace._broker.listing import container_of, text
from headrace._broker.values import MAX_ITEMS
from headrace._errors import (
    BrokerError,
    DuplicateTaskError,
    QueueNotEmptyError,
    QueueNotFoundError,
    TaskNotFoundError,
    TaskStateError,
)
from headrace._message import NOT_COMPLETED, decode_message, with_payload
from headrace._task import TaskState, encode_payload

if TYPE_CHECKING:
    from headrace._broker.commands import Reply
    from headrace._broker.keys import QueueKeys
    from headrace._broker.link import Link

__all__ = ["CHANGEABLE", "Action", "Admin", "Changed"]

Action: TypeAlias = Literal["run", "archive", "delete"]
CHANGEABLE: Final[dict[Action, tuple[TaskState, ...]]] = {
    "run": (
        *(TaskState.SCHEDULED, TaskState.RETRY, TaskState.ARCHIVED, TaskState.AGGREGATING),
        TaskState.COMPLETED,
    ),
    "archive": (
        *(TaskState.PENDING, TaskState.SCHEDULED, TaskState.RETRY),
        TaskState.AGGREGATING,
    ),
    "delete": tuple(state for state in TaskState if state is not TaskState.ACTIVE),
}
"""In which states a task can be changed, by what is to become of it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Changed:
    """One step through a container."""

    seen: int
    """How many entries were taken out."""
    changed: int
    """How many tasks were behind them."""
    left: int
    """How many entries are left."""


class Admin:
    """The inspector's writes."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def delete_queue(self, queue: str, *, force: bool = False) -> int:
        """Delete a queue with all that belongs to it, uniqueness locks included.

        Args:
            queue: Its name.
            force: Delete its tasks, too. Running ones are never deleted.

        Returns:
            How many tasks were deleted with it.

        Raises:
            QueueNotFoundError: If there is no such queue.
            QueueNotEmptyError: If it holds tasks that must not be deleted: nothing was. With
                *force*, tasks that began meanwhile stay, and the others are gone.
            BrokerError: If Redis did not answer.
        """
        if not await self._link.commands.one(("SISMEMBER", QUEUES, queue)):
            raise QueueNotFoundError(queue)
        deleted, keys = 0, self._link.keys(queue)
        if force:
            if running := await self._link.commands.one(("LLEN", keys.active)):
                raise QueueNotEmptyError(queue, running)
            for container, state in await self._containers(queue):
                deleted += await self._delete_all(queue, container, state)
        containers = (
            *(keys.scheduled, keys.retry, keys.archived, keys.completed),
            *(keys.groups, keys.aggregation_sets),
        )
        rest = (keys.lease, keys.paused, keys.processed, keys.failed, keys.limits, keys.starts)
        size = await self._link.commands.one(
            Call(
                "delete_queue",
                (keys.pending, keys.active, *containers, *rest),
                (len(containers),),
            )
        )
        if size:
            raise QueueNotEmptyError(queue, size)
        await self._link.commands.one(("SREM", QUEUES, queue))
        return deleted

    async def _containers(self, queue: str) -> list[tuple[str, str]]:
        """Return the keys of all that holds tasks, but running ones, with their state."""
        keys = self._link.keys(queue)
        groups, sets = (
            _texts(checked(reply))
            for reply in await self._link.commands.run(
                ("SMEMBERS", keys.groups), ("ZRANGE", keys.aggregation_sets, 0, -1)
            )
        )
        return [
            (keys.pending, "pending"),
            (keys.scheduled, "scheduled"),
            (keys.retry, "retry"),
            (keys.archived, "archived"),
            (keys.completed, "completed"),
            *((keys.group(group), "aggregating") for group in groups),
            *((key, "aggregating") for key in sets),
        ]

    async def _delete_all(self, queue: str, container: str, state: str) -> int:
        """Delete the tasks of one container, in bounded steps; return how many entries it had."""
        deleted, step = 0, Changed(0, 0, 1)
        while step.left:
            step = await self._step("delete", queue, container, state)
            deleted += step.seen
        return deleted

    # --- Pauses ----------------------------------------------------------------------------

    async def pause(self, queue: str) -> bool:
        """Have no task of the queue start; False if it was paused already."""
        key = self._link.keys(queue).paused
        time = await self._link.commands.one(("TIME",))
        return bool(await self._link.commands.one(("SET", key, int(time[0]), "NX")))

    async def unpause(self, queue: str) -> bool:
        """Have its tasks start again; False if it was not paused."""
        was_paused = await self._link.commands.one(("DEL", self._link.keys(queue).paused))
        self._link.ring()
        return bool(was_paused)

    # --- One task --------------------------------------------------------------------------

    async def change_task(self, action: Action, queue: str, task_id: str) -> None:
        """Run, archive or delete a task.

        Raises:
            TaskNotFoundError: If the queue does not hold it.
            TaskStateError: If its state does not allow it.
            BrokerError: If Redis did not answer.
        """
        keys = self._link.keys(queue)
        states = ",".join(map(str, CHANGEABLE[action]))
        reply = await self._link.commands.one(
            Call(
                "change_task",
                (keys.task(task_id), keys.pending, keys.archived, keys.groups),
                (self._link.now(), action, task_id, keys.prefix, states, NOT_COMPLETED),
            )
        )
        if reply == 0:
            raise TaskNotFoundError(queue, task_id)
        if reply != 1:
            raise TaskStateError(queue, task_id, text(reply), action)
        await self._settle(action, queue)

    async def update_payload(self, queue: str, task_id: str, payload: object) -> None:
        """Give a scheduled task another payload; its uniqueness lock goes with it.

        Raises:
            TaskNotFoundError: If the queue does not hold it.
            TaskStateError: If it is not scheduled.
            DuplicateTaskError: If another task holds the lock of its type and that payload.
            InvalidOptionError: If JSON cannot carry the payload.
            MessageDecodeError: If what Redis holds of the task cannot be read.
            BrokerError: If Redis did not answer.
        """
        keys = self._link.keys(queue)
        while True:  # Others may change it meanwhile; each time around, one of them is done.
            command = ("HMGET", keys.task(task_id), "msg", "state", "unique_key")
            data, state, lock = await self._link.commands.one(command)
            if data is None:
                raise TaskNotFoundError(queue, task_id)
            if state != b"scheduled":
                raise TaskStateError(
                    queue, task_id, text(state or b"in no state"), "update the payload of"
                )
            task_type = decode_message(data).type
            encoded = None if payload is None else encode_payload(task_type, payload)
            new_lock = keys.unique(task_type, encoded) if lock else ""
            changed = with_payload(data, encoded or b"", unique_key=new_lock)
            args = (task_id, data, changed, lock or b"", new_lock)
            answer = await self._link.commands.one(
                Call("update_payload", (keys.task(task_id),), args)
            )
            match [text(part) for part in answer]:
                case ["done"]:
                    return
                case ["duplicate", holder]:
                    raise DuplicateTaskError(queue, task_type, new_lock, holder)
                case _:
                    continue

    # --- Many tasks ------------------------------------------------------------------------

    async def change_some(
        self, action: Action, queue: str, state: TaskState, group: str | None, limit: int
    ) -> Changed:
        """Run, archive or delete up to *limit* tasks of one state, the first in its order."""
        container = container_of(self._link.keys(queue), state, group)
        step = await self._step(action, queue, container, str(state), min(limit, MAX_ITEMS))
        await self._settle(action, queue)
        return step

    async def count_tasks(self, queue: str, state: TaskState, group: str | None) -> int:
        """Return how many tasks a container holds; 0 for an aggregation set."""
        keys = self._link.keys(queue)
        container = container_of(keys, state, group)
        if state is TaskState.PENDING:
            return int(await self._link.commands.one(("LLEN", container)))
        size, is_set = await self._link.commands.run(
            ("ZCARD", container), ("ZSCORE", keys.aggregation_sets, container)
        )
        return int(checked(size)) if checked(is_set) is None else 0

    async def _step(
        self, action: Action, queue: str, container: str, state: str, limit: int = MAX_ITEMS
    ) -> Changed:
        keys = self._link.keys(queue)
        group = container.removeprefix(keys.group_prefix) if state == "aggregating" else ""
        reply = await self._link.commands.one(
            Call(
                "change_all",
                (container, *_destinations(keys)),
                (self._link.now(), action, limit, keys.task_prefix, state, group),
            )
        )
        return Changed(*map(int, reply))

    async def _settle(self, action: Action, queue: str) -> None:
        """Do what a change brings with it."""
        if action == "run":
            self._link.ring()
        elif action == "archive":
            try:
                await self._link.commands.one(trim_call(self._link, queue, MAX_ITEMS))
            except BrokerError as error:  # The janitor trims it, too.
                self._link.log.fault(("trim", queue), "Could not trim an archive", exc=error)


def _destinations(keys: QueueKeys) -> tuple[str, ...]:
    return keys.pending, keys.archived, keys.groups, keys.aggregation_sets


def _texts(names: Reply) -> list[str]:
    return [text(name) for name in names]
