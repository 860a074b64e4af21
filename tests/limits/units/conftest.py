"""Virtual time, a fake broker and the parts of a server around it."""

from tests.server.units.conftest import (
    broker,
    harness,
    log,
    pytest_asyncio_loop_factories,
    rng,
    virtual_time,
)

__all__ = ["broker", "harness", "log", "pytest_asyncio_loop_factories", "rng", "virtual_time"]
