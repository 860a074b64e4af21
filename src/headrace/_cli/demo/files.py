"""Finding the files, and examining one. Paths are bytes: a file's name need not be text."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import os
import stat
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from threading import Event

__all__ = [
    "Examined",
    "Listing",
    "NotRegularError",
    "StoppedError",
    "examine",
    "extension",
    "find_files",
]

CHUNK = 1 << 18
MAX_EXTENSION = 16
NO_EXTENSION = "(none)"
ODD_EXTENSION = "(other)"
# A link or a pipe that took the file's place since it was listed must neither be followed
# nor wait for a writer.
_OPEN_FLAGS = os.O_RDONLY | sum(
    getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY")
)


class StoppedError(Exception):
    """Raised when the demo ends before a file does."""


class NotRegularError(OSError):
    """Raised when a path no longer leads to a regular file."""

    def __init__(self) -> None:
        super().__init__(errno.EINVAL, "it is no longer a regular file")


@dataclasses.dataclass(frozen=True, slots=True)
class Listing:
    """The regular files under a directory.

    Attributes:
        root: The directory.
        paths: Relative to it, ``/`` separated, sorted bytewise.
        unreadable: Directories that could not be listed, and why.
    """

    root: bytes
    paths: tuple[bytes, ...]
    unreadable: tuple[tuple[bytes, str], ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Examined:
    """What a file holds: its SHA-256 in hex, its bytes, and its newlines as ``wc -l`` counts."""

    sha256: str
    size: int
    lines: int


class _Entry(Protocol):
    @property
    def name(self) -> bytes: ...
    def is_dir(self, *, follow_symlinks: bool = True) -> bool: ...
    def is_file(self, *, follow_symlinks: bool = True) -> bool: ...


def find_files(root: bytes) -> Listing:
    """List the regular files under *root*. Symbolic links are not followed; nothing is skipped."""
    paths: list[bytes] = []
    unreadable: list[tuple[bytes, str]] = []
    waiting = [b""]
    while waiting:
        parent = waiting.pop()
        try:
            for entry in _entries(root, parent):
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(parent + entry.name + b"/")
                elif entry.is_file(follow_symlinks=False):
                    paths.append(parent + entry.name)
        except OSError as error:
            unreadable.append((parent, error.strerror or str(error)))
    return Listing(root, tuple(sorted(paths)), tuple(sorted(unreadable)))


def _entries(root: bytes, parent: bytes) -> Iterator[_Entry]:
    with os.scandir(os.path.join(root, parent)) as entries:  # noqa: PTH118 - pathlib has no bytes
        yield from entries


def examine(path: bytes, *, stopped: Event) -> Examined:
    """Read the file at *path* to its end.

    Raises:
        OSError: If it cannot be read.
        StoppedError: If *stopped* was set before the end.
    """
    digest = hashlib.sha256()
    size = lines = 0
    descriptor = os.open(path, _OPEN_FLAGS)
    with open(descriptor, "rb", buffering=0) as file:  # noqa: PTH123 - of a descriptor
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise NotRegularError
        while chunk := file.read(CHUNK):
            if stopped.is_set():
                raise StoppedError
            digest.update(chunk)
            size += len(chunk)
            lines += chunk.count(b"\n")
    return Examined(digest.hexdigest(), size, lines)


def extension(path: bytes) -> str:
    """Return what a file's name ends in, such as ``".py"``, in lower case: its kind.

    Names without one give ``"(none)"``; what is too long or too odd to be one ``"(other)"``.
    """
    suffix = os.path.splitext(path)[1]  # noqa: PTH122 - pathlib has no bytes
    if len(suffix) <= 1:
        return NO_EXTENSION
    try:
        text = suffix.decode().lower()
    except UnicodeDecodeError:
        return ODD_EXTENSION
    usable = len(text) <= MAX_EXTENSION and all(c.isalnum() or c in "_+-~" for c in text[1:])
    return text if usable else ODD_EXTENSION
