"""The aggregator: ripe groups become one task, whatever the user's function does."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, cast

import anyio
import pytest
from anyio.lowlevel import checkpoint

from headrace._broker.values import GroupLimits
from headrace._errors import BrokerError, TaskIdConflictError
from headrace._task import Task
from headrace._worker.aggregator import Aggregator
from tests.worker.helpers import lines, rounded, run_for, taken, written

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from headrace._config import GroupAggregator
    from headrace._log import RateLimitedLog
    from tests.support.fake_broker import FakeBroker
    from tests.support.virtual_time import VirtualTime

    Make = Callable[..., Aggregator]

LIMITS = GroupLimits(grace_period=60.0, max_delay=0.0, max_size=0)


async def joined(group: str, tasks: Sequence[Task]) -> Task:
    """Aggregate in the event loop."""
    await checkpoint()
    return Task(f"all:{group}", b",".join(task.payload for task in tasks))


@pytest.fixture
def make(broker: FakeBroker, log: RateLimitedLog, rng: random.Random) -> Make:
    """Returns an aggregator with the given function."""

    def make(aggregate: GroupAggregator = joined, limits: GroupLimits = LIMITS) -> Aggregator:
        return Aggregator(
            broker, queues=("a",), limits=limits, aggregate=aggregate, log=log, rng=rng
        )

    return make


async def test_ripe_group_becomes_a_task(make: Make, broker: FakeBroker) -> None:
    """The function gets the group's tasks, oldest first; its task goes to the same queue."""
    broker.answer("groups", ["g"])
    broker.answer("check_group", taken())
    await make().aggregate()
    [placement] = written(broker)

    assert placement.message.type == "all:g"
    assert placement.message.payload == b"0,1"
    assert placement.message.queue == "a"
    assert placement.message.group_key == ""
    assert broker.called("aggregate")[0].args[0] == taken()


async def test_unripe_group_is_left_alone(make: Make, broker: FakeBroker) -> None:
    """The broker decides by the limits; the function is not called."""
    broker.answer("groups", ["g"])
    await make().aggregate()
    [check] = broker.called("check_group")

    assert (check.args[0], check.args[1], check.args[3]) == ("a", "g", LIMITS)
    assert written(broker) == []


async def test_every_check_has_a_set_of_its_own(make: Make, broker: FakeBroker) -> None:
    """The IDs of sets are random, drawn from the injected source, and never repeat."""
    broker.answer("groups", [str(number) for number in range(20)])
    await make().aggregate()
    set_ids = {str(call.args[2]) for call in broker.called("check_group")}

    assert len(set_ids) == 20


async def test_all_sets_of_a_group_are_taken(make: Make, broker: FakeBroker) -> None:
    """A group with more tasks than fit into one set is asked again at once."""
    broker.answer("groups", ["g"])
    broker.answer("check_group", taken(count=3), taken(count=1))
    await make().aggregate()

    assert [placement.message.payload for placement in written(broker)] == [b"0,1,2", b"0"]
    assert len(broker.called("check_group")) == 3


async def test_options_of_the_task_count(make: Make, broker: FakeBroker) -> None:
    """Every option of enqueue works, but for the queue and the group."""
    broker.answer("groups", ["g"])
    broker.answer("check_group", taken())

    async def aggregate(_group: str, _tasks: Sequence[Task]) -> Task:
        return Task(
            "all", b"x", queue="a", task_id="one", max_retry=2, timeout=9, retention=8,
            unique=60, process_in=5, headers={"k": "v"},
        )  # fmt: skip

    await make(aggregate).aggregate()
    [placement] = written(broker)
    message = placement.message

    assert (message.id, message.max_retry, message.timeout, message.retention) == ("one", 2, 9, 8)
    assert message.headers == {"k": "v"}
    assert (placement.process_in, placement.unique_ttl) == (5.0, 60)
    assert message.unique_key.startswith("asynq:{a}:unique:all:")


async def test_plain_function_runs_in_a_thread(
    make: Make, broker: FakeBroker, virtual_time: VirtualTime
) -> None:
    """A function that blocks does not block the event loop."""
    broker.answer("groups", ["g"])
    broker.answer("check_group", taken())
    threads = []

    def aggregate(group: str, tasks: Sequence[Task]) -> Task:
        threads.append(threading.current_thread())
        return Task(group, b"%d" % len(tasks))

    with virtual_time.hold():
        await make(aggregate).aggregate()

    assert threads != [threading.main_thread()]
    assert written(broker)[0].message.payload == b"2"


async def test_callable_objects_may_be_async(make: Make, broker: FakeBroker) -> None:
    """An object with an async __call__ is awaited in the event loop."""
    broker.answer("groups", ["g"])
    broker.answer("check_group", taken())
    threads = []

    class Aggregate:
        async def __call__(self, group: str, _tasks: Sequence[Task]) -> Task:
            threads.append(threading.current_thread())
            return Task(group)

    await make(Aggregate()).aggregate()

    assert threads == [threading.main_thread()]
    assert written(broker)[0].message.type == "g"


