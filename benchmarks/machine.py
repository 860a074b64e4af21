"""What the measurements ran on."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def machine() -> dict[str, str | int]:
    """Describe this machine: processor, memory, system; nothing that names it."""
    return {
        "processor": _field("/proc/cpuinfo", "model name") or platform.processor(),
        "processors": os.cpu_count() or 0,
        "memory": _field("/proc/meminfo", "MemTotal"),
        "system": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
    }


def _field(path: str, name: str) -> str:
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")
