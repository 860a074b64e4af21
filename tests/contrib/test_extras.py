"""What is said where an extra is not installed, and what the worker's option serves."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING

import pytest

from tests.test_cli_worker import needs_posix, read_until, running, shop, worker

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["shop"]


@pytest.mark.parametrize(
    ("module", "package", "extra"),
    [
        ("prometheus", "prometheus_client", "headrace[prometheus]"),
        ("health", "aiohttp", "headrace[prometheus]"),
        ("opentelemetry", "opentelemetry", "headrace[otel]"),
    ],
)
def test_missing_extra_is_named(module: str, package: str, extra: str) -> None:
    """Importing a module without its packages says which extra brings them."""
    code = f"import sys; sys.modules[{package!r}] = None; import headrace.contrib.{module}"
    run = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )

    assert run.stderr.splitlines()[-1].startswith(f"ImportError: headrace.contrib.{module} needs")
    assert f"pip install '{extra}'" in run.stderr


@needs_posix
def test_worker_serves_metrics(shop: Path) -> None:
    """With --metrics-port the worker serves metrics, on the loopback interface alone."""
    with running(shop, "shop:memory", "--metrics-port", "0") as process:
        line = read_until(process, "/metrics").splitlines()[-1]
        url = line.split("Metrics at ")[1].strip().removesuffix("/metrics")
        read_until(process, "Headrace runs")
        with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:  # noqa: S310 - its own
            text = answer.read().decode()
        process.send_signal(signal.SIGTERM)

        assert process.wait() == 0
    assert url.startswith("http://127.0.0.1:")
    assert "# TYPE headrace_tasks_finished_total counter" in text


def test_taken_port_is_said_before_anything_runs(shop: Path) -> None:
    """The worker does not start where its metrics cannot be served."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        run = worker(shop, "shop:memory", "--metrics-port", str(taken.getsockname()[1]))

    assert run.returncode == 1
    assert "Cannot serve metrics at 127.0.0.1" in run.stderr
    assert "ready" not in run.stdout
