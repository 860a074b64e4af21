"""Group commit: what is submitted while a write is under way goes out with the next one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from headrace._groupcommit import GroupCommit

if TYPE_CHECKING:
    from collections.abc import Sequence


class Writer:
    """Writes when it is let, and notes what it was given."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.proceed = asyncio.Event()

    async def write(self, group: Sequence[int]) -> Sequence[int | Exception]:
        """Answer odd numbers with an error, and a nine with the failure of all."""
        self.groups.append(list(group))
        await self.proceed.wait()
        if 9 in group:
            raise ConnectionError("all")
        return [ValueError(n) if n % 2 else 10 * n for n in group]


async def test_waiting_items_go_together() -> None:
    """One write is under way at a time; the next takes all that came meanwhile, up to a limit."""
    writer = Writer()
    commit: GroupCommit[int, int] = GroupCommit(writer.write, most=3)
    answers = [commit.submit(n) for n in (2, 4)]
    await asyncio.sleep(0)
    answers += [commit.submit(n) for n in (6, 8, 10, 12)]
    await asyncio.sleep(0)
    assert [[2, 4]] == writer.groups

    writer.proceed.set()

    assert [20, 40, 60, 80, 100, 120] == await asyncio.gather(*answers)
    assert [[2, 4], [6, 8, 10], [12]] == writer.groups


async def test_many_callers_go_in_halves() -> None:
    """While one half is written, the callers in the other, which have their answers, go on."""
    groups: list[list[int]] = []

    async def write(group: Sequence[int]) -> Sequence[int]:
        groups.append(list(group))
        await asyncio.sleep(0)
        return group

    commit: GroupCommit[int, int] = GroupCommit(write)

    async def caller(number: int) -> None:
        for _ in range(3):
            await commit.submit(number)

    await asyncio.gather(*map(caller, range(100)))

    assert [list(range(50)), list(range(50, 100))] * 3 == groups


async def test_each_gets_its_own_answer() -> None:
    """An error of one is raised for that one; what the write raises, for its whole group."""
    writer = Writer()
    writer.proceed.set()
    commit: GroupCommit[int, int] = GroupCommit(writer.write, most=2)

    answers = await asyncio.gather(*map(commit.submit, (1, 2, 9, 4, 6)), return_exceptions=True)

    assert [ValueError, int, ConnectionError, ConnectionError, int] == [type(a) for a in answers]


async def test_cancelled_caller_leaves_the_others() -> None:
    """Who gives up waiting stops neither the write nor the answers of others."""
    writer = Writer()
    commit: GroupCommit[int, int] = GroupCommit(writer.write)
    gone, stays = commit.submit(2), commit.submit(4)
    gone.cancel()
    writer.proceed.set()

    assert 40 == await stays
    assert [[2, 4]] == writer.groups


async def test_drain_waits_for_everything() -> None:
    """After a drain all are answered."""
    writer = Writer()
    commit: GroupCommit[int, int] = GroupCommit(writer.write)
    answer = commit.submit(2)
    asyncio.get_running_loop().call_soon(writer.proceed.set)

    await commit.drain()

    assert answer.done()
    await commit.drain()


async def test_cancelled_writer_cancels_its_callers() -> None:
    """A loop that ends does not leave callers waiting for ever."""
    writer = Writer()
    commit: GroupCommit[int, int] = GroupCommit(writer.write)
    answer = commit.submit(2)
    await asyncio.sleep(0)
    assert commit._writer is not None
    commit._writer.cancel()

    with pytest.raises(asyncio.CancelledError):
        await answer
