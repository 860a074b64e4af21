"""The periodic task manager, and schedules stored in Redis."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest

from headrace import All, InvalidOptionError, PeriodicTaskManager, Schedule, StoredSchedules, Task

if TYPE_CHECKING:
    from tests.scheduler.helpers import Redis
    from tests.support.virtual_time import VirtualTime
    from tests.support.wire import RawClient

ONE = Schedule("@every 1s", Task("one"))
TWO = Schedule("@every 1s", Task("two"))


async def test_differences_only(redis: Redis, virtual_time: VirtualTime) -> None:
    """What stays the same is left alone; the rest is added and removed."""
    wanted = [ONE]
    manager = redis.manager(lambda: wanted, 10)
    async with manager:
        await asyncio.sleep(1)
        [kept] = manager._entries
        wanted.append(TWO)
        await asyncio.sleep(10)
        assert 2 == len(manager.schedules)
        assert kept in list(manager._entries)
        wanted.remove(ONE)
        await asyncio.sleep(10)
        assert [TWO] == list(manager.schedules.values())
        wanted[:] = [Schedule("@every 1s", Task("two"), misfire="once")]
        await asyncio.sleep(10)
        assert wanted == list(manager.schedules.values())

    kinds = [kind for kind, _ in await redis.tasks()]
    assert 19 <= kinds.count("one") <= 21
    assert 19 <= kinds.count("two") <= 31


async def test_failing_provider(
    redis: Redis, virtual_time: VirtualTime, caplog: pytest.LogCaptureFixture
) -> None:
    """While the provider fails, its last answer goes on, and the log says so at times."""
    answers: list[object] = [[ONE], RuntimeError("no"), [ONE, "nonsense"], None]

    async def provide() -> list[Schedule]:
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[return-value]

    with caplog.at_level(logging.WARNING, logger="headrace"):
        async with redis.manager(provide, 1) as manager:
            await asyncio.sleep(20.1)
            assert [ONE] == list(manager.schedules.values())

    assert 20 <= len(await redis.times()) <= 21
    lines = [record.message for record in caplog.records if "provider" in record.message]
    assert 1 <= len(lines) <= 4


@pytest.mark.parametrize(("name", "value"), [("provider", None), ("sync_interval", 0)])
def test_bad_options(name: str, value: object) -> None:
    """What cannot be used is refused at once."""
    options: dict[str, object] = {"provider": list, name: value}
    with pytest.raises(InvalidOptionError, match=name):
        PeriodicTaskManager("memory://", **options)  # type: ignore[arg-type]


async def test_stored_schedules(broker_url: str, raw: RawClient) -> None:
    """They are added, changed, paused, resumed and removed, and come back as they were."""
    full = Schedule(
        "CRON_TZ=Asia/Tokyo 0 9 * * *",
        Task("t", b"\x00\xff", headers={"k": "v"}),
        misfire=All(5),
        jitter=2.5,
        entry_id="full",
        queue="low",
        max_retry=3,
        unique=60,
    )
    async with StoredSchedules(broker_url) as stored:
        assert "full" == await stored.add(full)
        one = await stored.add(ONE)
        with pytest.raises(InvalidOptionError, match="already"):
            await stored.add(ONE)
        found = {entry.id: entry for entry in await stored.entries()}
        assert full == found["full"].schedule
        assert ONE.task == found[one].schedule.task

        await stored.pause(one)
        assert [full] == await stored()
        await stored.change(one, TWO)
        assert [full] == await stored()
        await stored.resume(one)
        assert {"t", "two"} == {schedule.task.type for schedule in await stored()}
        await stored.remove(one)
        assert [full] == await stored()
        for call in (stored.pause, stored.resume, stored.remove):
            with pytest.raises(InvalidOptionError, match="no such schedule"):
                await call(one)

        await raw.execute_command("HSET", "headrace:schedules", "broken", b"{")
        assert [full] == await stored()
        await stored.remove("broken")
        assert 1 == await raw.execute_command("HLEN", "headrace:schedules")


async def test_stored_schedules_survive_restarts(redis: Redis, virtual_time: VirtualTime) -> None:
    """What was stored is enqueued by whichever manager runs, with one tick for all of them."""
    async with StoredSchedules(redis.url) as stored:
        entry_id = await stored.add(ONE)
        for _ in range(2):
            managers = [redis.manager(stored, 2) for _ in range(2)]
            for manager in managers:
                await manager.start()
            await asyncio.sleep(5)
            for manager in managers:
                await manager.shutdown()
        assert 9 <= len(await redis.times()) <= 11
        async with redis.manager(stored, 1):
            await stored.pause(entry_id)
            await asyncio.sleep(1.5)
            count = len(await redis.times())
            await asyncio.sleep(5)

    assert count == len(await redis.times())
