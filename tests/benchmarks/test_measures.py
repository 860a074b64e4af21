"""Each measure, taken of Headrace with small counts: that it works, not what it says."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest
from benchmarks.catalog import BY_NAME, HEADRACE
from benchmarks.measures import measures
from benchmarks.measures.base import WrongCountError
from benchmarks.programs import Event, Program, ProgramFailedError
from benchmarks.sizes import PROFILES

if TYPE_CHECKING:
    from benchmarks.stand import Stand

# Each starts several processes, which takes long where others run too.
pytestmark = pytest.mark.timeout(300)

SIZES = PROFILES["smoke"]
MEASURES = {measure.name: measure for measure in measures(SIZES)}
OURS = BY_NAME[HEADRACE]


def _needs_go() -> None:
    if shutil.which("go") is None:
        # On CI a skip would pass for a success.
        (pytest.fail if os.environ.get("CI") else pytest.skip)("needs Go, to build the proxy")


@pytest.mark.parametrize(
    ("name", "figure", "expected"),
    [
        ("enqueue_concurrent", "tasks", SIZES.enqueued),
        ("drain_noop", "tasks", SIZES.tasks),
        ("drain_noop_delayed", "tasks", SIZES.tasks),
        ("pick_up", "samples", SIZES.samples),
        ("punctuality", "samples", SIZES.scheduled),
        ("memory", "tasks", SIZES.remembered),
        (f"pending_{SIZES.pending[0]}", "tasks", SIZES.scaled),
        (f"active_{SIZES.active[0]}", "tasks", SIZES.lasting),
    ],
)
def test_a_measure_runs_all_of_its_tasks(
    stand: Stand, name: str, figure: str, expected: int
) -> None:
    """A measure says how many tasks it is about, and no figure is below zero."""
    if name.endswith("_delayed"):
        _needs_go()

    figures = MEASURES[name].take(stand, OURS)

    assert expected == figures[figure]
    assert all(value >= 0 for value in figures.values())


@pytest.mark.parametrize("name", ["startup", "idle"])
def test_a_measure_of_the_process_has_figures(stand: Stand, name: str) -> None:
    """What a worker costs without tasks is measured too."""
    figures = MEASURES[name].take(stand, OURS)

    assert figures
    assert all(value >= 0 for value in figures.values())


class FakeStand:
    """Workers one after another: what they say is given."""

    def __init__(self, *scripts: list[Event]) -> None:
        self.sizes = SIZES
        self.url = "redis://nowhere"
        self._scripts = iter(scripts)

    def fill(self, *_arguments: object) -> None:
        """Do nothing."""

    def redis_cpu(self) -> float:
        """Return no CPU time."""
        return 0.0

    def worker(self, *_arguments: object, **_settings: object) -> FakeProgram:
        """Start the next one."""
        return FakeProgram(next(self._scripts))


class FakeProgram(Program):
    """A worker that says what it is told to, and then nothing more."""

    def __init__(self, script: list[Event]) -> None:
        self._script = iter(script)
        self.started_at = 0

    def next(self, until: float) -> Event:  # noqa: ARG002 - there is no time here
        """Say the next thing."""
        event = next(self._script, None)
        if event is None:
            raise ProgramFailedError("not done in time")
        return event

    def kill(self) -> None:
        """Do nothing."""


def _said(name: str, argument: int) -> Event:
    return Event(name, {"argument": argument, "at": 2e18})


def test_a_drain_that_ran_other_tasks_is_refused() -> None:
    """Tasks that ran twice do not stand for those that did not run."""
    count = SIZES.tasks
    done = {"tasks": count, "distinct": count - 1, "first": 1e18, "last": 2e18, "cpu_s": 1.0}
    stand = FakeStand([Event("done", done)])

    with pytest.raises(WrongCountError, match=f"ran {count} tasks, but {count - 1} of {count}"):
        MEASURES["drain_noop"].take(stand, OURS)  # type: ignore[arg-type]  # a fake


def test_recovery_counts_what_ran_again_and_what_ended_twice() -> None:
    """A task that starts again is recovered; one that ends two times is counted apart."""
    first = [_said("start", n) for n in range(SIZES.held)]
    second = [_said("start", n) for n in range(SIZES.held - 1)]
    second += [_said("end", 0), _said("end", 1), _said("end", 0)]

    figures = MEASURES["recovery"].take(FakeStand(first, second), OURS)  # type: ignore[arg-type]  # a fake

    assert SIZES.held == figures["tasks"]
    assert SIZES.held - 1 == figures["recovered"]
    assert figures["ended_twice"] == 1


def test_recovery_of_nothing_has_no_times() -> None:
    """Where no task runs again within the limit, there is no time to show."""
    first = [_said("start", n) for n in range(SIZES.held)]

    figures = MEASURES["recovery"].take(FakeStand(first, []), OURS)  # type: ignore[arg-type]  # a fake

    assert figures["recovered"] == 0
    assert "last_s" not in figures
