"""Two tasks, and a server for a worker of their own.

Run the worker:      python -m headrace worker tasks:server
Give it some work:   python tasks.py Ada Grace
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from headrace import Client, Router, Server, TaskContext

REDIS_URL = os.environ.get("HEADRACE_REDIS_URL", "redis://localhost:6379")

router = Router()


@router.task("greeting:compose", queue="critical", max_retry=5, timeout=30, retention=600)
async def compose_greeting(ctx: TaskContext, name: str, greeting: str = "Hello") -> str:
    """Return a greeting. What a task returns is kept as its result for its retention."""
    await ctx.progress(0.5, f"thinking of {name}")
    return f"{greeting}, {name}!"


@router.task("file:count", retention=600)
def count_lines(path: str) -> int:
    """Count the lines of a file. A plain function runs in a thread: it may block."""
    with Path(path).open("rb") as file:
        return sum(1 for _ in file)


server = Server(
    REDIS_URL,
    router,
    concurrency=50,
    queues={"critical": 6, "default": 3, "low": 1},
)


async def main(names: list[str]) -> None:
    """Enqueue a greeting for each name, and print them as they are done."""
    async with Client(REDIS_URL) as client:
        infos = await client.enqueue_many([compose_greeting.task(name=name) for name in names])
        for info in infos:
            print(await client.result(info, timeout=30))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:] or ["World"]))
