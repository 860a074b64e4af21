"""Randomness that is the same in every run."""

from __future__ import annotations

import random

__all__ = ["seeded"]


def seeded(seed: int = 7) -> random.Random:
    """Return a source that draws the same for the same seed."""
    return random.Random(seed)  # noqa: S311 - nothing here is secret
