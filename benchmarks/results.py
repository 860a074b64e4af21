"""The file of results: a line of JSON for each measurement, so that an interrupted run goes on."""

from __future__ import annotations

import json
import statistics
from typing import TYPE_CHECKING, Final, TypedDict, cast

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

HEADER: Final = "run"
"""The key that marks the line that says what ran where."""


class Spread(TypedDict):
    """What a figure was, over the repetitions."""

    median: float
    min: float
    max: float


class Record(TypedDict, total=False):
    """One measurement: its figures, or why there are none."""

    measure: str
    system: str
    repetition: int
    figures: dict[str, float]
    error: str
    not_supported: str


class Results:
    """Reads and adds to a file of results.

    Of several records of one repetition the last one holds: a failure may be tried again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.header: dict[str, object] = {}
        self._records: dict[tuple[str, str, int], Record] = {}
        if path.exists():
            for line in path.read_text("utf-8").splitlines():
                read = json.loads(line)
                if HEADER in read:
                    self.header |= read[HEADER]
                else:
                    self._keep(cast("Record", read))

    def _keep(self, record: Record) -> None:
        key = record["measure"], record["system"], record["repetition"]
        self._records[key] = record

    def describe(self, what: Mapping[str, object]) -> None:
        """Add to the description of the run."""
        self.header |= what
        self._write({HEADER: what})

    def add(self, record: Record) -> None:
        """Add a measurement."""
        self._keep(record)
        self._write(record)

    def _write(self, value: object) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(value) + "\n")

    def get(self, measure: str, system: str, repetition: int) -> Record | None:
        """Return the record of a measurement, or None if it is not there."""
        return self._records.get((measure, system, repetition))

    def spreads(self, measure: str, system: str) -> dict[str, Spread]:
        """Return each figure's median, least and greatest; empty if nothing was measured."""
        values: dict[str, list[float]] = {}
        for record in self._of(measure, system):
            for name, value in record.get("figures", {}).items():
                values.setdefault(name, []).append(value)
        return {
            name: Spread(median=statistics.median(seen), min=min(seen), max=max(seen))
            for name, seen in values.items()
        }

    def gap(self, measure: str, system: str) -> str:
        """Return why nothing was measured; "" if something was, or it was not tried."""
        for record in self._of(measure, system):
            if reason := record.get("not_supported"):
                return f"not supported: {reason}"
            if error := record.get("error"):
                return f"failed: {error}"
        return ""

    def _of(self, measure: str, system: str) -> list[Record]:
        return [
            record
            for (its_measure, its_system, _), record in sorted(self._records.items())
            if (its_measure, its_system) == (measure, system)
        ]
