"""What an audit of the queues finds."""

from __future__ import annotations

import dataclasses

__all__ = ["AuditProgress", "Finding"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing in Redis that is not as it should be."""

    invariant: int
    """The number of the rule that is broken; docs/troubleshooting.md lists them."""
    queue: str
    """The queue's name; "" for what belongs to none."""
    subject: str
    """The ID of a task, or the name of a key."""
    problem: str
    """What is wrong."""
    repair: str
    """How it is put right; "" if that is left to a person."""
    repaired: bool
    """Whether that was done."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AuditProgress:
    """How far an audit has come."""

    done: int
    """How many keys and entries were looked at."""
    total: int
    """How many there are in all, as far as is known yet."""
