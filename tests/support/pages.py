"""Markdown pages as tests see them: blocks of code, and links."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

__all__ = ["ROOT", "Block", "anchors", "blocks", "links", "pages"]

ROOT = Path(__file__).parents[2]

_BLOCK = re.compile(
    r"(?:^<!--\s*(?P<note>[^>]*?)\s*-->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_FILE = re.compile(r"# ([\w.]+\.py)\n")
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str
    note: str
    """What the HTML comment right above it says."""

    @property
    def file_name(self) -> str | None:
        """The name that its first line gives it; None if it is no file."""
        match = _FILE.match(self.text)
        return match[1] if match and self.language == "python" else None

    @property
    def is_run(self) -> bool:
        """Whether the tests run it."""
        return self.language in {"python", "console"} and not self.note.startswith("not run:")

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """Return every page: those of docs, and those at the top level."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of *page*, in order."""
    text = page.read_text("utf-8")
    return [
        Block(
            page=page,
            line=text.count("\n", 0, match.start("text")) + 1,
            language=match["language"],
            text=match["text"],
            note=match["note"] or "",
        )
        for match in _BLOCK.finditer(text)
    ]


def _prose(page: Path) -> str:
    return _BLOCK.sub("", page.read_text("utf-8"))


def links(page: Path) -> list[str]:
    """Return the targets of the links of *page*."""
    return _LINK.findall(_prose(page))


def anchors(page: Path) -> set[str]:
    """Return the names that links can point to within *page*, as code hosts make them."""
    names = set()
    for heading in _HEADING.findall(_prose(page)):
        plain = re.sub(r"[^\w\- ]", "", heading.lower())
        names.add(plain.replace(" ", "-"))
    return names
