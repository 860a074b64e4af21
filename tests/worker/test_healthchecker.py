"""The healthchecker: the user's function hears how Redis is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from headrace._errors import BrokerError
from headrace._worker.healthchecker import Healthchecker
from tests.support.fake_broker import OUTAGE
from tests.worker.helpers import lines, run_for

if TYPE_CHECKING:
    from headrace._config import HealthCheck
    from headrace._log import RateLimitedLog
    from tests.support.fake_broker import FakeBroker


def checker(broker: FakeBroker, check: HealthCheck, log: RateLimitedLog) -> Healthchecker:
    """Return a healthchecker that comes every fifteen seconds."""
    return Healthchecker(broker, check=check, interval=15.0, log=log)


async def test_reports_health_and_failure(broker: FakeBroker, log: RateLimitedLog) -> None:
    """The function gets None while Redis answers, and the error when it does not."""
    heard: list[BaseException | None] = []
    healthchecker = checker(broker, heard.append, log)
    await healthchecker.check()
    broker.fail("ping")
    await healthchecker.check()

    assert heard == [None, OUTAGE]


async def test_function_may_be_async(broker: FakeBroker, log: RateLimitedLog) -> None:
    """A coroutine function is awaited."""
    heard: list[BaseException | None] = []

    async def check(error: BaseException | None) -> None:
        await anyio.sleep(1)
        heard.append(error)

    await checker(broker, check, log).check()

    assert heard == [None]


async def test_comes_at_its_interval(broker: FakeBroker, log: RateLimitedLog) -> None:
    """It checks at the start and then every fifteen seconds, through an outage too."""
    broker.fail("ping", until=40.0)
    heard: list[BaseException | None] = []
    await run_for(checker(broker, heard.append, log), 50.0)

    assert broker.called_at("ping") == [0.0, 15.0, 30.0, 45.0]
    assert heard == [OUTAGE, OUTAGE, OUTAGE, None]


async def test_failing_function_is_logged_not_fatal(
    broker: FakeBroker, log: RateLimitedLog, caplog: pytest.LogCaptureFixture
) -> None:
    """What the function raises is logged with its traceback, and the checks go on."""

    def check(_error: BaseException | None) -> None:
        raise ZeroDivisionError("oh")

    await run_for(checker(broker, check, log), 20.0)

    assert len(broker.called("ping")) == 2
    assert lines(caplog) == ["The health check function failed: ZeroDivisionError: oh"] * 2
    assert caplog.records[0].exc_info is not None


async def test_other_errors_end_it(broker: FakeBroker, log: RateLimitedLog) -> None:
    """A mistake in the broker is not reported as ill health."""
    broker.fail("ping", error=RuntimeError("a mistake"))

    with pytest.raises(RuntimeError, match="a mistake"):
        await checker(broker, lambda _: None, log).check()


async def test_pass_does_not_wrap_the_error(broker: FakeBroker, log: RateLimitedLog) -> None:
    """The function can read the error's code."""
    broker.fail("ping", error=BrokerError("busy", code="BUSY"))
    codes: list[str] = []

    def check(error: BaseException | None) -> None:
        assert isinstance(error, BrokerError)
        codes.append(error.code)

    await checker(broker, check, log).check()

    assert codes == ["BUSY"]
