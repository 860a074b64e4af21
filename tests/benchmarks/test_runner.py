"""The runner: in turns, every result kept, nothing measured twice, no failure in the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from benchmarks.__main__ import main
from benchmarks.catalog import BY_NAME
from benchmarks.measures.base import Measure
from benchmarks.programs import ProgramFailedError
from benchmarks.results import Results
from benchmarks.runner import Runner

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.catalog import System
    from benchmarks.stand import Stand

ARQ, RQ, SAQ = BY_NAME["arq"], BY_NAME["rq"], BY_NAME["saq"]


class Taken:
    """A measure that notes whom it was taken of, and fails for some."""

    def __init__(self, *failing: System) -> None:
        self.systems: list[str] = []
        self._failing = failing

    def __call__(self, _stand: Stand, system: System) -> dict[str, float]:
        """Be taken of *system*."""
        self.systems.append(system.name)
        if system in self._failing:
            raise ProgramFailedError("its last words")
        return {"tasks_per_s": len(self.systems)}


def test_systems_take_turns(stand: Stand, results: Results) -> None:
    """Each repetition is of all systems, before the next one begins."""
    taken = Taken()

    Runner(stand, [ARQ, RQ], results).run([Measure("m", "", taken)], 2)

    assert taken.systems == ["arq", "rq", "arq", "rq"]
    assert results.spreads("m", "arq")["tasks_per_s"] == {"median": 2.0, "min": 1.0, "max": 3.0}


def test_an_interrupted_run_goes_on(stand: Stand, results: Results) -> None:
    """What the file holds is not measured again; another repetition is."""
    taken = Taken()
    Runner(stand, [ARQ], results).run([Measure("m", "", taken)], 1)

    Runner(stand, [ARQ, RQ], Results(results.path)).run([Measure("m", "", taken)], 2)

    assert taken.systems == ["arq", "rq", "arq", "rq"]


def test_a_failure_is_recorded_and_does_not_stop_the_others(stand: Stand, results: Results) -> None:
    """A system that fails is not tried again in the same run, but in the next one."""
    taken = Taken(ARQ)
    Runner(stand, [ARQ, RQ], results).run([Measure("m", "", taken)], 2)
    again = Results(results.path)

    assert taken.systems == ["arq", "rq", "rq"]
    assert again.gap("m", "arq") == "failed: ProgramFailedError: its last words"

    Runner(stand, [ARQ], again).run([Measure("m", "", Taken())], 1)

    assert "tasks_per_s" in Results(results.path).spreads("m", "arq")


def test_what_a_system_cannot_do_is_not_tried(stand: Stand, results: Results) -> None:
    """The reason is recorded in place of a figure."""
    taken = Taken()

    Runner(stand, [SAQ], results).run([Measure("enqueue_bulk", "", taken)], 1)

    assert not taken.systems
    assert results.gap("enqueue_bulk", "saq").startswith("not supported: has no call")


def test_the_command_measures_and_describes(redis_url: str, tmp_path: Path) -> None:
    """One command writes figures, with what they were measured on."""
    path = tmp_path / "results.jsonl"
    places = ["--redis", redis_url, "--home", str(tmp_path), "--results", str(path)]
    chosen = ["--only", "enqueue_bulk", "--systems", "headrace"]

    main(["run", *places, *chosen, "--profile", "smoke"])
    results = Results(path)

    assert results.spreads("enqueue_bulk", "headrace")["tasks"]["median"] > 0
    assert {"profile", "machine", "versions", "redis"} <= results.header.keys()

    with pytest.raises(SystemExit, match="holds results of the profile 'smoke'"):
        main(["run", *places, "--profile", "quick"])
