"""Text in columns of fixed width, quick enough to be drawn between two orders.

A line is a list of (text, style); every line of a block is equally wide, so
that blocks can stand beside each other. Rich draws the frame; its tables would
take ten times as long, which the latencies on the screen would show.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment

Piece: TypeAlias = tuple[str, str]
"""Text and its style, in rich's words."""
Line: TypeAlias = list[Piece]

HEAD: Final = "bold white on blue"
BLOCKS: Final = " ▁▂▃▄▅▆▇█"
CUT: Final = "…"
ASCII: Final = str.maketrans({CUT: "~", "│": "|", **dict(zip(BLOCKS, " .:-=+*#@", strict=True))})
"""For terminals that have no other characters."""


@dataclass(frozen=True, slots=True)
class Column:
    """What stands above a column, and how wide it is."""

    title: str
    width: int
    right: bool = False

    def fitted(self, text: str) -> str:
        """The text at exactly this width; what is cut says so.

        >>> Column("", 5).fitted("abc"), Column("", 5, right=True).fitted("1234567")
        ('abc  ', '1234…')
        """
        if len(text) > self.width:
            return text[: max(self.width - 1, 0)] + CUT if self.width else ""
        return text.rjust(self.width) if self.right else text.ljust(self.width)


def head(columns: Sequence[Column]) -> Line:
    """The bar above a table."""
    return [(" ".join(column.fitted(column.title) for column in columns), HEAD)]


def row(columns: Sequence[Column], cells: Iterable[Piece | str | Line]) -> Line:
    """One row of a table; a cell that is a line has the width of its column already."""
    line: Line = []
    for column, cell in zip(columns, cells, strict=True):
        if line:
            line.append((" ", ""))
        if isinstance(cell, list):
            line.extend(cell)
        else:
            text, style = (cell, "") if isinstance(cell, str) else cell
            line.append((column.fitted(text), style))
    return line


def block(lines: Sequence[Line], width: int, height: int) -> list[Line]:
    """Exactly so many lines: blank ones below, none too many."""
    blank: Line = [(" " * width, "")]
    return [*lines[:height], *([blank] * (height - len(lines)))]


def beside(left: Sequence[Line], right: Sequence[Line], gap: int = 1) -> list[Line]:
    """Two blocks of equal height, side by side."""
    return [[*a, (" " * gap, ""), *b] for a, b in zip(left, right, strict=True)]


def widened(columns: Sequence[Column], width: int) -> list[Column]:
    """The columns with the last one as wide as `width` leaves it."""
    *fixed, last = columns
    used = sum(column.width + 1 for column in fixed)
    return [*fixed, Column(last.title, max(width - used, 0), last.right)]


@dataclass(frozen=True, slots=True)
class Frame:
    """Lines as something rich can draw."""

    lines: Sequence[Line]
    ascii_only: bool = False

    def __rich_console__(self, console: Console, _: ConsoleOptions) -> RenderResult:
        """Rich's protocol."""
        for line in self.lines:
            for text, style in line:
                shown = text.translate(ASCII) if self.ascii_only else text
                yield Segment(shown, console.get_style(style) if style else None)
            yield Segment.line()

    def text(self) -> str:
        """The same without styles."""
        return "\n".join("".join(text for text, _ in line) for line in self.lines)
