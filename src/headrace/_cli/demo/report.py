"""The report: what came back through the queue, and nothing else."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from typing import TYPE_CHECKING

from headrace._cli.demo.files import extension

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["Record", "Report", "Totals"]

MAX_ERROR = 200
"""Characters of an error that travel: many records share a payload."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What became of one file. It travels as JSON."""

    file: int
    """The file's index in the listing."""
    sha256: str = ""
    size: int = 0
    lines: int = 0
    retried: int
    """How often its task was retried."""
    error: str = ""
    """Why it could not be read; "" if it was."""

    @classmethod
    def of_failure(cls, file: int, reason: str, *, retried: int) -> Record:
        """Return the record of a file that could not be read."""
        return cls(file=file, retried=retried, error=reason[:MAX_ERROR] or "for no known reason")


@dataclasses.dataclass(slots=True)
class Totals:
    """Sums over files."""

    files: int = 0
    bytes: int = 0
    lines: int = 0
    retried: int = 0
    failed: int = 0

    def add(self, record: Record) -> None:
        """Count one file."""
        self.retried += record.retried
        if record.error:
            self.failed += 1
            return
        self.files += 1
        self.bytes += record.size
        self.lines += record.lines


class Report:
    """Collects the records of the files at *paths*.

    A task may run twice, and so may a report arrive twice: a file counts once, by its index.

    Attributes:
        complete: Set once every file is accounted for, or can no longer be.
        problem: Why files can no longer be accounted for; "" while they can.
    """

    def __init__(self, paths: Sequence[bytes]) -> None:
        self._paths = paths
        self._records: dict[int, Record] = {}
        self.complete: asyncio.Event = asyncio.Event()
        self.problem: str = ""
        self._check()

    def add(self, records: Iterable[Record]) -> None:
        """Take in the records of one aggregated report."""
        for record in records:
            if 0 <= record.file < len(self._paths):
                self._records.setdefault(record.file, record)
        self._check()

    def abandon(self, problem: str) -> None:
        """Give up: what is still missing will not come."""
        self.problem = problem
        self.complete.set()

    def _check(self) -> None:
        if len(self._records) == len(self._paths):
            self.complete.set()

    def __len__(self) -> int:
        """How many files are accounted for."""
        return len(self._records)

    def totals(self) -> Totals:
        """Return the sums over all files."""
        totals = Totals()
        for record in self._records.values():
            totals.add(record)
        return totals

    def by_extension(self) -> Mapping[str, Totals]:
        """Return the sums per extension, the most files first."""
        sums: dict[str, Totals] = {}
        for index, record in self._records.items():
            sums.setdefault(extension(self._paths[index]), Totals()).add(record)
        return dict(sorted(sums.items(), key=lambda item: (-item[1].files, item[0])))

    def failures(self) -> list[tuple[bytes, str]]:
        """Return the files that could not be read, and why, by path."""
        return sorted(
            (self._paths[index], record.error)
            for index, record in self._records.items()
            if record.error
        )

    def digest(self) -> str:
        r"""Return the SHA-256 in hex of the lines ``<sha256>  <path>\n``, sorted bytewise.

        That is what ``sha256sum`` prints for the same files, sorted, unless a name holds a
        newline or a backslash, which ``sha256sum`` escapes.
        """
        lines = sorted(
            record.sha256.encode() + b"  " + self._paths[index] + b"\n"
            for index, record in self._records.items()
            if not record.error
        )
        return hashlib.sha256(b"".join(lines)).hexdigest()
