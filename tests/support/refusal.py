"""How bad options are refused, whichever way they come in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headrace import Task
from headrace._errors import InvalidOptionError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace import Client
    from tests.support.wire import RawClient

__all__ = ["refuse"]


async def refuse(raw: RawClient, client: Client, task: Task, options: Mapping[str, object]) -> None:
    """Check that *options* are refused, by each way in, and that nothing is written."""
    [name] = options
    for attempt in (
        lambda: client.enqueue(task, **options),  # type: ignore[arg-type]  # That is the point.
        lambda: client.enqueue_many([task], **options),  # type: ignore[call-overload]  # So here.
    ):
        with pytest.raises(InvalidOptionError, match=name) as caught:
            await attempt()
        assert caught.value.option == name
        assert len(str(caught.value)) < 1_000
    with pytest.raises(InvalidOptionError, match=name):
        Task("t", **options)  # type: ignore[arg-type]  # That is the point.
    assert await raw.execute_command("DBSIZE") == 0
