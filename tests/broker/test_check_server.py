"""check_server: a Redis that cannot keep the promises is refused, with the reason."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

import pytest

from headrace._broker.redis import RedisBroker
from headrace._errors import BrokerError, BrokerUnsuitableError
from tests.support.redis_server import RedisServer, free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@contextlib.asynccontextmanager
async def pretending(info: str) -> AsyncIterator[str]:
    """Have a server that answers INFO with *info*, and everything else with OK."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                count = int((await reader.readuntil(b"\r\n"))[1:])
                words = []
                for _ in range(count):
                    size = int((await reader.readuntil(b"\r\n"))[1:])
                    words.append((await reader.readexactly(size + 2))[:-2])
                text = info.encode()
                answer = b"$%d\r\n%b\r\n" % (len(text), text) if words[0] == b"INFO" else b"+OK\r\n"
                writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        yield f"redis://user:secret@127.0.0.1:{port}/0"


async def check(url: str, *, allow_eviction: bool = False) -> None:
    """Check the server at *url*."""
    broker = RedisBroker(url)
    try:
        await broker.check_server(allow_eviction=allow_eviction)
    finally:
        await broker.close()


async def test_suitable(broker_url: str) -> None:
    """The servers of these tests will do."""
    await check(broker_url)


@pytest.mark.parametrize("version", ["6.0.16", "5.0.14", "2.8.0", "6.1.240"])
async def test_too_old(version: str) -> None:
    """Before 6.2 there is no BLMOVE; the error says what is there and what is needed."""
    async with pretending(f"redis_version:{version}\r\n") as url:
        with pytest.raises(BrokerUnsuitableError, match=rf"{version}.*6\.2") as caught:
            await check(url)

    assert not caught.value.retryable
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("version", ["6.2.0", "7.0.15", "8.0.1", "7.2", "255.255.255"])
async def test_new_enough(version: str) -> None:
    """6.2 and all later ones will do."""
    async with pretending(f"redis_version:{version}\r\naof_enabled:1\r\n") as url:
        await check(url)


@pytest.mark.parametrize("info", ["", "redis_version:unknown\r\n", "redis_version:v7-dev\r\n"])
async def test_version_that_cannot_be_read(info: str) -> None:
    """What does not say that it is new enough is refused, not a riddle."""
    async with pretending(info) as url:
        with pytest.raises(BrokerUnsuitableError, match=r"6\.2 or later"):
            await check(url)


async def test_eviction_is_refused(redis_executable: str) -> None:
    """A policy that deletes keys is refused, unless the user accepts it."""
    with RedisServer(redis_executable, maxmemory_policy="allkeys-lru") as server:
        with pytest.raises(BrokerUnsuitableError, match="allkeys-lru") as caught:
            await check(server.url)
        await check(server.url, allow_eviction=True)

    assert "noeviction" in str(caught.value)
    assert not caught.value.retryable


async def test_without_aof(redis_executable: str, caplog: pytest.LogCaptureFixture) -> None:
    """Tasks that a restart would lose are worth a warning, not a refusal."""
    caplog.set_level(logging.WARNING, logger="headrace")
    for aof, warnings in (("no", 1), ("yes", 0)):
        caplog.clear()
        with RedisServer(redis_executable, appendonly=aof) as server:
            await check(server.url)
        found = [r for r in caplog.records if "append-only" in r.getMessage()]
        assert warnings == len(found)


async def test_nobody_there() -> None:
    """A server that cannot be reached is an error that may pass."""
    with pytest.raises(BrokerError, match="did not answer") as caught:
        await check(f"redis://:secret@127.0.0.1:{free_port()}/0")

    assert (True, False) == (caught.value.retryable, caught.value.ambiguous)
    assert "secret" not in str(caught.value)


async def test_not_redis_at_all() -> None:
    """Something else on that port is an error, too."""

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        with pytest.raises(BrokerError):
            await check(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0")
