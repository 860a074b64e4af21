"""How much each profile measures."""

from __future__ import annotations

import dataclasses
from typing import Final


@dataclasses.dataclass(frozen=True, slots=True)
class Sizes:
    """Counts of tasks, and seconds.

    Attributes:
        repetitions: How often each measure is taken, unless it is one of those taken once.
        enqueued: Tasks enqueued concurrently and in bulk; one by one a quarter of them.
        tasks: No-op tasks of a drain.
        resting: Tasks of a drain that sleep for 10 ms.
        samples: Tasks of which the pick-up is timed.
        scheduled: Tasks of which the punctuality is timed.
        held: Tasks that run when the worker is killed.
        hold: Seconds that they take.
        recovery_limit: Seconds after which a task that has not run again counts as lost.
        remembered: Tasks after which the worker's memory is looked at.
        settle: Seconds after which a worker that started counts as idle.
        watched: Seconds for which the commands of an idle worker are counted.
        scaled: Tasks drained while others are pending.
        lasting: Tasks drained while others are active. In the full profile that takes longer
            than the heartbeats of the systems are apart, which cost the more the more is active.
        pending: Numbers of tasks that wait behind those.
        active: Numbers of tasks that run beside those.
        pings: Round trips by which the proxy is calibrated; what it can carry is measured with a
            hundred times as many commands.
        limit: Seconds that one worker may take.
    """

    repetitions: int
    enqueued: int
    tasks: int
    resting: int
    samples: int
    scheduled: int
    held: int
    hold: float
    recovery_limit: float
    remembered: int
    settle: float
    watched: float
    scaled: int
    lasting: int
    pending: tuple[int, ...]
    active: tuple[int, ...]
    pings: int
    limit: float


PROFILES: Final = {
    "full": Sizes(
        repetitions=3,
        enqueued=20_000,
        tasks=20_000,
        resting=5_000,
        samples=300,
        scheduled=200,
        held=100,
        hold=5.0,
        recovery_limit=200.0,
        remembered=100_000,
        settle=2.0,
        watched=20.0,
        scaled=20_000,
        lasting=100_000,
        pending=(1_000, 100_000, 1_000_000),
        active=(10, 1_000, 10_000),
        pings=500,
        limit=600.0,
    ),
    "quick": Sizes(
        repetitions=1,
        enqueued=1_000,
        tasks=1_000,
        resting=500,
        samples=30,
        scheduled=25,
        held=20,
        hold=2.0,
        recovery_limit=30.0,
        remembered=2_000,
        settle=1.0,
        watched=5.0,
        scaled=1_000,
        lasting=1_000,
        pending=(1_000, 10_000),
        active=(10, 100),
        pings=300,
        limit=60.0,
    ),
    "smoke": Sizes(
        repetitions=1,
        enqueued=40,
        tasks=40,
        resting=40,
        samples=5,
        scheduled=5,
        held=5,
        hold=0.5,
        recovery_limit=40.0,
        remembered=50,
        settle=0.1,
        watched=0.5,
        scaled=50,
        lasting=50,
        pending=(10, 100),
        active=(5, 20),
        pings=30,
        limit=50.0,
    ),
}
