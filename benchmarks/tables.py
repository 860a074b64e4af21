"""Results as tables in Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from benchmarks.catalog import ASYNQ, BY_NAME, HEADRACE, SYSTEMS
from benchmarks.targets import targets

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from benchmarks.results import Results, Spread


class Column(NamedTuple):
    """A figure of a measure, and what stands above it."""

    measure: str
    figure: str
    heading: str


class Table(NamedTuple):
    """One table with a line for each system."""

    heading: str
    columns: tuple[Column, ...]


TABLES: Final = (
    Table(
        "Draining a queue",
        (
            Column("drain_noop", "tasks_per_s", "no-op tasks/s"),
            Column("drain_noop", "worker_cpu_us", "worker CPU µs a task"),
            Column("drain_noop", "redis_cpu_us", "Redis CPU µs a task"),
            Column("drain_rest", "tasks_per_s", "10 ms tasks/s"),
        ),
    ),
    Table(
        "Draining a queue, with Redis 1 ms away",
        (
            Column("drain_noop_delayed", "tasks_per_s", "no-op tasks/s"),
            Column("drain_noop_delayed", "worker_cpu_us", "worker CPU µs a task"),
            Column("drain_rest_delayed", "tasks_per_s", "10 ms tasks/s"),
        ),
    ),
    Table(
        "Enqueueing",
        (
            Column("enqueue_one", "tasks_per_s", "one by one, tasks/s"),
            Column("enqueue_concurrent", "tasks_per_s", "100 at a time, tasks/s"),
            Column("enqueue_bulk", "tasks_per_s", "in bulk, tasks/s"),
            Column("enqueue_concurrent", "producer_cpu_us", "100 at a time, CPU µs a task"),
            Column("enqueue_concurrent", "redis_cpu_us", "100 at a time, Redis CPU µs a task"),
        ),
    ),
    Table(
        "Latency",
        (
            Column("pick_up", "p50_ms", "idle pick-up, p50 ms"),
            Column("pick_up", "p95_ms", "p95 ms"),
            Column("pick_up", "p99_ms", "p99 ms"),
            Column("pick_up", "machine_p99_ms", "a mere pause, p99 ms late"),
            Column("punctuality", "p50_ms", "scheduled, p50 ms late"),
            Column("punctuality", "p99_ms", "p99 ms late"),
        ),
    ),
    Table(
        "The worker's process",
        (
            Column("startup", "import_ms", "import, ms"),
            Column("startup", "start_ms", "start to first task, ms"),
            Column("memory", "idle_mb", "memory idle, MB"),
            Column("memory", "after_all_mb", "after all tasks, MB"),
            Column("idle", "commands_per_s", "idle commands/s"),
            Column("idle", "worker_cpu_percent", "idle CPU, %"),
        ),
    ),
    Table(
        "After kill -9",
        (
            Column("recovery", "tasks", "tasks that ran"),
            Column("recovery", "recovered", "ran again"),
            Column("recovery", "first_s", "the first after, s"),
            Column("recovery", "last_s", "the last after, s"),
            Column("recovery", "ended_twice", "ended twice"),
        ),
    ),
)


def page(results: Results) -> str:
    """Return all tables."""
    parts = [_run(results), "## Targets\n", *_targets(results)]
    for table in TABLES:
        parts += [f"\n## {table.heading}\n", *_table(results, table)]
    parts += ["\n## With many tasks pending or active\n", *_scale(results)]
    parts += ["\n## Systems\n", *_systems(results)]
    return "\n".join(parts) + "\n"


def number(value: float) -> str:
    """Return *value* with about three digits that count."""
    for least, digits in ((100, 0), (10, 1)):
        if abs(value) >= least:
            return f"{value:,.{digits}f}"
    return f"{value:.2f}".rstrip("0").rstrip(".") if value else "0"


def spread(values: Spread) -> str:
    """Return a median, with the least and the greatest where they differ."""
    if values["min"] == values["max"]:
        return number(values["median"])
    return f"{number(values['median'])} ({number(values['min'])}–{number(values['max'])})"  # noqa: RUF001 - a dash between numbers


def _rows(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(heading) + " |"
    yield "|" + "---|" * len(heading)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"


def _table(results: Results, table: Table) -> Iterator[str]:
    rows, notes = [], {}
    for system in SYSTEMS:
        cells = []
        for column in table.columns:
            values = results.spreads(column.measure, system.name).get(column.figure)
            gap = results.gap(column.measure, system.name)
            if values is None and gap:
                notes[column.measure, system.title] = gap
            cells.append(spread(values) if values else gap.partition(":")[0] or "—")
        if any(cell != "—" for cell in cells):
            rows.append([system.title, *cells])
    yield from _rows(["system", *(column.heading for column in table.columns)], rows)
    if notes:
        yield ""
        for (measure, title), gap in notes.items():
            first = gap.splitlines()[0]
            yield f"- {title}, `{measure}`: {first}"


def _targets(results: Results) -> Iterator[str]:
    yield from _rows(
        ["measure", "Headrace", "compared with", "ratio", "wanted", "reached"],
        (
            [
                target.about,
                f"{number(target.ours)} {target.unit}",
                f"{number(target.theirs)} {target.unit} ({target.whose})",
                f"{target.ratio:.2f}",
                f"{'≥' if target.at_least else '≤'} {target.factor:g}",
                "yes" if target.is_reached else "**no**",
            ]
            for target in targets(results)
        ),
    )


def _scale(results: Results) -> Iterator[str]:
    known = results.header.get("sizes")
    sizes = known if isinstance(known, dict) else {}
    rows = []
    for state in ("pending", "active"):
        for count in sizes.get(state, []):
            cells = [
                spread(values[figure]) if figure in values else "—"
                for system in (HEADRACE, ASYNQ)
                for values in [results.spreads(f"{state}_{count}", system)]
                for figure in ("tasks_per_s", "redis_cpu_us")
            ]
            rows.append([f"{count:,} {state}", *cells])
    titles = [BY_NAME[name].title for name in (HEADRACE, ASYNQ)]
    shown = ("tasks/s", "Redis CPU µs a task")
    columns = [f"{title}, {what}" for title in titles for what in shown]
    yield from _rows(["beside", *columns], rows)


def _systems(results: Results) -> Iterator[str]:
    known = results.header.get("versions")
    versions = known if isinstance(known, dict) else {}
    yield from _rows(
        ["system", "versions", "set up as"],
        (
            [
                system.title,
                ", ".join(f"{name} {number}" for name, number in versions[system.name].items()),
                system.setup,
            ]
            for system in SYSTEMS
            if system.name in versions
        ),
    )


def _run(results: Results) -> str:
    header = results.header
    machine = header.get("machine")
    described = machine if isinstance(machine, dict) else {}
    lines = [
        f"Measured on {header.get('date')}, profile `{header.get('profile')}`, "
        f"Redis {header.get('redis')}. "
        + ", ".join(f"{name}: {value}" for name, value in described.items())
        + ".",
    ]
    proxy = header.get("proxy")
    if isinstance(proxy, dict):
        lines.append(
            "The proxy: "
            + ", ".join(f"{name} {number(value)}" for name, value in proxy.items())
            + "."
        )
    return "\n".join(lines) + "\n"
