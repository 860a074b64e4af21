"""What Headrace is to reach, against what was measured beside it in the same run."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from benchmarks.catalog import ASYNQ, BY_NAME, HEADRACE, SYSTEMS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.catalog import System
    from benchmarks.results import Results


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """One figure of Headrace, and what it is compared with.

    Attributes:
        about: What is compared.
        unit: Of both values.
        ours: Headrace's median.
        theirs: What it is compared with.
        whose: Whose that is.
        factor: How many times *theirs* is wanted.
        at_least: Whether more is better.
    """

    about: str
    unit: str
    ours: float
    theirs: float
    whose: str
    factor: float
    at_least: bool

    @property
    def ratio(self) -> float:
        """How many times *theirs* is reached."""
        return self.ours / self.theirs if self.theirs else float("inf")

    @property
    def is_reached(self) -> bool:
        """Whether that is enough, or little enough."""
        wanted = self.factor * self.theirs
        return self.ours >= wanted if self.at_least else self.ours <= wanted


def targets(results: Results) -> list[Target]:
    """Return every target of which both sides were measured."""
    compared = _Comparison(results)
    return [
        target
        for target in (
            *compared.throughput(),
            *compared.costs(),
            *compared.latency(),
            *compared.scale(),
            *compared.memory(),
            *compared.recovery(),
        )
        if target is not None
    ]


class _Comparison:
    def __init__(self, results: Results) -> None:
        self._results = results

    def _value(self, system: str, *figures: str) -> float | None:
        """Return the sum of the medians of *figures*, ``measure.figure``; None if one lacks."""
        total = 0.0
        for figure in figures:
            measure, _, name = figure.partition(".")
            spread = self._results.spreads(measure, system).get(name)
            if spread is None:
                return None
            total += spread["median"]
        return total

    def _best(self, figure: str, *, most: bool, in_loop: bool = False) -> tuple[str, float] | None:
        """Return the best Python peer's title and value."""
        found = [
            (value, system.title)
            for system in SYSTEMS
            if _is_rival(system, in_loop=in_loop)
            and (value := self._value(system.name, figure)) is not None
        ]
        if not found:
            return None
        value, title = max(found) if most else min(found)
        return title, value

    def _against_asynq(
        self, about: str, unit: str, factor: float, *figures: str, at_least: bool = True
    ) -> Target | None:
        ours, theirs = self._value(HEADRACE, *figures), self._value(ASYNQ, *figures)
        if ours is None or theirs is None:
            return None
        return Target(about, unit, ours, theirs, BY_NAME[ASYNQ].title, factor, at_least)

    def _against_best(
        self,
        about: str,
        unit: str,
        factor: float,
        figure: str,
        *,
        at_least: bool = True,
        in_loop: bool = False,
    ) -> Target | None:
        ours = self._value(HEADRACE, figure)
        best = self._best(figure, most=at_least, in_loop=in_loop)
        if ours is None or best is None:
            return None
        return Target(about, unit, ours, best[1], best[0], factor, at_least)

    def _at_most(self, about: str, unit: str, limit: float, figure: str) -> Target | None:
        ours = self._value(HEADRACE, figure)
        return None if ours is None else Target(about, unit, ours, limit, "limit", 1.0, False)  # noqa: FBT003

    def throughput(self) -> Iterator[Target | None]:
        unit = "tasks/s"
        yield self._against_asynq("drain, no-op", unit, 1.5, "drain_noop.tasks_per_s")
        yield self._against_best("drain, no-op", unit, 8, "drain_noop.tasks_per_s")
        figure = "drain_noop_delayed.tasks_per_s"
        yield self._against_asynq("drain, no-op, Redis 1 ms away", unit, 10, figure)
        figure = "enqueue_concurrent.tasks_per_s"
        yield self._against_best("enqueue 100 at a time", unit, 4, figure, in_loop=True)
        figure = "enqueue_one.tasks_per_s"
        yield self._against_best("enqueue one by one", unit, 1, figure, in_loop=True)
        yield self._against_best("enqueue in bulk", unit, 2.5, "enqueue_bulk.tasks_per_s")

    def costs(self) -> Iterator[Target | None]:
        both = ("enqueue_concurrent.redis_cpu_us", "drain_noop.redis_cpu_us")
        yield self._against_asynq(
            "Redis CPU a task, enqueue and run", "µs", 0.45, *both, at_least=False
        )
        figure = "drain_noop.worker_cpu_us"
        yield self._against_best("worker CPU a task", "µs", 0.25, figure, at_least=False)

    def latency(self) -> Iterator[Target | None]:
        yield self._against_best(
            "idle pick-up, median", "ms", 1.5, "pick_up.p50_ms", at_least=False
        )
        yield self._at_most("idle pick-up, 99th percentile", "ms", 5, "pick_up.p99_ms")
        yield self._at_most("punctuality, 99th percentile", "ms", 50, "punctuality.p99_ms")

    def scale(self) -> Iterator[Target | None]:
        """Compare the most that was measured with the least, both of Headrace."""
        known = self._results.header.get("sizes")
        sizes = known if isinstance(known, dict) else {}
        for state in ("pending", "active"):
            counts = sizes.get(state, [])
            if len(counts) < 2:  # noqa: PLR2004 - nothing to compare
                continue
            least, most = counts[0], counts[-1]
            ours = self._value(HEADRACE, f"{state}_{most}.tasks_per_s")
            base = self._value(HEADRACE, f"{state}_{least}.tasks_per_s")
            if ours is not None and base is not None:
                yield Target(
                    *(f"drain with {most:,} {state}", "tasks/s", ours, base),
                    *(f"with {least:,}", 0.9, True),
                )

    def memory(self) -> Iterator[Target | None]:
        yield self._at_most("worker memory, idle", "MB", 55, "memory.idle_mb")
        ours = self._value(HEADRACE, "memory.after_all_mb")
        for figure, whose in [("idle_mb", "idle"), ("after_a_tenth_mb", "after a tenth of them")]:
            base = self._value(HEADRACE, f"memory.{figure}")
            if ours is not None and base is not None:
                about = "worker memory, after all tasks"
                yield Target(about, "MB", ours, base, whose, 1.05, at_least=False)

    def recovery(self) -> Iterator[Target | None]:
        tasks, recovered = (
            self._value(HEADRACE, f"recovery.{figure}") for figure in ("tasks", "recovered")
        )
        if tasks == recovered:
            yield self._at_most("all tasks run again after kill -9", "s", 20, "recovery.last_s")
        elif tasks is not None and recovered is not None:
            yield Target("tasks run again after kill -9", "", recovered, tasks, "all", 1, True)  # noqa: FBT003


def _is_rival(system: System, *, in_loop: bool) -> bool:
    return system.is_peer and (system.in_loop or not in_loop)
