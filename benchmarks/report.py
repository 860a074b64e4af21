"""Writes the tables and plots of a page from results: nothing there is written by hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from benchmarks import tables
from benchmarks.catalog import SYSTEMS
from benchmarks.measures import measures
from benchmarks.sizes import PROFILES

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.results import Results

BEGIN: Final = "<!-- begin results: written by python -m benchmarks report -->"
END: Final = "<!-- end results -->"


class PageError(Exception):
    """The page has no place for the results."""


def report(results: Results, page: Path) -> None:
    """Put tables and plots into *page*, and the figures and plots into the directory beside it."""
    from benchmarks import plots  # noqa: PLC0415 - only this needs matplotlib

    directory = page.with_suffix("")
    drawn = list(plots.draw(results, directory))
    pictures = [f"![{title}]({directory.name}/{name})" for name, title in drawn]
    write(results, page, "\n\n".join(pictures))


def write(results: Results, page: Path, pictures: str) -> None:
    """Put tables and *pictures* into *page*, and ``results.json`` into the directory beside it.

    Raises:
        PageError: If the page lacks one of the two marks. Nothing was written.
    """
    text = page.read_text("utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise PageError(f"{page} must hold the lines {BEGIN!r} and {END!r}")
    link = f"All figures: [results.json]({page.stem}/results.json)."
    content = "\n\n".join(part for part in (tables.page(results), pictures, link) if part)
    directory = page.with_suffix("")
    directory.mkdir(parents=True, exist_ok=True)
    figures = json.dumps(summary(results), indent=1, ensure_ascii=False) + "\n"
    (directory / "results.json").write_text(figures, "utf-8")
    page.write_text(f"{before}{begin}\n\n{content}\n\n{end}{after}", "utf-8")


def summary(results: Results) -> dict[str, object]:
    """Return what ran where, and every figure's median, least and greatest."""
    profile = PROFILES[str(results.header["profile"])]
    measured: dict[str, dict[str, object]] = {}
    for measure in measures(profile):
        for system in SYSTEMS:
            found: object = results.spreads(measure.name, system.name)
            found = found or results.gap(measure.name, system.name)
            if found:
                measured.setdefault(measure.name, {})[system.name] = found
    return {"run": results.header, "results": measured}
