"""Workers of both languages on one queue, killed and started anew; and what became of the tasks."""

from __future__ import annotations

import dataclasses
import signal
from collections import Counter
from typing import TYPE_CHECKING, Protocol

from headrace._broker.keys import QueueKeys
from tests.interop.waiting import PATIENCE
from tests.support.invariants import look

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping, Sequence

    from tests.support.processes import Event, Journal
    from tests.support.wire import RawClient

__all__ = ["Herd", "Run", "Worker", "end_foreign_leases", "extra_runs", "runs_of"]

QUEUE = "default"


class Worker(Protocol):
    """A process that works."""

    @property
    def pid(self) -> int:
        """Its process ID."""
        ...

    def send(self, signum: signal.Signals) -> object:
        """Send it a signal."""
        ...

    def wait(self) -> int:
        """Wait until it has ended, and return its exit code."""
        ...


class Herd:
    """So many workers at any time.

    Args:
        starters: Each starts one worker.
        journal: What their handlers write.

    Attributes:
        killed: The processes that were killed, each with the kind of its worker.
    """

    def __init__(self, starters: Mapping[str, Callable[[], Worker]], journal: Journal) -> None:
        self._starters = starters
        self._journal = journal
        self._workers = {name: start() for name, start in starters.items()}
        self.killed: dict[int, str] = {}

    def kill(self, name: str) -> None:
        """Kill a worker with -9."""
        worker = self._workers.pop(name)
        worker.send(signal.SIGKILL)
        worker.wait()
        self.killed[worker.pid] = name

    def start(self, name: str) -> None:
        """Start one in the place of a worker that was killed."""
        self._workers[name] = self._starters[name]()

    def kill_all_along(self, rng: random.Random, total: int, every: int) -> None:
        """Kill one of them after *every* tasks that end, until all *total* tasks have ended."""
        for count in range(every, total, every):
            self.until_ended(count)
            name = rng.choice(sorted(self._workers))
            self.kill(name)
            self.start(name)
        self.until_ended(total)

    def until_ended(self, count: int) -> None:
        """Wait until so many tasks have ended."""
        self._journal.until("end", count, distinct=True, timeout=PATIENCE)

    def stop(self) -> None:
        """Let all of them end; one that starts just now is waited for, to heed the signal."""
        for worker in self._workers.values():
            self._journal.until("ready", pid=worker.pid, timeout=PATIENCE)
            worker.send(signal.SIGTERM)
        assert {0} == {worker.wait() for worker in self._workers.values()}


async def end_foreign_leases(raw: RawClient) -> int:
    """Have the leases of asynq's servers, all of which are dead, end now; return how many."""
    snapshot = await look(raw, QUEUE)
    foreign = [one for one in snapshot.scores("lease") if not snapshot.holds_own_lease(one)]
    for task_id in foreign:
        await raw.execute_command("ZADD", QueueKeys(QUEUE).lease, "XX", 1, task_id)
    return len(foreign)


# --- What became of them -------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """One run of a task's handler."""

    pid: int
    end: str
    """``end``, ``cancelled``, or ``none`` if the process noted neither."""


def runs_of(journal: Journal) -> dict[str, list[Run]]:
    """Return the runs of each task, in the order in which they began."""
    ends: dict[tuple[str, int], list[Event]] = {}
    for kind in ("end", "cancelled"):
        for event in journal.events(kind):
            ends.setdefault((event.task, event.pid), []).append(event)
    runs: dict[str, list[Run]] = {}
    for begin in sorted(journal.events("begin"), key=lambda event: event.at):
        mine = sorted(ends.get((begin.task, begin.pid), []), key=lambda event: event.at)
        later = [event for event in mine if event.at >= begin.at]
        runs.setdefault(begin.task, []).append(Run(begin.pid, later[0].kind if later else "none"))
    return runs


def extra_runs(runs: Mapping[str, Sequence[Run]], killed: Mapping[int, str]) -> Counter[str]:
    """Return why tasks ran more often than once, and how many runs each reason cost."""
    reasons: Counter[str] = Counter()
    for task_runs in runs.values():
        for earlier in task_runs[:-1]:
            reasons[_why_again(earlier, killed)] += 1
    return reasons


def _why_again(earlier: Run, killed: Mapping[int, str]) -> str:
    """Return why a run was not a task's last one."""
    kind = killed.get(earlier.pid)
    if kind is None:
        return "its lease was lost" if earlier.end == "cancelled" else "unexplained"
    language = kind.split()[0]
    if earlier.end == "none":
        return f"its {language} worker was killed while it ran"
    return f"its {language} worker was killed before it could write that it had ended"
