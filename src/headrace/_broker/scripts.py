"""The Lua scripts: one file each in lua/, the pieces that they share in lua/lib/."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.resources
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.resources.abc import Traversable

__all__ = ["SCRIPTS", "Script"]

_INCLUDE: Final = re.compile(r"^--@include (\w+)$", re.MULTILINE)


@dataclasses.dataclass(frozen=True, slots=True)
class Script:
    """A script as Redis gets it."""

    name: str
    body: str = dataclasses.field(repr=False)
    sha: str


def _load(folder: Traversable, name: str) -> Script:
    def piece(match: re.Match[str]) -> str:
        return folder.joinpath("lib", f"{match[1]}.lua").read_text(encoding="utf-8")

    source = folder.joinpath(f"{name}.lua").read_text(encoding="utf-8")
    body = _INCLUDE.sub(piece, source)
    return Script(name, body, hashlib.sha1(body.encode(), usedforsecurity=False).hexdigest())


def _load_all() -> Mapping[str, Script]:
    folder = importlib.resources.files(__package__) / "lua"
    names = sorted(
        entry.name.removesuffix(".lua") for entry in folder.iterdir() if entry.name.endswith(".lua")
    )
    return {name: _load(folder, name) for name in names}


SCRIPTS: Final = _load_all()
