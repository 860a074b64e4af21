"""The producer's side: Task -> TaskMessage -> broker."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from typing import TYPE_CHECKING, Final, Literal, TypeVar, overload

from headrace._broker.redis import RedisBroker
from headrace._broker.values import MAX_ITEMS
from headrace._clock import SYSTEM_RANDOM
from headrace._connected import Connected
from headrace._errors import (
    BrokerError,
    EnqueueManyError,
    HeadraceError,
    InvalidOptionError,
    PayloadTooLargeError,
    ResultDecodeError,
    ResultTimeoutError,
    TaskFailedError,
    TaskNotFoundError,
)
from headrace._events import Outgoing
from headrace._groupcommit import GroupCommit
from headrace._message import task_info
from headrace._placement import placement
from headrace._task import Options, Task, TaskInfo, TaskState
from headrace._validation import check_queue, check_task_id, seconds, whole_number
from headrace._worker._backoff import Backoff

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable, Sequence
    from datetime import timedelta
    from typing import Unpack

    from redis.asyncio import Redis, RedisCluster

    from headrace._broker.values import Placed, Placement
    from headrace._events import EnqueueHook
    from headrace._task import JsonValue, TaskOptions

__all__ = ["Client"]

T = TypeVar("T")

DEFAULT_REDIS: Final = "redis://localhost:6379"
MAX_PAYLOAD_SIZE: Final = 1_048_576
_FIRST_LOOK, _LONGEST_LOOK = 0.005, 0.25


class Client(Connected):
    """Enqueues tasks. One per process is enough; concurrent calls share round trips.

    It connects when it is first used, and belongs to the event loop that uses it.

    Args:
        redis: A URL (``redis://``, ``rediss://``, ``unix://``, ``redis+sentinel://``,
            ``redis+cluster://``, ``memory://``), or a client of redis.asyncio. Of such a
            client the settings are used, not its connections: close it yourself.
        max_payload_size: Bytes that a payload may have; None: no limit.
        timeout: Seconds for which a call tries again while Redis does not answer.
        rng: Draws task IDs.

    Raises:
        InvalidOptionError: If an argument cannot be used.
    """

    def __init__(
        self,
        redis: str | Redis | RedisCluster = DEFAULT_REDIS,
        *,
        max_payload_size: int | None = MAX_PAYLOAD_SIZE,
        timeout: float | timedelta = 5.0,
        rng: random.Random = SYSTEM_RANDOM,
    ) -> None:
        if max_payload_size is not None:
            whole_number("max_payload_size", max_payload_size, at_least=0)
        self._max_payload_size = max_payload_size
        self._timeout = seconds("timeout", timeout)
        self._rng = rng
        self._broker = RedisBroker(redis)
        self._commit: GroupCommit[Placement, Placed] = GroupCommit(self._write, most=2 * MAX_ITEMS)
        self._hooks: tuple[EnqueueHook, ...] = ()

    async def close(self) -> None:
        """Write what is under way, and close the connections. A later call opens new ones."""
        await self._commit.drain()
        await super().close()

    async def ping(self) -> None:
        """Ask Redis for a sign of life.

        Raises:
            BrokerError: If Redis did not answer.
        """
        await self._broker.ping()

    def add_enqueue_hook(self, hook: EnqueueHook) -> None:
        """Call *hook* for each task from now on, right before it is written: for tracing.

        It may add to the task's headers. What it raises, the caller of `enqueue` gets.
        """
        self._hooks = (*self._hooks, hook)

    # --- Enqueue ---------------------------------------------------------------------------

    async def enqueue(self, task: Task, **options: Unpack[TaskOptions]) -> TaskInfo:
        """Write *task*; it is safe in Redis when this returns.

        Args:
            task: What to do.
            options: See `TaskOptions`. They take precedence over the task's own.

        Raises:
            InvalidOptionError: If an option cannot be used. Nothing was written.
            PayloadTooLargeError: If the payload is too large. Nothing was written.
            TaskIdConflictError: If *task_id* is taken. Nothing was written.
            DuplicateTaskError: If *unique* was asked for, and another task holds the lock.
                Nothing was written.
            BrokerError: If Redis did not answer, or refused. If it is ``ambiguous``, the task
                may have been written all the same; as it may if this call is cancelled.
        """
        new = self._placement(task, Options.check(options))
        if self._hooks:
            new, answer = self._submit_hooked(new)
        else:
            answer = self._commit.submit(new)
        return _info(new, await answer)

    @overload
    async def enqueue_many(
        self,
        tasks: Iterable[Task],
        *,
        return_errors: Literal[False] = ...,
        **options: Unpack[TaskOptions],
    ) -> list[TaskInfo]: ...
    @overload
    async def enqueue_many(
        self,
        tasks: Iterable[Task],
        *,
        return_errors: Literal[True],
        **options: Unpack[TaskOptions],
    ) -> list[TaskInfo | HeadraceError]: ...
    async def enqueue_many(
        self,
        tasks: Iterable[Task],
        *,
        return_errors: bool = False,
        **options: Unpack[TaskOptions],
    ) -> list[TaskInfo] | list[TaskInfo | HeadraceError]:
        """Write many tasks in few round trips. They are written one by one, not all or none.

        Args:
            tasks: What to do.
            return_errors: Return the error of a task that was refused in its place.
            options: For all of them; see `TaskOptions`.

        Raises:
            InvalidOptionError: If an option cannot be used. Nothing was written.
            PayloadTooLargeError: If one of the payloads is too large. Nothing was written.
            EnqueueManyError: If some were refused. The others were written.
        """
        common = Options.check(options)
        new = [self._placement(task, common) for task in tasks]
        results = await self._enqueue_all(new)
        if return_errors:
            return results
        infos = [result for result in results if isinstance(result, TaskInfo)]
        if len(infos) < len(results):
            raise EnqueueManyError(results)
        return infos

    async def _enqueue_all(self, new: Sequence[Placement]) -> list[TaskInfo | HeadraceError]:
        if self._hooks:
            hooked = [self._submit_hooked(item) for item in new]
            new, waiting = [item for item, _ in hooked], [answer for _, answer in hooked]
        else:
            waiting = [self._commit.submit(item) for item in new]
        results: list[TaskInfo | HeadraceError] = []
        try:
            # One by one: while the next ones are written, these are reported.
            for item, answer in zip(new, waiting, strict=True):
                try:
                    results.append(_info(item, await answer))
                except HeadraceError as error:
                    results.append(error)
        finally:
            for answer in waiting[len(results) :]:
                answer.cancel()
        return results

    def _placement(self, task: Task, options: Options) -> Placement:
        if not isinstance(task, Task):
            raise InvalidOptionError(
                "task", task, "a Task is needed; a typed task makes one with .task(...)"
            )
        size, limit = len(task.payload), self._max_payload_size
        if limit is not None and size > limit:
            raise PayloadTooLargeError(task.type, size, limit)
        return placement(task, options, rng=self._rng)

    def _submit_hooked(self, new: Placement) -> tuple[Placement, asyncio.Future[Placed]]:
        """Let the hooks see a task and add to its headers, and submit it."""
        message = new.message
        outgoing = Outgoing(
            task_id=message.id,
            type=message.type,
            queue=message.queue,
            payload_size=len(message.payload),
            headers=dict(message.headers),
        )
        ends = [end for hook in self._hooks if (end := hook(outgoing)) is not None]
        message = dataclasses.replace(message, headers=outgoing.headers)
        new = dataclasses.replace(new, message=message)
        answer = self._commit.submit(new)

        def tell(answer: asyncio.Future[Placed]) -> None:
            error = asyncio.CancelledError() if answer.cancelled() else answer.exception()
            for end in reversed(ends):
                end(error)

        answer.add_done_callback(tell)
        return new, answer

    async def _write(self, group: Sequence[Placement]) -> Sequence[Placed | HeadraceError]:
        """Write a group, and what got no answer again, while there is time."""
        give_up_at = asyncio.get_running_loop().time() + self._timeout
        answers = await self._try(group, repeat=False)
        for answer in answers:
            if isinstance(answer, BrokerError):
                return await self._write_again(group, answers, give_up_at)
        return answers

    async def _try(
        self, group: Sequence[Placement], *, repeat: bool
    ) -> list[Placed | HeadraceError]:
        try:
            return await self._broker.enqueue(group, repeat=repeat)
        except BrokerError as error:
            return [error] * len(group)

    async def _write_again(
        self,
        group: Sequence[Placement],
        answers: list[Placed | HeadraceError],
        give_up_at: float,
    ) -> list[Placed | HeadraceError]:
        """Repeat what may pass later, until it does or there is no time left.

        A repetition finds the tasks of which only the answer was lost: their bytes are the
        same.
        """
        backoff = Backoff(self._rng)
        loop = asyncio.get_running_loop()
        waiting, unsure = list(range(len(group))), set[int]()
        while True:
            waiting = [n for n in waiting if _may_pass_later(answers[n])]
            unsure.update(n for n in waiting if _is_ambiguous(answers[n]))
            delay = backoff.next()
            if not waiting or loop.time() + delay > give_up_at:
                break
            await asyncio.sleep(delay)
            got = await self._try([group[n] for n in waiting], repeat=bool(unsure))
            for n, answer in zip(waiting, got, strict=True):
                answers[n] = answer
        for n in unsure:
            answer = answers[n]
            if isinstance(answer, BrokerError):
                answer.ambiguous = True
        return answers

    # --- Look ------------------------------------------------------------------------------

    async def get_task(self, task_id: str, queue: str = "default") -> TaskInfo:
        """Report on a task.

        Raises:
            TaskNotFoundError: If the queue does not hold it.
            BrokerError: If Redis did not answer.
        """
        check_queue("queue", queue)
        info = await self._broker.get_task(queue, check_task_id("task_id", task_id))
        if info is None:
            raise TaskNotFoundError(queue, task_id)
        return info

    @overload
    async def result(
        self,
        task: TaskInfo | str,
        *,
        queue: str = ...,
        timeout: float | timedelta | None = ...,
    ) -> JsonValue: ...
    @overload
    async def result(
        self,
        task: TaskInfo | str,
        *,
        queue: str = ...,
        timeout: float | timedelta | None = ...,
        decode: Callable[[bytes], T],
    ) -> T | None: ...
    async def result(
        self,
        task: TaskInfo | str,
        *,
        queue: str = "default",
        timeout: float | timedelta | None = None,
        decode: Callable[[bytes], T] | None = None,
    ) -> JsonValue | T | None:
        """Wait for a task's end and return its result. It needs a *retention* for that.

        Args:
            task: What `enqueue` returned, or the task's ID.
            queue: The queue, where *task* is an ID.
            timeout: Seconds to wait at the most; None: as long as it takes.
            decode: Makes a value of the bytes; None: JSON.

        Returns:
            What the handler returned or wrote; None if nothing.

        Raises:
            TaskNotFoundError: If there is no such task, or it was deleted when it was done.
            TaskFailedError: If it was archived.
            ResultDecodeError: If the result is no JSON, and no *decode* is given. What *decode*
                raises is raised as it is.
            ResultTimeoutError: If it is not finished in time. It goes on.
            BrokerError: If Redis did not answer.
        """
        task_id, queue = (task.id, task.queue) if isinstance(task, TaskInfo) else (task, queue)
        limit = None if timeout is None else seconds("timeout", timeout)
        info = await self._wait_for_end(task_id, queue, limit)
        if info.state is TaskState.ARCHIVED:
            raise TaskFailedError(queue, task_id, info.last_error)
        if decode is not None:
            return None if info.result is None else decode(info.result)
        return _json_result(info)

    async def _wait_for_end(self, task_id: str, queue: str, limit: float | None) -> TaskInfo:
        loop = asyncio.get_running_loop()
        until = None if limit is None else loop.time() + limit
        pause = _FIRST_LOOK
        while True:
            info = await self.get_task(task_id, queue)
            if info.state in {TaskState.COMPLETED, TaskState.ARCHIVED}:
                return info
            if until is not None:
                left = until - loop.time()
                if left <= 0:
                    raise ResultTimeoutError(queue, task_id, str(info.state), limit or 0.0)
                pause = min(pause, left)
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_LOOK)


def _json_result(info: TaskInfo) -> JsonValue:
    if not info.result:
        return None
    try:
        value: JsonValue = json.loads(info.result)
    except (ValueError, RecursionError):  # Its text would show the result, which may be private.
        raise ResultDecodeError(info.queue, info.id, len(info.result)) from None
    return value


def _may_pass_later(answer: Placed | HeadraceError) -> bool:
    """Whether to try again. A full Redis is the caller's to know of, at once."""
    return isinstance(answer, BrokerError) and answer.retryable and answer.code != "OOM"


def _is_ambiguous(answer: Placed | HeadraceError) -> bool:
    return isinstance(answer, BrokerError) and answer.ambiguous


def _info(new: Placement, placed: Placed) -> TaskInfo:
    return task_info(new.message, placed.state, next_process_at=placed.process_at or None)
