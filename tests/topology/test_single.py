"""One server: by socket, by a client of the user's, and with credentials."""

from __future__ import annotations

import logging
import socket
from typing import TYPE_CHECKING

import pytest
import redis.asyncio

from headrace import BrokerError, Client, InvalidOptionError, Server, Task
from tests.server.helpers import Gate, job, serving
from tests.support.redis_server import RedisServer, free_port
from tests.topology.scenario import everything, guard_extends

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = "correct-horse"  # noqa: S105 - of a server that lives for a test


async def test_tcp(redis_url: str) -> None:
    """redis:// does everything."""
    await everything(redis_url)


async def test_database_number(redis_url: str) -> None:
    """The URL's number of the database is heeded."""
    other = redis_url.removesuffix("/0") + "/3"
    async with Client(redis_url) as first, Client(other) as second:
        info = await first.enqueue(job("x"))
        assert not await second._broker.queue_names()
        assert info.id == (await first.get_task(info.id)).id
    await everything(other)


async def test_server_that_does_not_answer_is_given_up() -> None:
    """One that accepts and then says nothing counts as away after the time that the URL says."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"redis://127.0.0.1:{silent.getsockname()[1]}"
        url = f"{address}?socket_timeout=0.125&socket_connect_timeout=0.5"
        async with Client(url, timeout=0.1) as client:
            with pytest.raises(BrokerError, match=r"no answer within 0\.625 s"):
                await client.enqueue(job("x"))


async def test_unix_socket(redis_executable: str, tmp_path: Path) -> None:
    """unix:// does everything."""
    path = tmp_path / "redis.sock"
    with RedisServer(redis_executable, unixsocket=str(path)):
        await everything(f"unix://{path}")
        await guard_extends(f"redis-socket://{path}?db=3")


@pytest.mark.parametrize("decode_responses", [False, True])
async def test_client_of_the_users(redis_url: str, *, decode_responses: bool) -> None:
    """A client of redis.asyncio is used as it is set up, and is the user's to close."""
    own = redis.asyncio.Redis.from_url(redis_url, decode_responses=decode_responses)
    await own.set("mine", "1")
    await everything(own)

    await guard_extends(own)

    assert ("1" if decode_responses else b"1") == await own.get("mine")
    await own.aclose()


async def test_connections_of_the_users_client_are_left_alone(redis_executable: str) -> None:
    """Nothing of a user's client is used up, and nothing of it is closed."""
    with RedisServer(redis_executable) as server, server.client() as probe:
        own = redis.asyncio.Redis(host="127.0.0.1", port=server.port, max_connections=1)
        await own.ping()
        [mine] = [one for one in probe.client_list() if one["id"] != str(probe.client_id())]
        async with serving(own, Gate()):
            await own.ping()
        left = [one["id"] for one in probe.client_list()]
        await own.aclose()

    assert mine["id"] in left
    assert 2 == len(left)


# --- Credentials -----------------------------------------------------------------------------


@pytest.fixture
def locked(redis_executable: str) -> Iterator[RedisServer]:
    """A server that asks for a password."""
    with RedisServer(redis_executable) as server, server.client() as admin:
        admin.config_set("requirepass", SECRET)
        yield server
        admin.config_set("requirepass", "")


def with_credentials(server: RedisServer, credentials: str) -> str:
    """Return the server's URL with credentials."""
    return server.url.replace("redis://", f"redis://{credentials}@")


async def test_password_in_the_url(locked: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    """Credentials in a URL work, and appear in no log line and no repr."""
    caplog.set_level(logging.DEBUG, logger="headrace")
    url = with_credentials(locked, f":{SECRET}")
    await everything(url)
    await guard_extends(url)
    shown = f"{Server(url, Gate())!r} {Client(url)!r} {caplog.text}"

    assert SECRET not in shown
    assert "127.0.0.1" in shown


async def test_password_of_the_users_client(locked: RedisServer) -> None:
    """The credentials of a user's client are taken over."""
    own = redis.asyncio.Redis(host="127.0.0.1", port=locked.port, password=SECRET)
    await everything(own)
    await own.aclose()


@pytest.mark.parametrize("credentials", ["", ":wrong-horse", "nobody:wrong-horse"])
async def test_wrong_credentials_say_so(locked: RedisServer, credentials: str) -> None:
    """Credentials that Redis refuses are an error that says so, without repeating them."""
    url = with_credentials(locked, credentials) if credentials else locked.url
    with pytest.raises(BrokerError, match="refused the credentials") as caught:
        await Server(url, Gate()).start()

    assert not caught.value.retryable
    assert "wrong-horse" not in f"{caught.value!r} {caught.value.__cause__!r}"
    async with Client(url) as client:
        with pytest.raises(BrokerError, match="refused the credentials"):
            await client.enqueue(Task("t"))


@pytest.mark.parametrize(
    "url",
    [
        "redis://user:{secret}@127.0.0.1:{port}/0",
        "redis://user:{secret}@127.0.0.1:{port}/0?username=u&password={secret}",
        "rediss://user:{secret}@127.0.0.1:{port}/0?password={secret}",
        "unix://user:{secret}@/nowhere/{port}.sock?password={secret}",
        "redis+sentinel://user:{secret}@127.0.0.1:{port}/0?master=m&sentinel_password={secret}",
        "redis+cluster://user:{secret}@127.0.0.1:{port}",
    ],
)
async def test_errors_show_no_credentials(url: str, caplog: pytest.LogCaptureFixture) -> None:
    """When Redis cannot be reached, no error and no log line repeats the credentials."""
    caplog.set_level(logging.DEBUG, logger="headrace")
    url = url.format(secret=SECRET, port=free_port())
    async with Client(url, timeout=0) as client:
        with pytest.raises(BrokerError) as refused:
            await client.enqueue(Task("t"))
    server = Server(url, Gate())
    with pytest.raises(BrokerError) as caught:
        await server.start()

    causes = [repr(error.__cause__) for error in (refused.value, caught.value)]
    shown = f"{refused.value!r} {caught.value!r} {server!r} {client!r} {causes} {caplog.text}"
    assert SECRET not in shown


@pytest.mark.parametrize(
    "url",
    [
        "redis://user:{secret}@localhost/0?nonsense=1",
        "redis://user:{secret}@localhost:notaport/0",
        "redis+sentinel://user:{secret}@localhost/0",
        "redis+cluster://user:{secret}@localhost/3",
        "redis+cluster://user:{secret}@localhost:notaport",
        "http://user:{secret}@localhost",
        "user:{secret}@localhost",
        "redis//user:{secret}@localhost",
        "redis://user:{secret}/{secret}@localhost",
        "redis://user:{secret}?{secret}@localhost",
        "redis://user:{secret}#{secret}@localhost",
        "redis+sentinel://user:{secret}/{secret}@localhost?master=m",
        "redis+cluster://user:{secret}/{secret}@localhost",
        "redis+cluster://user:{secret}?{secret}@localhost",
    ],
)
def test_refused_urls_show_no_credentials(url: str) -> None:
    """A URL that cannot be used is not repeated with its credentials."""
    with pytest.raises(InvalidOptionError) as caught:
        Client(url.format(secret=SECRET))

    assert SECRET not in f"{caught.value!r} {caught.value} {caught.value.value!r}"
