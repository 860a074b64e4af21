"""Two key spaces, compared: what is different that is neither a clock's doing nor ours alone."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError

from headrace._proto import asynq_pb2 as pb
from tests.interop.states import KEYS
from tests.support.wire import read_keys

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.support.wire import Key, RawClient

__all__ = ["Difference", "Facts", "differences", "facts_of"]

Facts: TypeAlias = "dict[tuple[str, ...], object]"
"""A key space as facts: where something stands -> what stands there."""

_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d$")
CLOCKS: Final = 90
"""Seconds by which two times may differ that are to be the same: one side runs after the other."""


@dataclasses.dataclass(frozen=True)
class Difference:
    """A fact that is not the same on both sides; None: there is none."""

    where: tuple[str, ...]
    theirs: object
    ours: object

    @property
    def field(self) -> str:
        """The last part of where it is."""
        return self.where[-1]


async def facts_of(client: RawClient) -> Facts:
    """Return what a database holds, without the additions of Headrace."""
    keys = await read_keys(client)
    facts: Facts = {}
    for name, key in keys.items():
        if name.startswith("headrace:"):
            continue
        if name.startswith(KEYS.task_prefix):
            facts.update(_of_task(name.removeprefix(KEYS.task_prefix), key))
        else:
            # Midnight may pass between the two sides.
            short = _DAY.sub("day", name.removeprefix(KEYS.prefix))
            facts[short, "expires"] = key.expires
            facts.update(_of_key(short, key))
    return facts


def _of_task(task_id: str, key: Key) -> Iterator[tuple[tuple[str, ...], object]]:
    fields = cast("Mapping[bytes, bytes]", key.content)
    yield ("task", task_id, "expires"), key.expires
    for raw_name, value in fields.items():
        name = raw_name.decode()
        if name == "msg":
            yield from _of_message(task_id, value)
        elif name == "pending_since":
            yield ("task", task_id, name), int(value) / 1e9
        elif not name.startswith("hr:"):
            yield ("task", task_id, name), value.decode("utf-8", "replace")


def _of_message(task_id: str, data: bytes) -> Iterator[tuple[tuple[str, ...], object]]:
    try:
        message = MessageToDict(pb.TaskMessage.FromString(data), preserving_proto_field_name=True)
    except DecodeError:
        message = {"bytes": data}
    for name, value in message.items():
        is_time = name in {"last_failed_at", "completed_at", "deadline"}
        yield ("task", task_id, "msg", name), float(value) if is_time else value


def _of_key(name: str, key: Key) -> Iterator[tuple[tuple[str, ...], object]]:
    if isinstance(key.content, dict):
        for member, score in key.content.items():
            yield (name, member.decode()), float(score)
    elif isinstance(key.content, tuple):
        yield (name,), [item.decode() for item in key.content]
    elif isinstance(key.content, frozenset):
        for member in key.content:
            yield (name, member.decode()), True
    else:
        content = key.content.decode()
        yield (name,), float(content) if name == "paused" else content


def differences(theirs: Facts, ours: Facts) -> list[Difference]:
    """Return what is different, by where it is."""
    found = [
        Difference(where, theirs.get(where), ours.get(where))
        for where in sorted(theirs.keys() | ours.keys())
    ]
    return [one for one in found if not _is_same(one.theirs, one.ours)]


def _is_same(theirs: object, ours: object) -> bool:
    if isinstance(theirs, float) and isinstance(ours, float):
        return abs(theirs - ours) <= CLOCKS
    return theirs == ours
