"""``memory://``: Redis inside this process (fakeredis), for demos, tests and development.

The same URL means the same data, within one process. The scripts are those of the real one.
fakeredis is imported when it is used: a worker on a real Redis is spared its memory.
"""

from __future__ import annotations

import sys
import weakref
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio

    from fakeredis import FakeServer

__all__ = ["Bell", "bell_of", "connection_to", "is_fake"]


class Bell:
    """Wakes those who wait for a pending task, since fakeredis does not block."""

    def __init__(self) -> None:
        self._waiters: set[asyncio.Event] = set()

    def ring(self) -> None:
        """Wake everybody who waits."""
        for event in self._waiters:
            event.set()

    def hang(self, event: asyncio.Event) -> None:
        """Set *event* at each ring, until it is taken down."""
        self._waiters.add(event)

    def take_down(self, event: asyncio.Event) -> None:
        """Leave *event* alone from now on."""
        self._waiters.discard(event)


_servers: Final[dict[str, FakeServer]] = {}
_bells: Final[weakref.WeakKeyDictionary[FakeServer, Bell]] = weakref.WeakKeyDictionary()


def connection_to(name: str) -> tuple[type, dict[str, object]]:
    """Return how to connect to the in-process server of that name."""
    from fakeredis import FakeServer  # noqa: PLC0415 - only for memory://
    from fakeredis.aioredis import FakeAsyncRedisConnection  # noqa: PLC0415

    server = _servers.setdefault(name, FakeServer(server_type="redis", version=(7,)))
    return FakeAsyncRedisConnection, {"server": server, "db": 0}


def bell_of(server: object) -> Bell:
    """Return the bell of an in-process server."""
    from fakeredis import FakeServer  # noqa: PLC0415 - only for memory://

    assert isinstance(server, FakeServer)  # noqa: S101 - fakeredis's connections carry one
    return _bells.setdefault(server, Bell())


def is_fake(connection_class: type) -> bool:
    """Whether connections of that class lead to an in-process server."""
    if "fakeredis" not in sys.modules:
        return False
    from fakeredis.aioredis import FakeAsyncRedisConnection  # noqa: PLC0415 - only for memory://

    return issubclass(connection_class, FakeAsyncRedisConnection)
