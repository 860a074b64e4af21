"""A broker that records what it is asked, and fails or answers as a test says."""

from __future__ import annotations

import dataclasses
import math
from collections import defaultdict, deque
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

import anyio

from headrace._broker.values import Applied, Dequeued, Extended, Forwarded, Placed, Recovered
from headrace._errors import BrokerError, HeadraceError
from headrace._task import TaskInfo, TaskState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from headrace._audit import Finding
    from headrace._broker.base import Broker, LeaseGuard
    from headrace._broker.values import AggregationSet, Finish, GroupLimits, Lease, Placement
    from headrace._limits import QueueLimits

__all__ = ["Call", "FakeBroker", "FakeGuard"]

T = TypeVar("T")
OUTAGE = BrokerError("Redis did not answer")


class Clocks(Protocol):
    """What the broker needs of `tests.support.virtual_time.VirtualTime`."""

    @property
    def now(self) -> float:
        """The loop's time."""
        ...

    def time(self) -> float:
        """Return the wall time."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    """One call: when, in loop time, what, and with which arguments."""

    at: float
    method: str
    args: tuple[object, ...]


@dataclasses.dataclass(slots=True)
class _Fault:
    method: str
    error: Exception
    queue: str | None
    times: float
    until: float


class FakeBroker:
    """Answers every call with a harmless default, unless a test says otherwise.

    Attributes:
        calls: What was asked, oldest first.
        latency: Seconds from the question to Redis, and the same for the answer.
        answer_delay: Seconds that the answer takes in addition.
        clock_offset: Seconds that Redis's clock is ahead of the test's wall clock.
    """

    address = "fake:"

    def __init__(self, clocks: Clocks) -> None:
        self._clocks = clocks
        self.calls: list[Call] = []
        self.latency = 0.0
        self.answer_delay = 0.0
        self.clock_offset = 0.0
        self._faults: list[_Fault] = []
        self._answers: defaultdict[str, deque[object]] = defaultdict(deque)

    # --- For the test ----------------------------------------------------------------------

    def fail(
        self,
        method: str = "*",
        *,
        error: Exception = OUTAGE,
        queue: str | None = None,
        times: float = math.inf,
        until: float = math.inf,
    ) -> None:
        """Raise *error* from *method* ("*": from all).

        Args:
            method: Name of a method.
            error: What to raise.
            queue: Fail for this queue only; None: for all.
            times: Fail so often.
            until: Fail before this loop time.
        """
        self._faults.append(_Fault(method, error, queue, times, until))

    def heal(self) -> None:
        """Let nothing fail any more."""
        self._faults.clear()

    def answer(self, method: str, *answers: object) -> None:
        """Have the next calls of *method* return, or raise, these; then the default again.

        What `aggregate` is given is returned even if it is an error, as the protocol says.
        """
        self._answers[method].extend(answers)

    def called(self, method: str) -> list[Call]:
        """Return the calls of *method*."""
        return [call for call in self.calls if call.method == method]

    def called_at(self, method: str) -> list[float]:
        """Return the loop times at which *method* was called."""
        return [call.at for call in self.called(method)]

    def redis_time(self) -> float:
        """Return what Redis's clock shows."""
        return self._clocks.time() + self.clock_offset

    # --- How every call goes ---------------------------------------------------------------

    async def _call(self, method: str, *args: object, default: T) -> T:
        self.calls.append(Call(self._clocks.now, method, args))
        await anyio.sleep(self.latency)
        self._maybe_fail(method, args)
        result = default
        if self._answers[method]:
            answer = self._answers[method].popleft()
            if isinstance(answer, Exception) and not isinstance(default, Placed):
                raise answer
            result = cast("T", answer)
        if isinstance(result, Forwarded):
            result = cast("T", dataclasses.replace(result, now=self.redis_time()))
        await anyio.sleep(self.latency + self.answer_delay)
        return result

    def _maybe_fail(self, method: str, args: tuple[object, ...]) -> None:
        for fault in self._faults:
            if fault.method not in {"*", method} or self._clocks.now >= fault.until:
                continue
            if fault.queue is not None and args[:1] != (fault.queue,):
                continue
            if fault.times > 0:
                fault.times -= 1
                raise fault.error

    # --- Enqueue ---------------------------------------------------------------------------

    async def enqueue(self, placements: Sequence[Placement]) -> list[Placed | HeadraceError]:
        """Place everything."""
        placed: list[Placed | HeadraceError] = [Placed(TaskState.PENDING, 0.0) for _ in placements]
        return await self._call("enqueue", placements, default=placed)

    async def get_task(self, queue: str, task_id: str) -> TaskInfo | None:
        """Know no task."""
        missing: TaskInfo | None = None
        return await self._call("get_task", queue, task_id, default=missing)

    async def request_cancel(self, queue: str, task_id: str) -> bool:
        """Find nobody who runs it."""
        return await self._call("request_cancel", queue, task_id, default=False)

    # --- Processor and finisher ------------------------------------------------------------

    async def dequeue(
        self, quotas: Mapping[str, int], *, token: str, lease_duration: float
    ) -> Dequeued:
        """Have no tasks."""
        nothing = Dequeued((), self.redis_time(), exhausted=frozenset(quotas))
        return await self._call("dequeue", dict(quotas), token, lease_duration, default=nothing)

    async def taken_by(self, queues: Sequence[str], *, token: str) -> Dequeued:
        """Find nothing."""
        nothing = Dequeued((), self.redis_time())
        return await self._call("taken_by", tuple(queues), token, default=nothing)

    async def wait_for_pending(
        self, queues: Sequence[str], *, timeout: float, poll_interval: float
    ) -> None:
        """Wait in vain."""
        await self._call("wait_for_pending", tuple(queues), timeout, poll_interval, default=None)
        await anyio.sleep(timeout)

    async def finish(self, finishes: Sequence[Finish], *, repeat: bool = False) -> list[Applied]:
        """Apply everything. A fault's queue is that of the first."""
        queue = finishes[0].lease.queue if finishes else ""
        applied = [Applied.APPLIED] * len(finishes)
        return await self._call("finish", queue, list(finishes), repeat, default=applied)

    async def annotate(self, lease: Lease, field: str, value: bytes) -> bool:
        """Write it."""
        return await self._call("annotate", lease, field, value, default=True)

    # --- Heartbeat -------------------------------------------------------------------------

    async def extend(self, leases: Sequence[Lease], duration: float) -> Extended:
        """Extend everything."""
        kept = Extended(lost=frozenset(), cancelled=frozenset())
        return await self._call("extend", list(leases), duration, default=kept)

    async def write_server(
        self, server_key: str, info: bytes, workers: Mapping[str, bytes], ttl: float
    ) -> None:
        """Accept it."""
        await self._call("write_server", server_key, info, dict(workers), ttl, default=None)

    async def clear_server(self, server_key: str) -> None:
        """Accept it."""
        await self._call("clear_server", server_key, default=None)

    def lease_guard(self) -> LeaseGuard | None:
        """Have none."""
        return None

    # --- Upkeep ----------------------------------------------------------------------------

    async def forward(self, queue: str) -> Forwarded:
        """Find nothing due. Redis's time is filled in, also in a test's answers."""
        return await self._call("forward", queue, default=Forwarded(moved=0, now=0.0))

    async def recover(self, queue: str, *, max_crashes: int) -> Recovered:
        """Find nothing abandoned."""
        return await self._call(
            "recover", queue, max_crashes, default=Recovered(requeued=(), poisoned=())
        )

    async def expire_completed(self, queue: str, limit: int) -> int:
        """Find nothing."""
        return await self._call("expire_completed", queue, limit, default=0)

    async def trim_archive(self, queue: str, limit: int) -> int:
        """Find nothing."""
        return await self._call("trim_archive", queue, limit, default=0)

    async def ping(self) -> None:
        """Answer."""
        await self._call("ping", default=None)

    async def cancellations(self) -> AsyncIterator[str]:
        """Yield the next answer, a sequence of IDs, then wait for ever or raise its error."""
        requests = await self._call("cancellations", default=cast("Sequence[object]", ()))
        for request in requests:
            if isinstance(request, Exception):
                raise request
            if isinstance(request, float):
                await anyio.sleep(request)
            else:
                yield str(request)
        await anyio.sleep_forever()

    # --- Groups ----------------------------------------------------------------------------

    async def groups(self, queue: str) -> Sequence[str]:
        """Have none."""
        return await self._call("groups", queue, default=cast("Sequence[str]", ()))

    async def check_group(
        self, queue: str, group: str, set_id: str, limits: GroupLimits
    ) -> AggregationSet | None:
        """Find it not ripe."""
        unripe: AggregationSet | None = None
        return await self._call("check_group", queue, group, set_id, limits, default=unripe)

    async def aggregate(
        self, taken: AggregationSet, placement: Placement, *, repeat: bool = False
    ) -> Placed | HeadraceError:
        """Write it."""
        placed: Placed | HeadraceError = Placed(TaskState.PENDING, 0.0)
        return await self._call("aggregate", taken, placement, repeat, default=placed)

    async def reclaim(self, queue: str) -> int:
        """Find no set past its deadline."""
        return await self._call("reclaim", queue, default=0)

    # --- Reconcile -------------------------------------------------------------------------

    async def claim_reconcile(self, queue: str, seconds: float) -> bool:
        """Have nothing to reconcile."""
        return await self._call("claim_reconcile", queue, seconds, default=False)

    async def reconcile(
        self, queue: str, *, lease_duration: float, max_crashes: int
    ) -> AsyncIterator[Sequence[Finding]]:
        """Find nothing."""
        nothing: Sequence[Finding] = ()
        yield await self._call("reconcile", queue, lease_duration, max_crashes, default=nothing)

    # --- Limits ----------------------------------------------------------------------------

    async def set_limits(self, queue: str, limits: QueueLimits | None) -> None:
        """Accept them."""
        await self._call("set_limits", queue, limits, default=None)

    # --- The whole -------------------------------------------------------------------------

    async def check_server(self, *, allow_eviction: bool) -> None:
        """Be suitable."""
        await self._call("check_server", allow_eviction, default=None)

    async def close(self) -> None:
        """Close nothing."""
        await self._call("close", default=None)


def _is_a_broker(broker: FakeBroker) -> Broker:
    """Have the type checker compare the fake with what it stands for."""
    return broker


class FakeGuard:
    """A lease guard that records; used from another thread, too."""

    def __init__(self) -> None:
        self.extended: list[tuple[list[Lease], float]] = []
        self.error: Exception | None = None
        self.closed = False

    def extend(self, leases: Sequence[Lease], duration: float) -> None:
        """Record it, or fail with *error*."""
        if self.error is not None:
            raise self.error
        self.extended.append((list(leases), duration))

    def close(self) -> None:
        """Record it."""
        self.closed = True
