"""``/metrics``, ``/healthz`` and ``/readyz`` of a server, over HTTP.

Needs the extra ``headrace[prometheus]``.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from typing import TYPE_CHECKING

try:
    from aiohttp import web
    from prometheus_client import REGISTRY
    from prometheus_client.exposition import choose_encoder
except ImportError as _error:
    raise ImportError(
        "headrace.contrib.health needs aiohttp and the Prometheus client: "
        "pip install 'headrace[prometheus]'"
    ) from _error

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator

    from prometheus_client import CollectorRegistry

    from headrace import Server, ServerHealth

__all__ = ["monitoring", "monitoring_app"]

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 9876


def monitoring_app(server: Server, registry: CollectorRegistry = REGISTRY) -> web.Application:
    """Return an aiohttp application with the three paths, to serve or to mount.

    - ``/metrics``: *registry*, in the format that the scraper asks for.
    - ``/healthz``: 200 while the process works; 503 where a restart may help.
    - ``/readyz``: 200 while tasks are run; 503 where not, with the reasons.

    It has to run in the server's event loop, so that it does not answer while that is blocked.
    """

    async def metrics(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        # In a thread: a collector may wait for Redis.
        body = await asyncio.to_thread(encode, registry)
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def healthz(_: web.Request) -> web.Response:
        health = server.health()
        return _verdict(health, is_good=health.alive)

    async def readyz(_: web.Request) -> web.Response:
        health = server.health()
        return _verdict(health, is_good=health.ready)

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    return app


def _verdict(health: ServerHealth, *, is_good: bool) -> web.Response:
    return web.json_response(
        dataclasses.asdict(health),
        status=200 if is_good else 503,
        headers={"Cache-Control": "no-store"},
    )


@contextlib.asynccontextmanager
async def monitoring(
    server: Server,
    *,
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    registry: CollectorRegistry = REGISTRY,
    sock: socket.socket | None = None,
) -> AsyncIterator[str]:
    """Serve `monitoring_app` while the block runs, and yield its URL.

    Enter it before the server starts: then ``/readyz`` tells that it is not ready yet.

    Args:
        server: Whose health is shown.
        host: Address to listen on; the loopback interface unless you say otherwise, since
            nothing here asks for a password.
        port: Port to listen on; 0 takes a free one.
        registry: What ``/metrics`` shows.
        sock: A socket that listens already, in place of *host* and *port*.

    Raises:
        OSError: If the port is taken.
    """
    runner = web.AppRunner(monitoring_app(server, registry), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site: web.BaseSite
        site = web.SockSite(runner, sock) if sock else web.TCPSite(runner, host, port)
        await site.start()
        address = runner.addresses[0]
        name = f"[{address[0]}]" if ":" in address[0] else address[0]
        yield f"http://{name}:{address[1]}"
    finally:
        await runner.cleanup()
