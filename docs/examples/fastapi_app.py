"""A FastAPI application that runs its background tasks itself: uvicorn fastapi_app:app."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, TypedDict

from fastapi import Depends, FastAPI, HTTPException, Request
from pydantic import BaseModel

from headrace import Client, Router, Server, TaskNotFoundError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

REDIS_URL = os.environ.get("HEADRACE_REDIS_URL", "redis://localhost:6379")

router = Router()


@router.task("thumbnail:make", timeout=30, retention=600)
async def make_thumbnail(path: str, width: int = 64) -> dict[str, str | int]:
    """Make a small copy of an image (here: only wait a moment)."""
    await asyncio.sleep(0.01)
    return {"path": f"{path}.{width}.png", "width": width}


class State(TypedDict):
    """What the application's requests share."""

    client: Client


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[State]:
    """Start the worker with the application, and drain it when the application stops."""
    async with Client(REDIS_URL) as client, Server(REDIS_URL, router, concurrency=20):
        yield {"client": client}


def get_client(request: Request) -> Client:
    """Return the client that the lifespan opened."""
    client: Client = request.state.client
    return client


app = FastAPI(lifespan=lifespan)


class Order(BaseModel):
    """A thumbnail to be made."""

    path: str
    width: int = 64


@app.post("/thumbnails", status_code=202)
async def order_thumbnail(
    order: Order, client: Annotated[Client, Depends(get_client)]
) -> dict[str, str]:
    """Enqueue the work, and answer at once."""
    info = await client.enqueue(make_thumbnail.task(path=order.path, width=order.width))
    return {"id": info.id, "state": str(info.state)}


@app.get("/thumbnails/{task_id}")
async def show_thumbnail(
    task_id: str, client: Annotated[Client, Depends(get_client)]
) -> dict[str, str]:
    """Say how far the work is; with its result once it is done."""
    try:
        info = await client.get_task(task_id)
    except TaskNotFoundError:
        raise HTTPException(404, "no such thumbnail, or it was made too long ago") from None
    return {"id": info.id, "state": str(info.state), "result": (info.result or b"").decode()}
