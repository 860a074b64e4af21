"""Where Redis is: flags, the environment, the configuration file, and what goes before what."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

import pytest

from headrace._cli.address import full_url
from headrace._cli.failure import CliError
from tests.cli.support import fill, inspect, invoke
from tests.support.redis_server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PASSWORD = "s3cr%t/@word"  # noqa: S105 - of a Redis that lives for a test


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({}, "redis://localhost:6379"),
        ({"redis": "any thing"}, "any thing"),
        ({"db": 3}, "redis://localhost:6379/3"),
        ({"redis": "redis://h/1?db=2&protocol=3", "db": 3}, "redis://h/3?protocol=3"),
        ({"redis": "unix:///run/r.sock", "db": 3}, "unix:///run/r.sock?db=3"),
        ({"redis": "redis://h", "username": "a:b", "password": "c/d"}, "redis://a%3Ab:c%2Fd@h"),
        ({"redis": "redis://ann:old@h/1", "password": "new"}, "redis://ann:new@h/1"),
        ({"password": "only"}, "redis://:only@localhost:6379"),
        ({"redis": "redis://h:1,i:2", "cluster": True}, "redis+cluster://h:1,i:2"),
        ({"cluster_address": ["h:1", "i:2"]}, "redis+cluster://h:1,i:2"),
        ({"cluster_address": ["h:1"], "tls": True, "db": 0}, "rediss+cluster://h:1/0"),
        ({"redis": "redis://h", "tls": True}, "rediss://h"),
        ({"redis": "rediss://h", "tls": True}, "rediss://h"),
        (
            {"redis": "redis-sentinel://h/1?master=m", "tls": True, "db": 2},
            "rediss+sentinel://h/2?master=m",
        ),
        (
            {"redis": "rediss://h", "tls_insecure": True},
            "rediss://h?ssl_cert_reqs=none&ssl_check_hostname=false",
        ),
        ({"tls": True, "tls_ca": "/a b.pem"}, "rediss://localhost:6379?ssl_ca_certs=/a+b.pem"),
        (
            {"tls": True, "tls_server_name": "a.b"},
            "rediss://localhost:6379?ssl_server_hostname=a.b",
        ),
    ],
)
def test_settings_become_a_url(settings: dict[str, object], url: str) -> None:
    """What goes beside the address replaces what is in it."""
    assert full_url(settings) == url


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"redis": "memory://", "db": 1}, "--db has no meaning for memory://"),
        ({"redis": "memory://", "tls": True}, "--tls has no meaning for memory://"),
        ({"redis": "unix:///r", "tls": True}, "--tls has no meaning for unix://"),
        ({"redis": "unix:///r", "cluster": True}, "--cluster needs a redis:// address"),
        ({"cluster": True, "db": 1}, "no database but 0"),
        ({"cluster_address": ["redis://u:pass-word@h:1"]}, "takes HOST:PORT"),
        ({"tls_insecure": True}, "--tls-insecure needs --tls"),
        ({"tls": True, "tls_insecure": True, "tls_ca": "f"}, "--tls-ca has no use"),
        ({"cluster": True, "tls": True, "tls_ca": "f"}, "is for a single Redis"),
        ({"redis": "redis://u:pass-word/x@h", "db": 1}, "must be percent-encoded"),
    ],
)
def test_bad_combinations(settings: dict[str, object], message: str) -> None:
    """They are refused, and no password is shown."""
    with pytest.raises(CliError) as caught:
        full_url(settings)

    assert message in f"{caught.value.message} {caught.value.hint}"
    assert "pass-word" not in f"{caught.value.message} {caught.value.hint}"


def test_before_and_after_the_command(shop: str) -> None:
    """A flag may stand in front of the command; one after it goes first."""
    assert invoke("--redis", shop, "queue", "ls", "--json").json[0]["queue"] == "shop"
    assert invoke("--redis", "memory://other", "queue", "ls", "--redis", shop, "--json").json
    assert invoke("--redis", shop, "queue", "ls", "--redis", "memory://other", "--json").json == []


def test_precedence(shop: str, directory: Path) -> None:
    """A flag goes before the environment, that before the file."""
    other = "memory://other"
    (directory / "headrace.toml").write_text(f'redis = "{shop}"\n')

    assert invoke("queue", "ls", "--json").json
    assert invoke("queue", "ls", "--json", HEADRACE_REDIS_URL=other).json == []
    assert invoke("--redis", shop, "queue", "ls", "--json", HEADRACE_REDIS_URL=other).json
    assert invoke("queue", "ls", "--json", "--redis", shop, HEADRACE_REDIS_URL=other).json


def test_where_the_file_is(shop: str, directory: Path) -> None:
    """--config, HEADRACE_CONFIG, the current directory, the user's configuration."""
    text = f'redis = "{shop}"\n'
    empty = 'redis = "memory://other"\n'
    home = directory / "home" / "headrace" / "config.toml"
    home.parent.mkdir(parents=True)
    home.write_text(text)
    assert invoke("queue", "ls", "--json").json
    (directory / "headrace.toml").write_text(empty)
    assert invoke("queue", "ls", "--json").json == []
    assert invoke("queue", "ls", "--json", HEADRACE_CONFIG=str(home)).json
    assert invoke("queue", "ls", "--json", "--config", str(home)).json
    other = {"HEADRACE_CONFIG": "headrace.toml"}
    assert invoke("--config", str(home), "queue", "ls", "--json", **other).json


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("colour = 1", "colour: there is no such key; the keys are redis, db,"),
        ("[worker]\nspeed = 1", "worker.speed: there is no such key; the keys are concurrency,"),
        ('db = "one"', "db: input should be a valid integer"),
        ("password = 12345678", "password: input should be a valid string"),
        ("[worker]\nqueues = {a = 0}", "worker.queues.a: input should be greater than"),
        ('redis = "redis://h"\ncluster_address = ["h:1"]', "choose one"),
        ("redis =", "is not TOML"),
    ],
)
def test_mistakes_in_the_file(directory: Path, text: str, message: str) -> None:
    """2, with the file, the key and the reason, but not the value."""
    (directory / "headrace.toml").write_text(text)
    done = invoke("queue", "ls")

    assert (done.code, done.out) == (2, "")
    assert message in done.words
    assert "12345678" not in done.err


