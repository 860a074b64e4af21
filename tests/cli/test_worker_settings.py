"""The table ``[worker]`` of the configuration file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headrace._cli import worker
from tests.cli.support import invoke

if TYPE_CHECKING:
    from pathlib import Path

    from headrace import Server

FILE = """
redis = "memory://file"

[worker]
concurrency = 7
queues = { critical = 6, low = 1 }
strict = true
shutdown_timeout = 2
log_level = "error"
log_format = "json"
"""


@pytest.fixture
def made(directory: Path, monkeypatch: pytest.MonkeyPatch) -> list[Server]:
    """The servers that ``worker`` would have run. The current directory has a router."""
    (directory / "shop_of_settings.py").write_text(
        "from headrace import Router\nrouter = Router()\n"
    )
    (directory / "headrace.toml").write_text(FILE)
    monkeypatch.syspath_prepend(str(directory))
    servers: list[Server] = []
    monkeypatch.setattr(worker, "_run", servers.append)
    monkeypatch.setattr(worker, "configure_logging", lambda *_: None)
    return servers


def test_file_configures_the_worker(made: list[Server]) -> None:
    """It says where Redis is, and how the worker works."""
    done = invoke("worker", "shop_of_settings:router")
    [server] = made

    assert done.code == 0, done.err
    assert server.address == "memory://file"
    assert dict(server.config.queues) == {"critical": 6, "low": 1}
    assert (server.config.concurrency, server.config.strict_priority) == (7, True)
    assert server.config.shutdown_timeout == 2


def test_flags_take_precedence(made: list[Server]) -> None:
    """What is given on the command line goes before the file."""
    flags = ("--concurrency", "3", "--queues", "other", "--shutdown-timeout", "9")
    done = invoke("worker", "shop_of_settings:router", "--redis", "memory://flag", *flags)
    [server] = made

    assert done.code == 0, done.err
    assert server.address == "memory://flag"
    assert dict(server.config.queues) == {"other": 1}
    assert (server.config.concurrency, server.config.shutdown_timeout) == (3, 9)
