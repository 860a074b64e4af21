"""The examples in docs/examples, as their readers run them: real servers, real requests."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import socket
import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
import uvicorn
from aiohttp import web

from tests.support.worker_process import WorkerProcess, command_environment

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager
    from types import ModuleType

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"
FINISHED = {"completed", "archived"}


@pytest.fixture
def load(broker_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Imports an example anew, with its broker at *broker_url*."""

    def load(name: str) -> ModuleType:
        monkeypatch.setenv("HEADRACE_REDIS_URL", broker_url)
        unique = f"{name}_{uuid.uuid4().hex}"
        spec = importlib.util.spec_from_file_location(unique, EXAMPLES / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, unique, module)
        spec.loader.exec_module(module)
        return module

    return load


def listen() -> socket.socket:
    """Return a socket that connections can wait at until a server accepts them."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    return listener


@contextlib.asynccontextmanager
async def serve_fastapi(module: ModuleType) -> AsyncIterator[httpx.AsyncClient]:
    """Serve the module's application by uvicorn."""
    server = uvicorn.Server(uvicorn.Config(module.app, lifespan="on", log_config=None))
    with listen() as listener:
        async with asyncio.TaskGroup() as group:
            group.create_task(server.serve([listener]))
            try:
                async with http_client(listener) as client:
                    yield client
            finally:
                server.should_exit = True


@contextlib.asynccontextmanager
async def serve_aiohttp(module: ModuleType) -> AsyncIterator[httpx.AsyncClient]:
    """Serve the module's application by aiohttp's own server."""
    runner = web.AppRunner(module.create_app())
    await runner.setup()
    with listen() as listener:
        await web.SockSite(runner, listener).start()
        try:
            async with http_client(listener) as client:
                yield client
        finally:
            await runner.cleanup()


def http_client(listener: socket.socket) -> httpx.AsyncClient:
    """Return a client of the server at *listener*."""
    host, port = listener.getsockname()
    return httpx.AsyncClient(base_url=f"http://{host}:{port}", timeout=20)


async def test_fastapi_answers_at_once_and_works_behind(
    load: Callable[[str], ModuleType],
) -> None:
    """A POST enqueues; the worker in the same loop does it; a GET shows the result."""
    async with serve_fastapi(load("fastapi_app")) as client:
        answer = await client.post("/thumbnails", json={"path": "cat.jpg", "width": 128})
        assert answer.status_code == 202
        assert answer.json()["state"] == "pending"

        state = "pending"
        while state not in FINISHED:
            shown = (await client.get(f"/thumbnails/{answer.json()['id']}")).json()
            state = shown["state"]

    assert shown["state"] == "completed"
    assert shown["result"] == '{"path":"cat.jpg.128.png","width":128}'


async def test_fastapi_knows_what_it_does_not_know(load: Callable[[str], ModuleType]) -> None:
    """An unknown task is a 404, wrong input a 422."""
    async with serve_fastapi(load("fastapi_app")) as client:
        assert (await client.get("/thumbnails/nothing")).status_code == 404
        assert (await client.post("/thumbnails", json={"width": "wide"})).status_code == 422


async def test_aiohttp_answers_with_the_result(load: Callable[[str], ModuleType]) -> None:
    """A POST enqueues, waits for the worker in the same loop, and answers with the result."""
    async with serve_aiohttp(load("aiohttp_app")) as client:
        answer = await client.post("/texts", content="one two three")

    assert answer.status_code == 200
    assert answer.json()["result"] == {"words": 3, "characters": 13}


@pytest.mark.parametrize(
    "serving", [("fastapi_app", serve_fastapi), ("aiohttp_app", serve_aiohttp)]
)
async def test_applications_start_again(
    load: Callable[[str], ModuleType],
    serving: tuple[str, Callable[[ModuleType], AbstractAsyncContextManager[httpx.AsyncClient]]],
) -> None:
    """Stopping the application stops its worker, so a second start in the loop works."""
    name, serve = serving
    for _ in range(2):
        async with serve(load(name)) as client:
            assert (await client.get("/nothing")).status_code == 404


def test_worker_runs_what_a_script_enqueues(redis_url: str) -> None:
    """``headrace worker tasks:server`` works for ``python tasks.py`` and ends on SIGTERM."""
    worker = WorkerProcess("tasks:server", redis_url=redis_url, directory=EXAMPLES)
    try:
        script = subprocess.run(
            [sys.executable, "tasks.py", "Ada", "Grace"],
            cwd=EXAMPLES,
            env=command_environment(redis_url),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=50,
        )
    finally:
        code = worker.stop()

    assert script.stdout.splitlines() == ["Hello, Ada!", "Hello, Grace!"]
    assert code == 0
