"""Results as plots (SVG), by matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import matplotlib as mpl

from benchmarks.catalog import ASYNQ, BY_NAME, HEADRACE, SYSTEMS
from benchmarks.tables import number

mpl.use("svg")
from matplotlib import pyplot as plt

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.results import Results

# The same results give the same files, byte for byte.
mpl.rcParams["svg.hashsalt"] = "headrace"
mpl.rcParams["svg.fonttype"] = "none"  # Text stays text.
OURS, THEIRS = "#c1440e", "#7a8b99"


class Plot(NamedTuple):
    """A plot with a bar for each system."""

    file: str
    measure: str
    figure: str
    title: str
    log: bool = False


PLOTS: Final = (
    Plot("drain", "drain_noop", "tasks_per_s", "No-op tasks a second, concurrency 100"),
    Plot(
        "drain-delayed",
        "drain_noop_delayed",
        "tasks_per_s",
        "No-op tasks a second, with Redis 1 ms away",
    ),
    Plot("worker-cpu", "drain_noop", "worker_cpu_us", "CPU time of the worker, µs a task"),
    Plot("redis-cpu", "drain_noop", "redis_cpu_us", "CPU time of Redis, µs a task that is run"),
    Plot("enqueue", "enqueue_concurrent", "tasks_per_s", "Tasks enqueued a second, 100 at a time"),
    Plot("pick-up", "pick_up", "p50_ms", "Idle pick-up, median in ms", log=True),
    Plot("memory", "memory", "after_all_mb", "Memory of the worker after its tasks, MB"),
)


def draw(results: Results, directory: Path) -> Iterator[tuple[str, str]]:
    """Write the plots that have data to *directory*, and yield the name and title of each."""
    directory.mkdir(parents=True, exist_ok=True)
    for plot in PLOTS:
        if _bars(results, plot, directory / f"{plot.file}.svg"):
            yield f"{plot.file}.svg", plot.title
    if _scale(results, directory / "scale.svg"):
        yield "scale.svg", "Throughput with many tasks pending or active"


def _save(path: Path) -> None:
    plt.tight_layout()
    plt.savefig(path, metadata={"Date": None})
    plt.close()


def _bars(results: Results, plot: Plot, path: Path) -> bool:
    found = [
        (values["median"], values["min"], values["max"], system)
        for system in SYSTEMS
        if (values := results.spreads(plot.measure, system.name).get(plot.figure))
    ]
    if not found:
        return False
    found.sort(key=lambda row: row[0])
    medians = [row[0] for row in found]
    _, axes = plt.subplots(figsize=(8, 0.36 * len(found) + 1.2))
    bars = axes.barh(
        [row[3].title for row in found],
        medians,
        xerr=[[row[0] - row[1] for row in found], [row[2] - row[0] for row in found]],
        color=[OURS if row[3].name == HEADRACE else THEIRS for row in found],
        log=plot.log,
    )
    axes.bar_label(bars, labels=[number(value) for value in medians], padding=4)
    axes.margins(x=0.15)
    axes.set_title(plot.title)
    axes.spines[["top", "right"]].set_visible(False)
    _save(path)
    return True


def _scale(results: Results, path: Path) -> bool:
    lines = list(_lines(results))
    if not lines:
        return False
    _, both = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True)
    for axes, state in zip(both, ("pending", "active"), strict=True):
        for name, its_state, points in lines:
            if state == its_state:
                counts, rates = zip(*points, strict=True)
                colour = OURS if name == HEADRACE else THEIRS
                axes.plot(counts, rates, "o-", color=colour, label=BY_NAME[name].title)
                axes.legend()
        axes.set_xscale("log")
        axes.set_xlabel(f"tasks {state}")
        axes.spines[["top", "right"]].set_visible(False)
    both[0].set_ylim(bottom=0)
    both[0].set_ylabel("tasks/s")
    _save(path)
    return True


def _lines(results: Results) -> Iterator[tuple[str, str, list[tuple[int, float]]]]:
    """Yield a system, a state, and the throughput at each number of tasks in that state."""
    known = results.header.get("sizes")
    sizes = known if isinstance(known, dict) else {}
    for state in ("pending", "active"):
        for name in (HEADRACE, ASYNQ):
            points = [
                (count, values["median"])
                for count in sizes.get(state, [])
                if (values := results.spreads(f"{state}_{count}", name).get("tasks_per_s"))
            ]
            if points:
                yield name, state, points
