"""One line per fault and ten seconds."""

from __future__ import annotations

import logging

import pytest

from headrace._errors import BrokerError
from headrace._log import RateLimitedLog, structured
from tests.worker.helpers import lines

REFUSED = BrokerError("connection refused")
WRONG_TYPE = BrokerError(
    "WRONGTYPE asynq:{a}:pending is no list", code="WRONGTYPE", retryable=False
)


class Watch:
    """A clock that a test sets."""

    now = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def watch() -> Watch:
    """The log's clock."""
    return Watch()


@pytest.fixture
def log(watch: Watch, caplog: pytest.LogCaptureFixture) -> RateLimitedLog:
    """A log with a clock that stands still."""
    caplog.set_level(logging.DEBUG, logger="headrace")
    return RateLimitedLog(logging.getLogger("headrace.test"), time=watch)


def test_first_failure_is_logged_at_once(
    log: RateLimitedLog, caplog: pytest.LogCaptureFixture
) -> None:
    """A fault does not wait for its line; the error's text ends it."""
    log.fault("forward", "Could not forward queue %r", "low", exc=REFUSED, extra={"queue": "low"})

    assert lines(caplog) == ["Could not forward queue 'low': connection refused"]
    assert vars(caplog.records[0])["queue"] == "low"
    assert caplog.records[0].levelno == logging.ERROR
    assert caplog.records[0].name == "headrace.test"


def test_repetitions_are_counted_not_logged(
    log: RateLimitedLog, watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    """Within ten seconds there is one line; the next one says how many there were not."""
    for _ in range(5):
        log.fault("forward", "Could not forward", exc=REFUSED)
    watch.now += 9.9
    log.fault("forward", "Could not forward", exc=REFUSED)
    assert len(lines(caplog)) == 1
    watch.now += 0.2
    log.fault("forward", "Could not forward", exc=REFUSED)

    assert lines(caplog)[1:] == ["Could not forward: connection refused (5 more not logged)"]
    assert vars(caplog.records[1])["suppressed"] == 5
    watch.now += 10
    log.fault("forward", "Could not forward", exc=REFUSED)
    assert lines(caplog)[2:] == ["Could not forward: connection refused"]


def test_an_outage_is_one_fault_for_all(
    log: RateLimitedLog, watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    """Ten components that all find Redis gone write one line per ten seconds together."""
    for _ in range(30):
        for component in range(10):
            code = "LOADING" if component % 2 else ""
            log.fault(component, "Could not work", exc=BrokerError("gone", code=code))
        watch.now += 1

    assert len(lines(caplog)) == 3


def test_faults_of_one_queue_are_apart(
    log: RateLimitedLog, caplog: pytest.LogCaptureFixture
) -> None:
    """A key of the wrong type in one queue is not the same fault as one in another."""
    log.fault(("forward", "a"), "Queue a", exc=WRONG_TYPE)
    log.fault(("forward", "b"), "Queue b", exc=WRONG_TYPE)

    assert len(lines(caplog)) == 2


def test_end_of_an_outage_is_logged_once(
    log: RateLimitedLog, watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    """The first component that gets through says how long Redis was gone; the rest do not."""
    log.fault("forward", "Could not forward", exc=REFUSED)
    log.fault("clean", "Could not clean", exc=REFUSED)
    watch.now += 3.5
    log.recovered("forward")
    log.recovered("clean")

    assert lines(caplog, logging.INFO)[1:] == ["Redis answers again after 3.5 s"]
    assert vars(caplog.records[1])["suppressed"] == 1


def test_success_of_others_does_not_end_an_outage(
    log: RateLimitedLog, caplog: pytest.LogCaptureFixture
) -> None:
    """A component that never failed says nothing about those that did."""
    log.fault("clean", "Could not clean", exc=REFUSED)
    log.recovered("forward")

    assert len(lines(caplog, logging.INFO)) == 1


def test_late_success_does_not_end_the_next_outage(
    log: RateLimitedLog, watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    """Who failed in an outage that is over says nothing about the one that came after."""
    log.fault("forward", "Could not forward", exc=REFUSED)
    log.fault("clean", "Could not clean", exc=REFUSED)
    log.recovered("forward")
    watch.now += 20
    log.fault("wait", "Could not wait", exc=REFUSED)
    log.recovered("clean")

    assert "Could not wait" in lines(caplog, logging.INFO)[-1]


def test_end_of_another_fault_names_it(
    log: RateLimitedLog, watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    """A recovery says of what, also if a name in it has a percent sign."""
    log.fault("forward", "Could not forward queue %r", "100%s", exc=WRONG_TYPE)
    watch.now += 2
    log.recovered("forward")

    assert lines(caplog, logging.INFO)[1:] == [
        "Works again after 2.0 s: Could not forward queue '100%s'"
    ]


def test_flapping_writes_two_lines_per_interval(
    log: RateLimitedLog, watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    """A fault that comes and goes all the time does not flood the log."""
    for _ in range(200):
        log.fault("forward", "Could not forward", exc=REFUSED)
        watch.now += 0.05
        log.recovered("forward")
        watch.now += 0.05

    assert len(lines(caplog, logging.INFO)) == 4


def test_recovery_without_a_fault_is_silent(
    log: RateLimitedLog, caplog: pytest.LogCaptureFixture
) -> None:
    """Components may call it after every pass."""
    log.recovered("forward")

    assert not caplog.records


def test_a_later_fault_counts_its_own_time(
    log: RateLimitedLog, watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    """A fault whose end nobody noticed is not counted into the next one."""
    log.fault("listen", "Could not listen", exc=REFUSED)
    watch.now += 3600
    log.fault("listen", "Could not listen", exc=REFUSED)
    watch.now += 1
    log.recovered("listen")

    assert lines(caplog, logging.INFO)[-1] == "Redis answers again after 1.0 s"


def test_traceback_only_where_it_helps(
    log: RateLimitedLog, caplog: pytest.LogCaptureFixture
) -> None:
    """An error of the user's code has its traceback; that of a broker would tell nothing."""
    log.fault("probe", "The prober failed", exc=KeyError("x"))
    log.fault("forward", "Could not forward", exc=REFUSED)

    assert lines(caplog)[0] == "The prober failed: KeyError: 'x'"
    assert [record.exc_info is not None for record in caplog.records] == [True, False]


def test_fields_do_not_collide_with_those_of_logging() -> None:
    """Names that logging refuses get a prefix; others stay."""
    assert structured(queue="low", name="x", message="y") == {
        "queue": "low",
        "headrace_name": "x",
        "headrace_message": "y",
    }


def test_line_names_the_caller(log: RateLimitedLog, caplog: pytest.LogCaptureFixture) -> None:
    """The record points to the component, not to this module's inside."""
    log.fault("x", "Broken")
    log.recovered("x")

    assert [record.funcName for record in caplog.records] == [
        "test_line_names_the_caller",
        "test_line_names_the_caller",
    ]
