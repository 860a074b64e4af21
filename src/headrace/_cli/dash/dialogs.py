"""The dialogs: the confirmation of an action, and the help."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from rich.text import Text
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from headrace._cli.dash.view import Pane

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType

__all__ = ["HELP", "Confirm", "Help"]

HELP: Final = (
    (
        "Look",
        (
            ("1 2 3 4", "queues, running tasks, servers, schedulers"),
            ("↑ ↓  j k", "move"),
            ("← →  h l", "other tasks of a queue"),
            ("Enter", "open"),
            ("Esc  Backspace", "back; takes a filter away first"),
            ("PgUp PgDn", "page up and down; also Ctrl+B, Ctrl+F"),
            ("Home End  g G", "first and last row"),
            ("/", "show only what holds a text"),
            ("F5", "read again now"),
            ("+  -", "read more often, less often"),
            ("t", "dark or light"),
            ("?  q", "this help; quit"),
        ),
    ),
    (
        "Change, after a confirmation (not with --read-only)",
        (
            ("Space", "mark a row: then actions are for all marked"),
            ("r a d c", "run, archive, delete, cancel this task"),
            ("R A D C", "the same to all tasks of the state or group"),
            ("p", "pause queues, or resume them"),
        ),
    ),
)
"""Headings, and below each of them keys and what they do."""


class Confirm(ModalScreen[bool]):
    """Asks before something is changed. No is what Enter means.

    Args:
        title: The question.
        text: What exactly will happen.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes"),
        Binding("n,escape,q,backspace", "answer(False)", "No"),
        Binding("left,h,right,l", "app.focus_next", show=False),
    ]
    AUTO_FOCUS = "#no"

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self.question: str = title
        self.text: str = text

    def compose(self) -> ComposeResult:
        """Make what it is made of."""
        with Vertical(id="dialog"):
            yield Static(Text(self.question, style="bold"), id="question", markup=False)
            yield Static(Text(self.text), markup=False)
            with Horizontal(id="answers"):
                yield Button("No (n)", id="no", compact=True)
                yield Button("Yes (y)", id="yes", variant="error", compact=True)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Answer."""
        self.dismiss(event.button.id == "yes")

    def action_answer(self, answer: bool) -> None:  # noqa: FBT001 - Textual calls it
        """Answer by a key."""
        self.dismiss(answer)


class Help(ModalScreen[None]):
    """Shows all keys."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q,enter,backspace", "dismiss(None)", "Close"),
    ]
    AUTO_FOCUS = "Pane"

    def compose(self) -> ComposeResult:
        """Make what it is made of."""
        with Vertical(id="help"):
            yield Pane()

    def on_mount(self) -> None:
        """Write the keys down."""
        text = Text()
        for heading, keys in HELP:
            text.append(f"{heading}\n", style="bold")
            for key, meaning in keys:
                text.append(f"  {key:<16}", style="bold cyan")
                text.append(f"{meaning}\n")
        self.query_one(Pane).fill(text)
