"""write_server and clear_server: how a worker shows itself to others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace._broker.keys import SERVERS, WORKERS, server_key, workers_key
from tests.support.wire import dump, members, redis_time

if TYPE_CHECKING:
    from headrace._broker.redis import RedisBroker
    from tests.support.wire import RawClient

SERVER = server_key("host", 1, "id")
WORKER = workers_key("host", 1, "id")


async def test_write_server(real_time: RedisBroker, raw: RawClient) -> None:
    """State and running tasks are there, for as long as they are valid."""
    await real_time.write_server(SERVER, b"info", {"a": b"\x00A", "b": b"B"}, 10)
    now = await redis_time(raw)

    assert await raw.execute_command("GET", SERVER) == b"info"
    assert await raw.execute_command("HGETALL", WORKER) == {b"a": b"\x00A", b"b": b"B"}
    for key in (SERVER, WORKER):
        assert await raw.execute_command("TTL", key) == 10
    for index, key in ((SERVERS, SERVER), (WORKERS, WORKER)):
        score = await raw.execute_command("ZSCORE", index, key)
        assert isinstance(score, float)
        assert now + 8 < score <= now + 10


async def test_next_beat_replaces_the_last(real_time: RedisBroker, raw: RawClient) -> None:
    """Tasks that have ended are no longer shown."""
    await real_time.write_server(SERVER, b"old", {"a": b"A"}, 10)
    await real_time.write_server(SERVER, b"new", {"b": b"B"}, 20)

    assert await raw.execute_command("GET", SERVER) == b"new"
    assert await raw.execute_command("HGETALL", WORKER) == {b"b": b"B"}
    assert await raw.execute_command("TTL", WORKER) == 20


async def test_idle_server_has_no_workers(real_time: RedisBroker, raw: RawClient) -> None:
    """With no task running there is no hash of them."""
    await real_time.write_server(SERVER, b"info", {"a": b"A"}, 10)
    await real_time.write_server(SERVER, b"info", {}, 10)

    assert await raw.execute_command("EXISTS", WORKER) == 0
    assert [SERVER] == await members(raw, SERVERS)


async def test_short_intervals_last_a_second(real_time: RedisBroker, raw: RawClient) -> None:
    """Redis keeps whole seconds; a state that is valid for less still is written."""
    await real_time.write_server(SERVER, b"info", {}, 0.2)

    assert await raw.execute_command("TTL", SERVER) == 1


async def test_clear_server(real_time: RedisBroker, raw: RawClient) -> None:
    """Nothing is left of a server that shut down; others stay."""
    other = server_key("host", 2, "id")
    await real_time.write_server(other, b"info", {}, 10)
    before = await dump(raw)
    await real_time.write_server(SERVER, b"info", {"a": b"A"}, 10)
    await real_time.clear_server(SERVER)

    assert set(before) == set(await dump(raw))
    assert [other] == await members(raw, SERVERS)
