"""An aiohttp application that runs its background tasks itself: python aiohttp_app.py."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from aiohttp import web

from headrace import Client, Router, Server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

REDIS_URL = os.environ.get("HEADRACE_REDIS_URL", "redis://localhost:6379")
CLIENT = web.AppKey("client", Client)

router = Router()


@router.task("text:count", timeout=30, retention=600)
async def count_words(text: str) -> dict[str, int]:
    """Count the words and the characters of a text."""
    return {"words": len(text.split()), "characters": len(text)}


async def background(app: web.Application) -> AsyncIterator[None]:
    """Start the worker with the application, and drain it when the application stops."""
    async with Client(REDIS_URL) as client, Server(REDIS_URL, router, concurrency=20):
        app[CLIENT] = client
        yield


async def post_text(request: web.Request) -> web.Response:
    """Enqueue the work, wait for it a while, and answer with what it returned."""
    client = request.app[CLIENT]
    info = await client.enqueue(count_words.task(text=await request.text()))
    return web.json_response({"id": info.id, "result": await client.result(info, timeout=30)})


def create_app() -> web.Application:
    """Return the application."""
    app = web.Application()
    app.cleanup_ctx.append(background)
    app.router.add_post("/texts", post_text)
    return app


if __name__ == "__main__":
    web.run_app(create_app(), host="127.0.0.1", port=8080)
