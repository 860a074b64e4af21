"""A table that is refilled at each poll: only what changed is drawn anew."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar, Final

from rich.text import Text
from textual.binding import Binding
from textual.coordinate import Coordinate
from textual.message import Message
from textual.widgets import DataTable

from headrace._cli.dash.formatting import fitted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.binding import BindingType
    from textual.widgets.data_table import RowKey

__all__ = ["Column", "Grid", "Row"]

_MARK_WIDTH: Final = 3
_NARROWEST: Final = 6
_SCROLLBAR: Final = 1


@dataclasses.dataclass(frozen=True, slots=True)
class Column:
    """A column.

    Attributes:
        label: Its heading.
        width: Columns of the terminal, the gap after it included; 0: a share of what is left.
        right: Whether it is aligned on the right, as numbers are.
        weight: Its share, if its width is 0.
    """

    label: str
    width: int = 0
    right: bool = False
    weight: int = 1


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """A row: what it stands for, and a cell a column. Text of strings is taken as it is."""

    key: str
    cells: Sequence[Text | str]
    flag: str = ""
    """A character in front of it."""


class Grid(DataTable[Text]):
    """Rows with a cursor and marks. Both stay with what they stand for when rows move."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select_cursor", "Open"),
        Binding("j", "cursor_down", show=False),
        Binding("k", "cursor_up", show=False),
        Binding("h", "cursor_left", show=False),
        Binding("l", "cursor_right", show=False),
        Binding("g,home", "scroll_top", show=False),
        Binding("G,end", "scroll_bottom", show=False),
        Binding("ctrl+f", "page_down", show=False),
        Binding("ctrl+b", "page_up", show=False),
    ]

    class Turned(Message):
        """The user wants another page: 1 the next, -1 the previous, 0 the first."""

        def __init__(self, step: int) -> None:
            super().__init__()
            self.step: int = step

    class Shifted(Message):
        """The user went left (-1) or right (1)."""

        def __init__(self, step: int) -> None:
            super().__init__()
            self.step: int = step

    def __init__(self, *, paged: bool = False, shifts: bool = False) -> None:
        super().__init__(cursor_type="row", cell_padding=0, zebra_stripes=False)
        self.keys: list[str] = []
        """What the rows stand for, from top to bottom."""
        self.marked: dict[str, None] = {}
        """What is marked, in the order of marking; not all of it need be shown."""
        self._paged = paged
        self._shifts = shifts
        self._wanted: tuple[Sequence[Column], Sequence[Row]] = ((), ())
        self._layout: list[tuple[Column, int]] = []
        self._row_keys: list[RowKey] = []
        self._cells: list[list[Text]] = []

    @property
    def current(self) -> str | None:
        """What the cursor is on; None if the table is empty."""
        row = self.cursor_row
        return self.keys[row] if 0 <= row < len(self.keys) else None

    def chosen(self) -> list[str]:
        """Return what is marked; if nothing is, what the cursor is on."""
        if self.marked:
            return list(self.marked)
        return [] if self.current is None else [self.current]

    def mark(self) -> None:
        """Mark what the cursor is on, or take its mark away, and go on to the next row."""
        if self.current is None:
            return
        if self.current in self.marked:
            del self.marked[self.current]
        else:
            self.marked[self.current] = None
        self.refill()
        self.action_cursor_down()

    def unmark(self) -> None:
        """Take all marks away."""
        self.marked.clear()
        if self.is_attached:  # Its view may have been left while the marked were dealt with.
            self.refill()

    def fill(self, columns: Sequence[Column], rows: Sequence[Row]) -> None:
        """Show these rows. The cursor follows its row; if it is gone, it keeps its place."""
        self._wanted = (columns, rows)
        self.refill()

    def refill(self) -> None:
        """Show the same rows again: the marks or the size changed."""
        columns, rows = self._wanted
        layout = _layout(columns, self.size.width)
        if not columns or self.size.width == 0:
            return
        current, self.keys = self.current, [row.key for row in rows]
        with self.app.batch_update():
            if layout != self._layout:
                self._set_columns(layout)
            self._set_rows([self._cells_of(row) for row in rows])
            if current in self.keys and self.current != current:
                self.move_cursor(row=self.keys.index(current), animate=False)

    def _cells_of(self, row: Row) -> list[Text]:
        mark = Text(("●" if row.key in self.marked else " ") + f"{row.flag or ' '} ", "bold yellow")
        return [
            mark,
            *(
                fitted(cell, width, right=column.right)
                for cell, (column, width) in zip(row.cells, self._layout, strict=True)
            ),
        ]

    def _set_columns(self, layout: list[tuple[Column, int]]) -> None:
        self.clear(columns=True)
        self._layout, self._row_keys, self._cells = layout, [], []
        self.add_column(Text(" " * _MARK_WIDTH), width=_MARK_WIDTH)
        for column, width in layout:
            self.add_column(fitted(column.label, width, right=column.right), width=width)

    def _set_rows(self, wanted: list[list[Text]]) -> None:
        """Change the cells that differ: to clear the table would lose its place, and flicker."""
        for row, cells in enumerate(wanted[: len(self._cells)]):
            for column, cell in enumerate(cells):
                before = self._cells[row][column]
                if cell != before or cell.style != before.style:
                    self.update_cell_at(Coordinate(row, column), cell)
        while len(self._row_keys) > len(wanted):
            self.remove_row(self._row_keys.pop())
        for cells in wanted[len(self._row_keys) :]:
            self._row_keys.append(self.add_row(*cells))
        self._cells = wanted

    def on_resize(self) -> None:
        """Use the new width."""
        self.refill()

    def action_page_down(self) -> None:
        """Go on by a page."""
        if self._paged:
            self.post_message(self.Turned(1))
        else:
            super().action_page_down()

    def action_page_up(self) -> None:
        """Go back by a page."""
        if self._paged:
            self.post_message(self.Turned(-1))
        else:
            super().action_page_up()

    def action_cursor_right(self) -> None:
        """Go right."""
        if self._shifts:
            self.post_message(self.Shifted(1))
        else:
            super().action_cursor_right()

    def action_cursor_left(self) -> None:
        """Go left."""
        if self._shifts:
            self.post_message(self.Shifted(-1))
        else:
            super().action_cursor_left()


def _layout(columns: Sequence[Column], total: int) -> list[tuple[Column, int]]:
    """Return the columns with their widths; together as wide as the table if it is wide enough."""
    room = total - _MARK_WIDTH - _SCROLLBAR - sum(column.width for column in columns)
    weights = sum(column.weight for column in columns if not column.width)
    return [
        (column, column.width or max(_NARROWEST, room * column.weight // max(1, weights)))
        for column in columns
    ]