async def test_failing_function_is_logged(
    make: Make, broker: FakeBroker, caplog: pytest.LogCaptureFixture
) -> None:
    """Its traceback is logged, other groups go on, and the set waits for its deadline."""
    broker.answer("groups", ["bad", "good"])
    broker.answer("check_group", taken("bad"), taken("good"))

    async def aggregate(group: str, tasks: Sequence[Task]) -> Task:
        if group == "bad":
            raise ZeroDivisionError("oh")
        return await joined(group, tasks)

    await make(aggregate).aggregate()

    assert [placement.message.type for placement in written(broker)] == ["all:good"]
    assert lines(caplog) == [
        (
            "Could not aggregate 2 tasks of group 'bad' in queue 'a', which go back to the "
            "group after 120 s: the aggregator failed: ZeroDivisionError: oh"
        )
    ]
    assert caplog.records[0].exc_info is not None
    assert vars(caplog.records[0])["group"] == "bad"


@pytest.mark.parametrize(
    ("result", "problem"),
    [
        (None, "must return a Task, not NoneType"),
        (Task("t", queue="b"), "leave out queue"),
        (Task("t", group="h"), "leave out group"),
    ],
)
async def test_unusable_results_are_logged(
    make: Make,
    broker: FakeBroker,
    caplog: pytest.LogCaptureFixture,
    result: object,
    problem: str,
) -> None:
    """What cannot be enqueued is refused with what to do about it."""
    broker.answer("groups", ["g"])
    broker.answer("check_group", taken())

    async def aggregate(_group: str, _tasks: Sequence[Task]) -> Task:
        return cast("Task", result)

    await make(aggregate).aggregate()

    assert written(broker) == []
    assert problem in lines(caplog)[0]


async def test_function_is_stopped_before_its_set_ends(
    make: Make, broker: FakeBroker, virtual_time: VirtualTime, caplog: pytest.LogCaptureFixture
) -> None:
    """A set lasts for 120 s; the function gets as much as leaves time to write."""
    broker.answer("groups", ["g"])
    broker.answer("check_group", taken())

    async def aggregate(_group: str, _tasks: Sequence[Task]) -> Task:
        await anyio.sleep_forever()
        raise AssertionError

    await make(aggregate).aggregate()

    assert rounded([virtual_time.now]) == [115.0]
    assert "TimeoutError: it took more than 115 s" in lines(caplog)[0]


async def test_hanging_thread_is_reported_and_keeps_its_slot(
    make: Make, broker: FakeBroker, virtual_time: VirtualTime, caplog: pytest.LogCaptureFixture
) -> None:
    """A thread cannot be stopped: it is logged, and its group is not started again."""
    broker.answer("groups", *[["g"]] * 1000)
    broker.answer("check_group", taken(), taken())
    release = threading.Event()

    def aggregate(group: str, _tasks: Sequence[Task]) -> Task:
        release.wait(20)
        return Task(group)

    await run_for(make(aggregate), 200.0)  # Leaving does not wait for the thread.
    release.set()

    assert virtual_time.now == pytest.approx(200.0)
    assert len(broker.called("check_group")) == 1
    assert "still runs, in a thread" in lines(caplog)[0]


async def test_slow_group_does_not_hold_up_others(make: Make, broker: FakeBroker) -> None:
    """While the function works on one group, the loop goes on with the others."""
    broker.answer("groups", *[["slow"]] * 5, *[["slow", "quick"]] * 100)
    broker.answer("check_group", taken("slow"), taken("quick"))

    async def aggregate(group: str, tasks: Sequence[Task]) -> Task:
        await anyio.sleep(50 if group == "slow" else 0)
        return await joined(group, tasks)

    await run_for(make(aggregate), 10.0)

    assert [placement.message.type for placement in written(broker)] == ["all:quick"]
    checked = [call.args[1] for call in broker.called("check_group")]
    assert checked.count("slow") == 1


async def test_few_groups_at_a_time(make: Make, broker: FakeBroker) -> None:
    """No more than eight calls of the function run at the same time, and no more sets wait."""
    broker.answer("groups", [str(number) for number in range(30)])
    broker.answer("check_group", *[taken(str(number)) for number in range(30)])
    running = 0
    seen = []

    async def aggregate(group: str, tasks: Sequence[Task]) -> Task:
        nonlocal running
        running += 1
        taken_sets = min(30, len(broker.called("check_group"))) - len(written(broker))
        seen.append((running, taken_sets))
        await anyio.sleep(1)
        running -= 1
        return await joined(group, tasks)

    await make(aggregate).aggregate()

    assert len(written(broker)) == 30
    assert max(running for running, _ in seen) == 8
    assert max(taken_sets for _, taken_sets in seen) == 8