def test_missing_file(directory: Path) -> None:
    """A file that is named must be there; the others need not."""
    done = invoke("--config", str(directory / "no.toml"), "queue", "ls")

    assert done.code == 2
    assert "No such file" in done.words


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other rights")
def test_password_that_others_can_read(directory: Path, memory_url: str) -> None:
    """A warning, and no password in it."""
    file = directory / "headrace.toml"
    file.write_text('redis = "redis://h"\npassword = "pass-word"\n')
    file.chmod(0o644)
    done = invoke("queue", "ls", "--redis", memory_url)
    file.chmod(0o600)
    quiet = invoke("queue", "ls", "--redis", memory_url)

    assert done.code == 0
    assert "Warning: headrace.toml holds a password" in done.words
    assert "pass-word" not in done.err
    assert quiet.err == ""


@pytest.fixture
def guarded(redis_executable: str) -> Iterator[str]:
    """The address of a Redis that wants a password, and has the tasks of `fill` in database 3."""
    with RedisServer(redis_executable) as server, contextlib.closing(server.client()) as client:
        client.config_set("requirepass", PASSWORD)
        fill(full_url({"redis": server.url, "password": PASSWORD, "db": 3}))
        yield server.url


def test_password_and_database(guarded: str, directory: Path) -> None:
    """They come from flags, the environment and the file; a wrong one is not shown."""
    file = directory / "headrace.toml"
    command = ("queue", "ls", "--json")
    place = ("--redis", guarded, "--db", "3")
    assert invoke(*command, *place, "--password", PASSWORD).json[0]["queue"] == "shop"
    assert invoke(*command, *place, HEADRACE_REDIS_PASSWORD=PASSWORD).json
    file.write_text(f'redis = "{guarded}"\ndb = 3\npassword = "{PASSWORD}"\n')
    file.chmod(0o600)
    assert invoke(*command).json
    assert invoke(*command, "--db", "4").json == []

    # The file's password is for the file's address.
    sent_elsewhere = invoke(*command, *place)
    wrong = invoke(*command, *place, "--password", "wr0ng-one")
    assert (sent_elsewhere.code, wrong.code) == (69, 69)
    assert "Redis refused" in wrong.words
    assert "wr0ng-one" not in wrong.err


def test_flag_without_password_in_its_help() -> None:
    """The help names the variable, and shows nobody's value."""
    done = invoke("--help", HEADRACE_REDIS_PASSWORD="pass-word")

    assert "HEADRACE_REDIS_PASSWORD" in done.out
    assert "pass-word" not in done.out


def test_database_that_is_there(redis_url: str) -> None:
    """--db leads to another database of the same Redis."""
    assert invoke("task", "enqueue", "t", "--redis", redis_url, "--db", "5").code == 0

    in_five = full_url({"redis": redis_url, "db": 5})
    assert inspect(in_five, lambda inspector: inspector.queues()) == ["default"]
    assert inspect(redis_url, lambda inspector: inspector.queues()) == []
    assert invoke("queue", "rm", "default", "--redis", in_five, "--force", "--yes").code == 0
