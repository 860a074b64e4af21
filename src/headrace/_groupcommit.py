"""Group commit: what comes in while a write is on its way goes out with the next one.

No timer decides when to write. An idle system writes at once; a busy one writes as fast as
Redis answers, and each answer carries more. Where there are many, a write takes half of them:
while Redis is busy with one half, the callers in the other, which have their answers, go on.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

__all__ = ["GroupCommit"]

T = TypeVar("T")
R = TypeVar("R")

_WORTH_HALVING: Final = 32
"""Items from which on a second write costs less than to wait while Redis is busy."""


class GroupCommit(Generic[T, R]):
    """Collects items and writes them together; each caller gets its own answer.

    Args:
        write: Writes items and returns an answer, or an exception to be raised, for each.
            What it raises itself is raised for each of them.
        most: How many items one write takes at the most.
    """

    def __init__(
        self,
        write: Callable[[Sequence[T]], Awaitable[Sequence[R | Exception]]],
        *,
        most: int = 1_000,
    ) -> None:
        self._write = write
        self._most = most
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._writer: asyncio.Task[None] | None = None

    def submit(self, item: T) -> asyncio.Future[R]:
        """Return the answer to come. Whether its caller waits or not, *item* is written."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[R] = loop.create_future()
        self._waiting.append((item, answer))
        if self._writer is None:
            # It runs in the loop's next round, so that it takes along what this round submits.
            self._writer = loop.create_task(self._write_all(), name="headrace group commit")
        return answer

    async def drain(self) -> None:
        """Return when everything that was submitted is written, or has failed."""
        while self._writer is not None:
            await asyncio.wait([self._writer])

    async def _write_all(self) -> None:
        answered = 0
        try:
            while self._waiting:
                # Those that were answered just now come back while the others are written.
                callers = min(len(self._waiting) + answered, self._most)
                share = callers if callers < _WORTH_HALVING else callers // 2
                group = self._waiting[:share]
                del self._waiting[: len(group)]
                await self._write_group(group)
                answered = len(group)
        finally:
            self._writer = None

    async def _write_group(self, group: Sequence[tuple[T, asyncio.Future[R]]]) -> None:
        answers: Sequence[R | Exception]
        try:
            answers = await self._write([item for item, _ in group])
        except Exception as error:  # noqa: BLE001 - whoever submitted raises it
            answers = [error] * len(group)
        except BaseException:
            for _, future in group:
                future.cancel()
            raise
        for (_, future), answer in zip(group, answers, strict=True):
            if future.done():  # Its caller was cancelled meanwhile.
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