async def test_write_is_repeated_while_the_set_exists(
    make: Make, broker: FakeBroker, virtual_time: VirtualTime
) -> None:
    """An outage does not waste what the function made."""
    broker.answer("groups", ["g"])
    broker.answer("check_group", taken())
    broker.fail("aggregate", until=20.0)
    await make().aggregate()

    assert 20 <= virtual_time.now <= 25
    assert len({placement.message.id for placement in written(broker)}) == 1
    repeats = [call.args[2] for call in broker.called("aggregate")]
    assert repeats == [False] + [True] * (len(repeats) - 1)


async def test_write_is_given_up_when_the_set_has_ended(
    make: Make, broker: FakeBroker, virtual_time: VirtualTime
) -> None:
    """After that its tasks are in their group again."""
    broker.answer("groups", ["g"])
    broker.answer("check_group", taken(), taken())
    broker.fail("aggregate")
    await make().aggregate()

    assert 120 <= virtual_time.now <= 125
    assert len(broker.called("check_group")) == 1


async def test_hopeless_write_is_given_up_at_once(
    make: Make, broker: FakeBroker, virtual_time: VirtualTime, caplog: pytest.LogCaptureFixture
) -> None:
    """What Redis will refuse again is not tried again, and does not keep a slot."""
    broker.answer("groups", ["g"])
    broker.answer("check_group", taken())
    broker.fail("aggregate", error=BrokerError("no", code="WRONGTYPE", retryable=False))
    await make().aggregate()

    assert virtual_time.now == 0
    assert lines(caplog) == ["Could not write the aggregated task of group 'g' in queue 'a': no"]


async def test_refused_write_is_logged(
    make: Make, broker: FakeBroker, caplog: pytest.LogCaptureFixture
) -> None:
    """A task whose ID is taken is refused with the reason, and not tried again at once."""
    broker.answer("groups", ["g"])
    broker.answer("check_group", taken(), taken())
    broker.answer("aggregate", TaskIdConflictError("a", "one", "pending"))
    await make().aggregate()

    assert len(broker.called("aggregate")) == 1
    assert "already holds a task with ID 'one'" in lines(caplog)[0]


async def test_comes_once_a_second_and_reclaims_now_and_then(
    make: Make, broker: FakeBroker, caplog: pytest.LogCaptureFixture
) -> None:
    """Groups are looked at each second; sets past their deadline every ten seconds."""
    broker.answer("reclaim", 0, 100, 5)
    await run_for(make(), 19.5)

    assert rounded(broker.called_at("groups")) == [float(second) for second in range(20)]
    assert rounded(broker.called_at("reclaim")) == [0.0, 10.0, 10.0]
    assert "105 tasks of queue 'a' went back to their group" in lines(caplog)[0]


async def test_short_grace_period_means_closer_passes(make: Make, broker: FakeBroker) -> None:
    """A grace period of a second is kept to within half of it."""
    aggregator = make(limits=GroupLimits(grace_period=1.0, max_delay=0.0, max_size=0))
    await run_for(aggregator, 1.8)

    assert rounded(broker.called_at("groups")) == [0.0, 0.5, 1.0, 1.5]


async def test_survives_an_outage(
    make: Make, broker: FakeBroker, caplog: pytest.LogCaptureFixture
) -> None:
    """Redis gone for thirty seconds: a line per ten seconds, then the groups are served."""
    broker.fail(until=30.0)
    broker.answer("groups", ["g"])
    broker.answer("check_group", taken())
    await run_for(make(), 40.0)

    assert len(written(broker)) == 1
    assert 3 <= len(lines(caplog)) <= 4
    assert "Redis answers again" in lines(caplog, logging.INFO)[-1]


async def test_failing_check_is_logged(
    make: Make, broker: FakeBroker, caplog: pytest.LogCaptureFixture
) -> None:
    """A group that cannot be checked does not end the others' service."""
    broker.answer("groups", ["g"], ["g"])
    broker.fail("check_group", times=1, error=BrokerError("no", code="WRONGTYPE", retryable=False))
    broker.answer("check_group", taken())
    await run_for(make(), 1.5)

    assert len(written(broker)) == 1
    assert lines(caplog) == ["Could not check the groups of queue 'a': no"]


async def test_empty_set_is_no_task(make: Make, broker: FakeBroker) -> None:
    """A set whose tasks all turned out unreadable is not handed to the function."""
    broker.answer("groups", ["g"])
    broker.answer("check_group", taken(count=0))
    await make().aggregate()

    assert written(broker) == []


async def test_other_errors_end_it(make: Make, broker: FakeBroker) -> None:
    """A mistake in the program is not survived in silence."""
    broker.fail("groups", error=RuntimeError("a mistake"))

    with pytest.raises(ExceptionGroup) as raised:
        await run_for(make(), 10.0)
    assert raised.group_contains(RuntimeError, match="a mistake")
