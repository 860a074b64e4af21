"""Takes the measures of all systems, in turns, and writes each result when it is there."""

from __future__ import annotations

import dataclasses
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from benchmarks.environments import EnvironmentFailedError
from benchmarks.machine import machine
from benchmarks.results import Record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.catalog import System
    from benchmarks.measures.base import Measure
    from benchmarks.results import Results
    from benchmarks.stand import Stand


class Runner:
    """Measures *systems* on *stand*.

    What *results* hold already is not measured again, unless it failed.
    """

    def __init__(self, stand: Stand, systems: Sequence[System], results: Results) -> None:
        self._stand = stand
        self._results = results
        self._systems = systems
        self._broken: set[tuple[str, str]] = set()

    def describe(self, profile: str) -> None:
        """Write down what runs where, with the versions of everything."""
        versions: dict[str, object] = dict(self._as_known("versions"))
        for system in self._systems:
            try:
                versions[system.name] = self._stand.environments.versions(system)
            except EnvironmentFailedError as error:
                print(f"{system.title}: {error}")
        self._results.describe(
            {
                "profile": profile,
                "sizes": dataclasses.asdict(self._stand.sizes),
                "machine": machine(),
                "redis": self._stand.redis.info("server")["redis_version"],
                "versions": versions,
                "date": datetime.now(UTC).date().isoformat(),
            }
        )

    def _as_known(self, key: str) -> dict[str, object]:
        known = self._results.header.get(key)
        return known if isinstance(known, dict) else {}

    def run(self, measures: Sequence[Measure], repetitions: int) -> None:
        """Take the measures one after another; within one, the systems take turns."""
        for measure in measures:
            for repetition in range(1 if measure.once else repetitions):
                for system in self._systems:
                    if not measure.only or system.name in measure.only:
                        self._step(measure, system, repetition)

    def _step(self, measure: Measure, system: System, repetition: int) -> None:
        known = self._results.get(measure.name, system.name, repetition)
        if known is not None and "error" not in known:
            return
        if (measure.name, system.name) in self._broken:
            return  # What failed once would take its whole time again.
        record = Record(measure=measure.name, system=system.name, repetition=repetition)
        start = time.monotonic()
        if reason := system.cannot.get(measure.name):
            record["not_supported"] = reason
        else:
            try:
                record["figures"] = dict(measure.take(self._stand, system))
            except Exception as error:  # noqa: BLE001 - the other systems are still to be measured
                record["error"] = f"{type(error).__name__}: {error}"
                self._broken.add((measure.name, system.name))
        self._results.add(record)
        proxy = self._stand.proxy_figures
        if proxy and proxy != self._as_known("proxy"):
            self._results.describe({"proxy": proxy})
        print(_line(record, time.monotonic() - start), flush=True)


def _line(record: Record, seconds: float) -> str:
    """Return what a person wants to see while it goes on."""
    figures = record.get("figures", {})
    said = ", ".join(f"{name} {value:,.1f}" for name, value in figures.items())
    said = said or record.get("not_supported") or record.get("error", "")
    what = f"{record['measure']} #{record['repetition']} {record['system']}"
    return f"{what}: {said} [{seconds:.0f} s]"
