"""What a key's name says of it: whose it is, which type it should have, whether it expires."""

from __future__ import annotations

import dataclasses
import re
from typing import Final

__all__ = ["KeyName", "parse"]

_PREFIXED: Final = (
    ("task", "t:", "hash"),
    ("group", "g:", "zset"),
    ("lock", "unique:", "string"),
)
_DAY: Final = re.compile(r"(processed|failed):\d{4}-\d\d-\d\d")
_OF_QUEUE: Final = re.compile(r"(asynq|headrace):\{([^{}]*)\}:(.*)", re.DOTALL)
_FIXED: Final = {
    **dict.fromkeys(("pending", "active"), "list"),
    **dict.fromkeys(("lease", "scheduled", "retry", "archived", "completed"), "zset"),
    **dict.fromkeys(("paused", "processed", "failed"), "string"),
    "groups": "set",
    "aggregation_sets": "zset",
}
_GLOBAL: Final = {
    "asynq:queues": "set",
    **dict.fromkeys(("asynq:servers", "asynq:workers", "asynq:schedulers"), "zset"),
}
_GLOBAL_PREFIXES: Final = {
    "asynq:servers:": "string",
    "asynq:workers:": "hash",
    "asynq:schedulers:": "list",
    "asynq:scheduler_history:": "zset",
    "asynq:sema:": "zset",
}
# What Headrace keeps for good: settings that somebody made.
_LASTING: Final = re.compile(r"headrace:(\{[^{}]*\}:limits|schedule.*)", re.DOTALL)


@dataclasses.dataclass(frozen=True, slots=True)
class KeyName:
    """The name of a key, understood."""

    key: str
    queue: str
    """"" if it belongs to none."""
    kind: str
    """"task", "group", "lock", "day", "fixed", "own" or "unknown"."""
    rest: str
    """What follows the queue, without the prefix that says the kind."""
    type: str
    """What Redis should call it; "" if any will do."""

    @property
    def may_stay(self) -> bool:
        """Whether it may be without an expiry."""
        if self.kind in {"fixed", "group", "task"}:
            return True
        return self.kind == "own" and _LASTING.fullmatch(self.key) is not None

    @property
    def is_of_asynq(self) -> bool:
        """Whether asynq's tools know it, too."""
        return self.key.startswith("asynq:")


def parse(key: str) -> KeyName | None:
    """Return what *key* is; None if it is none of ours."""
    match = _OF_QUEUE.fullmatch(key)
    if match is None:
        return _global_name(key)
    system, queue, rest = match[1], match[2], match[3]
    if system == "headrace":
        return KeyName(key, queue, "own", rest, "")
    for kind, prefix, expected in _PREFIXED:
        if rest.startswith(prefix):
            return KeyName(key, queue, kind, rest.removeprefix(prefix), expected)
    if _DAY.fullmatch(rest):
        return KeyName(key, queue, "day", rest, "string")
    kind = "fixed" if rest in _FIXED else "unknown"
    return KeyName(key, queue, kind, rest, _FIXED.get(rest, ""))


def _global_name(key: str) -> KeyName | None:
    if key in _GLOBAL:
        return KeyName(key, "", "fixed", key, _GLOBAL[key])
    for prefix, kind in _GLOBAL_PREFIXES.items():
        if key.startswith(prefix):
            return KeyName(key, "", "fixed", key, kind)
    if key.startswith("headrace:"):
        return KeyName(key, "", "own", key, "")
    return KeyName(key, "", "unknown", key, "") if key.startswith("asynq:") else None
