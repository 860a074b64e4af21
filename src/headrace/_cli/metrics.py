"""``worker --metrics-port``: a server's metrics and its health, over HTTP."""

from __future__ import annotations

import contextlib
import logging
import socket
from typing import TYPE_CHECKING, Final

from headrace._cli.failure import CliError, ExitCode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from headrace import Server

__all__ = ["DEFAULT_HOST", "with_metrics"]

DEFAULT_HOST: Final = "127.0.0.1"

log: logging.Logger = logging.getLogger("headrace.worker")


def with_metrics(server: Server, host: str | None, port: int | None) -> Server:
    """Return *server* such that it serves its metrics from before its start to after its end.

    Args:
        server: What to serve the metrics of.
        host: Where; None: on this machine only.
        port: Where; None: nowhere, and *server* is returned as it is.

    Raises:
        CliError: If the port is taken, or the extra is not installed.
    """
    if port is None:
        return server
    try:
        from headrace.contrib.health import monitoring  # noqa: PLC0415 - an extra
        from headrace.contrib.prometheus import instrument  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise CliError(f"--metrics-port: {error}") from None
    listener = _listener(host or DEFAULT_HOST, port)
    instrument(server)
    inner = server.config.lifespan

    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[object]:
        async with contextlib.AsyncExitStack() as stack:
            url = await stack.enter_async_context(monitoring(monitored, sock=listener))
            log.info("Metrics at %s/metrics", url, extra={"url": url})
            yield await stack.enter_async_context(inner()) if inner is not None else None

    monitored = server.replace(lifespan=lifespan)
    return monitored


def _listener(host: str, port: int) -> socket.socket:
    """Return a socket that listens: now, so that a taken port is told before anything runs."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise CliError(
            f"Cannot serve metrics at {host} port {port}: {error.strerror or error}",
            hint="Choose another --metrics-port or --metrics-host.",
            code=ExitCode.FAILURE,
        ) from None
