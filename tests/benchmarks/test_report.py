"""The report: figures become tables and targets, and nothing else on the page changes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from benchmarks.results import Record
from benchmarks.targets import targets

from benchmarks import report, tables

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.results import Results


def _measured(results: Results, measure: str, system: str, **figures: float) -> None:
    results.add(Record(measure=measure, system=system, repetition=0, figures=figures))


@pytest.fixture
def filled(results: Results) -> Results:
    """A drain of three systems: Headrace twice as fast as Go, and four times as the peer."""
    results.describe({"profile": "smoke", "sizes": {"pending": [10, 100], "active": [5, 20]}})
    _measured(results, "drain_noop", "headrace", tasks_per_s=20_000, worker_cpu_us=40)
    _measured(results, "drain_noop", "asynq", tasks_per_s=10_000, worker_cpu_us=60)
    _measured(results, "drain_noop", "arq", tasks_per_s=5_000, worker_cpu_us=200)
    _measured(results, "drain_noop", "rq", tasks_per_s=500, worker_cpu_us=900)
    return results


def test_targets_compare_with_the_best_peer(filled: Results) -> None:
    """Each target is of the medians of one run; the best Python peer is the one to beat."""
    assert [
        ("drain, no-op", "asynq (Go)", 2.0, True),
        ("drain, no-op", "arq", 4.0, False),
        ("worker CPU a task", "arq", 0.2, True),
    ] == [(t.about, t.whose, t.ratio, t.is_reached) for t in targets(filled)]


def test_a_larger_load_is_compared_with_the_least(filled: Results) -> None:
    """Throughput with many pending tasks is compared with that with few, of the same system."""
    _measured(filled, "pending_10", "headrace", tasks_per_s=1_000)
    _measured(filled, "pending_100", "headrace", tasks_per_s=800)

    target = targets(filled)[-1]

    assert ("drain with 100 pending", 0.8, False) == (
        target.about,
        target.ratio,
        target.is_reached,
    )


@pytest.mark.parametrize(
    ("recovered", "last", "reached"), [(5, 16.0, True), (5, 21.0, False), (4, 16.0, False)]
)
def test_recovery_is_of_all_tasks(
    results: Results, recovered: int, last: float, *, reached: bool
) -> None:
    """A task that did not run again fails the target, however fast the others were."""
    _measured(results, "recovery", "headrace", tasks=5, recovered=recovered, last_s=last)

    assert [reached] == [target.is_reached for target in targets(results)]


def test_tables_say_why_a_figure_is_missing(filled: Results) -> None:
    """What was not measured is marked, with its reason below the table."""
    filled.add(
        Record(measure="enqueue_bulk", system="arq", repetition=0, not_supported="has no call")
    )

    text = tables.page(filled)

    assert "| arq | 5,000 | 200 |" in text
    assert "| not supported |" in text
    assert "- arq, `enqueue_bulk`: not supported: has no call" in text


def test_numbers_show_the_digits_that_count() -> None:
    """Three digits, more only before the point; and both ends where there are several values."""
    assert ["20,000", "12.3", "0.05", "0"] == [
        tables.number(value) for value in (20_000.4, 12.34, 0.05, 0)
    ]
    assert tables.spread({"median": 2.0, "min": 1.0, "max": 3.5}) == "2 (1–3.5)"  # noqa: RUF001


def test_a_page_keeps_what_is_not_generated(filled: Results, tmp_path: Path) -> None:
    """Only what lies between the marks is replaced, as often as it is done."""
    page = tmp_path / "page.md"
    page.write_text(f"# Before\n\n{report.BEGIN}\nold\n{report.END}\n\nAfter\n", "utf-8")

    report.write(filled, page, "![a plot](page/plot.svg)")
    once = page.read_text("utf-8")
    report.write(filled, page, "![a plot](page/plot.svg)")

    assert once == page.read_text("utf-8")
    assert once.startswith("# Before\n")
    assert once.endswith("\n\nAfter\n")
    assert "![a plot](page/plot.svg)" in once
    assert "old" not in once
    figures = json.loads((tmp_path / "page" / "results.json").read_text("utf-8"))
    assert figures["results"]["drain_noop"]["headrace"]["tasks_per_s"]["median"] == 20_000


def test_a_page_without_marks_is_left_alone(filled: Results, tmp_path: Path) -> None:
    """Without a place for the results nothing is written."""
    page = tmp_path / "page.md"
    page.write_text("# Only text\n", "utf-8")

    with pytest.raises(report.PageError, match="must hold the lines"):
        report.write(filled, page, "")

    assert ["page.md", "results.jsonl"] == sorted(path.name for path in tmp_path.iterdir())


def test_plots_are_drawn_where_there_are_figures(filled: Results, tmp_path: Path) -> None:
    """A plot that has no data is left out."""
    pytest.importorskip("matplotlib", reason="draws the plots; nox -s bench installs it")
    from benchmarks import plots  # noqa: PLC0415 - needs matplotlib

    drawn = {name for name, _ in plots.draw(filled, tmp_path / "plots")}

    assert drawn == {"drain.svg", "worker-cpu.svg"}
    assert drawn == {path.name for path in (tmp_path / "plots").iterdir()}
