"""Functions that a process can import."""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
import threading
import time
from typing import NoReturn

from headrace._router import Router

cpu_router = Router()


class PickyError(Exception):
    """An error that pickle alone cannot copy."""

    def __init__(self, code: int, *, hint: str) -> None:
        super().__init__(f"code {code}")
        self.code, self.hint = code, hint


class LockedError(Exception):
    """An error that nothing can copy."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lock = threading.Lock()


@dataclasses.dataclass
class Size:
    """An argument that is more than JSON."""

    width: int
    height: int


@cpu_router.task("cpu:where")
def where(add: int = 0) -> list[int]:
    """Return this process, and a sum."""
    return [os.getpid(), 1 + add]


@cpu_router.task("cpu:area", cpu=True)
def area(size: Size) -> dict[str, int]:
    """Compute in a process of its own."""
    return {"area": size.width * size.height, "pid": os.getpid()}


@cpu_router.task("cpu:die", cpu=True)
def die() -> None:
    """Die without a word."""
    os.kill(os.getpid(), signal.SIGKILL)


@cpu_router.task("cpu:exit", cpu=True)
def leave() -> NoReturn:
    """Leave as a script does."""
    sys.exit(3)


@cpu_router.task("cpu:picky", cpu=True)
def picky() -> NoReturn:
    """Raise what pickle alone cannot copy."""
    raise PickyError(7, hint="h")


@cpu_router.task("cpu:locked", cpu=True)
def locked() -> NoReturn:
    """Raise what nothing can copy."""
    raise LockedError("do not copy")


@cpu_router.task("cpu:unpicklable", cpu=True)
def unpicklable() -> object:
    """Return what nothing can copy."""
    return threading.Lock()


@cpu_router.task("cpu:endless", cpu=True)
def endless(path: str) -> None:
    """Say which process this is, and go on for ever."""
    with open(path, "w", encoding="ascii") as file:  # noqa: PTH123 - a handler of an old hand
        file.write(str(os.getpid()))
    while True:
        time.sleep(0.01)


@cpu_router.task("cpu:interrupt", cpu=True)
def interrupt() -> str:
    """Survive what Ctrl-C and a supervisor send to a process group."""
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGTERM)
    return "survived"
