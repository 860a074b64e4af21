"""What the parts of the inspector hold in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace._errors import InvalidOptionError, QueueNotFoundError
from headrace._task import TaskState

if TYPE_CHECKING:
    from headrace._broker.redis import RedisBroker

__all__ = ["Part", "name_of", "state_of"]


class Part:
    """Has the broker. Names are taken as they are: other programs may have made them up."""

    _broker: RedisBroker

    async def _known(self, queue: str) -> str:
        """Return *queue* if there is such a queue."""
        if not await self._broker.has_queue(name_of("queue", queue)):
            raise QueueNotFoundError(queue)
        return queue


def name_of(option: str, value: object) -> str:
    """Return *value* if it is text."""
    if not isinstance(value, str):
        raise InvalidOptionError(option, value, f"a str is needed, not {type(value).__name__}")
    return value


def state_of(state: object, group: object) -> TaskState:
    """Return *state*, a `TaskState` or its name, if it goes together with *group*."""
    if isinstance(state, str):
        state = TaskState.from_name(state)
    if not isinstance(state, TaskState):
        raise InvalidOptionError("state", state, "a TaskState or its name is needed")
    if group is not None:
        name_of("group", group)
        if state is not TaskState.AGGREGATING:
            raise InvalidOptionError("group", group, f"{state} tasks have no group")
    return state
