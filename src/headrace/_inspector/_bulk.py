"""What the inspector does with all tasks of one state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from headrace._broker.admin import CHANGEABLE
from headrace._broker.values import MAX_ITEMS
from headrace._errors import InvalidOptionError
from headrace._inspector._base import Part, state_of
from headrace._task import TaskState

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace._broker.admin import Action

__all__ = ["Bulk"]

# A task whose retention runs is run again one by one only: there may be very many.
_NOT_IN_BULK: Final = {"run": {TaskState.COMPLETED}, "archive": set[TaskState](), "delete": set()}


class Bulk(Part):
    """Changes all tasks of one state.

    Each of these goes on in steps of a hundred tasks, so that Redis is never held up, and ends
    after as many tasks as there were at first, whatever is enqueued meanwhile. If it is
    interrupted, what it did so far stays done.
    """

    async def delete_all(
        self,
        queue: str,
        state: TaskState | str,
        *,
        group: str | None = None,
        on_progress: Callable[[int], None] | None = None,
    ) -> int:
        """Delete all tasks of a state, with their results and uniqueness locks.

        Args:
            queue: Its name.
            state: Any but active.
            group: Their group; None: aggregating tasks of all groups.
            on_progress: Called after each step with the number of tasks so far.

        Returns:
            How many tasks were deleted.

        Raises:
            QueueNotFoundError: If there is no such queue.
            InvalidOptionError: If the state or the group cannot be used.
        """
        return await self._change_all("delete", queue, state, group, on_progress)

    async def run_all(
        self,
        queue: str,
        state: TaskState | str,
        *,
        group: str | None = None,
        on_progress: Callable[[int], None] | None = None,
    ) -> int:
        """Make all tasks of a state pending now. See `delete_all`.

        Args:
            queue: Its name.
            state: Scheduled, retry, archived or aggregating.
            group: Their group; None: aggregating tasks of all groups.
            on_progress: Called after each step with the number of tasks so far.

        Returns:
            How many tasks were made pending.
        """
        return await self._change_all("run", queue, state, group, on_progress)

    async def archive_all(
        self,
        queue: str,
        state: TaskState | str,
        *,
        group: str | None = None,
        on_progress: Callable[[int], None] | None = None,
    ) -> int:
        """Archive all tasks of a state, and free their uniqueness locks. See `delete_all`.

        The archive keeps the last 10,000 tasks.

        Args:
            queue: Its name.
            state: Pending, scheduled, retry or aggregating.
            group: Their group; None: aggregating tasks of all groups.
            on_progress: Called after each step with the number of tasks so far.

        Returns:
            How many tasks were archived.
        """
        return await self._change_all("archive", queue, state, group, on_progress)

    async def _change_all(
        self,
        action: Action,
        queue: str,
        state: TaskState | str,
        group: str | None,
        on_progress: Callable[[int], None] | None,
    ) -> int:
        wanted = state_of(state, group)
        allowed = [one for one in CHANGEABLE[action] if one not in _NOT_IN_BULK[action]]
        if wanted not in allowed:
            names = ", ".join(map(str, allowed))
            raise InvalidOptionError("state", str(wanted), f"{action}_all takes {names}")
        await self._known(queue)
        groups: list[str | None] = [group]
        if wanted is TaskState.AGGREGATING and group is None:
            groups = [found.name for found in await self._broker.group_sizes(queue)]
        done = 0
        for name in groups:
            due = await self._broker.count_tasks(queue, wanted, name)
            while due > 0:
                limit = min(due, MAX_ITEMS)
                step = await self._broker.change_some(action, queue, wanted, name, limit)
                done += step.changed
                due = min(due - step.seen, step.left)
                if on_progress is not None:
                    on_progress(done)
        return done
