"""Every block of code in README and docs that can run is run, and every link leads somewhere.

The rules, for who writes a page:

- A ``python`` block that begins with ``# name.py`` is a file: it is written to the page's
  directory, where later blocks find it. If ``docs/examples`` holds a file of that name, the
  block must be the same, and the tests of the examples run it.
- Any other ``python`` block is run. The blocks of a page share their names; ``await`` works.
- The lines of a ``console`` block that begin with ``$`` are commands. Those of a worker start
  it, and it must end well on SIGTERM; others must succeed, and print what the block shows
  below them.
- ``redis://localhost:6379`` stands for the test's Redis.
- ``<!-- not run: why -->`` above a block takes it out.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import dataclasses
import inspect
import re
import subprocess
import sys
import urllib.parse
from typing import TYPE_CHECKING

import pytest

from headrace import Client, Inspector, Router, Server, TaskContext
from headrace._config import ServerConfig
from tests.support.pages import ROOT, Block, anchors, blocks, links, pages
from tests.support.redis_server import RedisServer
from tests.support.worker_process import WorkerProcess, command_environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PLACEHOLDER = "redis://localhost:6379"
EXAMPLES = ROOT / "docs" / "examples"
DEPLOYMENT = ROOT / "docs" / "deployment.md"
PAGES = [page for page in pages() if any(block.is_run for block in blocks(page))]
TEST_COMMAND = 'python -m pip install -q -e ".[cli,test]" && python -m pytest'


class Reader:
    """Does what a page says, in a directory of its own."""

    def __init__(self, directory: Path, redis_url: str, loop: asyncio.Runner) -> None:
        self.directory = directory
        self.redis_url = redis_url
        self.workers: list[WorkerProcess] = []
        self._loop = loop
        self._names: dict[str, object] = {"__name__": "page"}

    def follow(self, block: Block) -> None:
        """Do what *block* says."""
        if block.language == "console":
            self._type(block)
        elif block.file_name:
            self._save(block, block.file_name)
        else:
            self._execute(block)

    def _text(self, block: Block) -> str:
        return block.text.replace(PLACEHOLDER, self.redis_url)

    def _save(self, block: Block, name: str) -> None:
        example = EXAMPLES / name
        if example.exists():
            assert block.text.removeprefix(f"# {name}\n") == example.read_text("utf-8")
        else:
            (self.directory / name).write_text(self._text(block), "utf-8")

    def _execute(self, block: Block) -> None:
        # The blank lines make a traceback show the page's own line numbers.
        source = "\n" * (block.line - 1) + self._text(block)
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        code = compile(source, str(block.page), "exec", flags=flags, dont_inherit=True)
        if code.co_flags & inspect.CO_COROUTINE:
            self._loop.run(eval(code, self._names))  # noqa: S307 - a page of ours
        else:
            exec(code, self._names)  # noqa: S102 - a page of ours

    def _type(self, block: Block) -> None:
        command: str | None = None
        shown: list[str] = []
        for line in [*block.text.splitlines(), "$ "]:
            if not line.startswith("$ "):
                shown.append(line)
                continue
            if command is not None:
                self._run(command, shown)
            command, shown = line.removeprefix("$ "), []

    def _run(self, command: str, shown: list[str]) -> None:
        program, *arguments = command.split()
        assert program == "python", f"nobody knows how to test {command!r}"
        if arguments[:3] == ["-m", "headrace", "worker"]:
            self.workers.append(
                WorkerProcess(*arguments[3:], redis_url=self.redis_url, directory=self.directory)
            )
            return
        output = subprocess.run(  # noqa: S603 - a page of ours
            [sys.executable, *arguments],
            cwd=self.directory,
            env=command_environment(self.redis_url),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=50,
        ).stdout
        assert [line for line in shown if line not in output.splitlines()] == []

    def end_workers(self) -> None:
        """End the workers as their page says, by SIGTERM."""
        codes = [worker.stop() for worker in self.workers]
        assert codes == [0] * len(codes)


@pytest.fixture
def reader(tmp_path: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    """Follows one page; its workers are ended with the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    with asyncio.Runner() as loop, contextlib.ExitStack() as end:
        reader = Reader(tmp_path, redis_url, loop)
        end.callback(reader.end_workers)
        yield reader


def page_name(page: Path) -> str:
    """Return how a test's name shows *page*."""
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_code_of_page_runs(page: Path, reader: Reader) -> None:
    """A reader who does what the page says, top to bottom, gets what it promises."""
    for block in blocks(page):
        if block.is_run:
            reader.follow(block)


def test_pages_with_code_are_found() -> None:
    """README and the pages of docs are among those that are run: nothing is left out unseen."""
    names = {page_name(page) for page in PAGES}

    assert {"README.md", "docs/quickstart.md", "docs/tasks.md", "docs/embedding.md"} <= names


@pytest.mark.parametrize("page", pages(), ids=page_name)
def test_links_of_page_lead_somewhere(page: Path) -> None:
    """A link to a file finds it, and the heading within it. The web is not asked."""
    broken = []
    for link in links(page):
        target = urllib.parse.urlsplit(link)
        if target.scheme:
            continue
        file = (page.parent / target.path).resolve() if target.path else page
        found = file.exists() and file.is_relative_to(ROOT)
        if not found or (target.fragment and target.fragment not in anchors(file)):
            broken.append(link)

    assert broken == []


def test_ci_runs_the_command_of_the_readme() -> None:
    """What README tells a newcomer to type is what CI runs, to the letter."""
    commands = [
        line.removeprefix("$ ")
        for block in blocks(ROOT / "README.md")
        if block.language == "console"
        for line in block.text.splitlines()
    ]

    assert TEST_COMMAND in commands
    assert TEST_COMMAND in (ROOT / ".ci" / "run").read_text("utf-8").splitlines()


def test_configuration_page_is_complete() -> None:
    """The page names every setting of the server, with the default that it has."""
    page = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    server_table = page.partition("## Server")[2].partition("## Client")[0]
    shown = dict(re.findall(r"^\| `(\w+)` \| ([^|]+?) \|", server_table, re.MULTILINE))
    fields = {field.name: field for field in dataclasses.fields(ServerConfig)}

    assert shown.keys() == fields.keys() - {"clock", "rng"}
    for name, text in shown.items():
        default = fields[name].default
        if isinstance(default, bool):
            assert text == f"`{default}`", name
        elif isinstance(default, (int, float)):
            assert float(text.split()[0].rstrip(",")) == default, name


async def test_documented_rights_suffice(redis_executable: str) -> None:
    """Client and worker do their work as the user that the deployment page sets up."""
    router = Router()

    @router.task("rights:use", retention=60, timeout=30)
    async def use_rights(ctx: TaskContext) -> str:
        await ctx.progress(0.5)
        return "enough"

    [block] = [block for block in blocks(DEPLOYMENT) if block.note.startswith("acl:")]
    with (
        RedisServer(redis_executable, appendonly="yes") as redis,
        contextlib.closing(redis.client()) as administrator,
    ):
        administrator.execute_command(*block.text.split())  # type: ignore[no-untyped-call]
        url = redis.url.replace("//", "//headrace:a-long-password@")
        async with Client(url) as client, Inspector(url) as inspector, Server(url, router):
            info = await client.enqueue(use_rights.task(), process_in=1, unique=60)
            assert await client.result(info, timeout=60) == "enough"
            assert [queue.queue for queue in await inspector.stats()] == ["default"]
        # Nothing was refused that a component survived, but redis-py's giving its name.
        refused = {entry["object"] for entry in administrator.acl_log()}
        assert refused <= {"client", "client|setinfo"}
