"""The map from asynq's features to our tests leads to tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NAMED = sorted(
    set(
        re.findall(
            r"`(tests/[\w/]+\.py)(?:::(\w+))?`", (ROOT / "tests/parity.md").read_text("utf-8")
        )
    )
)


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_named_test_exists(path: str, name: str) -> None:
    """Each line's tests are where it says."""
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    functions = {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }

    assert not name or name in functions
