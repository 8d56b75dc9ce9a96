"""Rows of data as a table, JSON, CSV, Markdown or LaTeX on standard output."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from graphc.files import shown

Row = Sequence[Any]
WIDE = 32_000
"""Columns where output is not a terminal: nothing is cut."""
LETTERS, LEAST = 8_000_000, 120
"""Of a whole table, where that is so: in one of very many rows a long cell is cut, since all lines are as wide as it;
and the columns that each has."""


AT_ONCE = 500
"""Lines that Rich lays out together: it takes longer than in proportion for many, and for each alone."""


MOST, SEEN = 20, 40
"""Columns that are said to be left out, and letters of each."""


@dataclass(frozen=True, slots=True)
class Look:
    """How the `table` form, and it alone, dresses the data."""

    cells: Mapping[str, Callable[[Any], str]] = field(default_factory=dict)
    """Column -> a cell as Rich markup: units and colours."""
    spare: Sequence[str] = ()
    """Columns that a narrow terminal does without, the first one first."""
    title: str = ""
    notes: Sequence[str] = ()
    """Lines below the table."""


def render(
    columns: Sequence[str], rows: Sequence[Row], form: str, *, total: Row | None = None, look: Look = Look()
) -> str:
    """`form` is table, csv, md, latex or json (a list of objects). Numbers stand right, in groups of three."""
    if form == "json":
        return json.dumps([dict(zip(columns, row, strict=True)) for row in rows], indent=1) + "\n"
    body = [*rows, total] if total is not None else list(rows)
    if form == "csv":
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(
            [[*map(plain, columns)], *([plain(cell) for cell in row] for row in body)]
        )
        return text.getvalue()
    if form == "md":
        lines = [
            columns,
            ["---:" if is_number_column([row[i] for row in rows]) else "---" for i in range(len(columns))],
            *body,
        ]
        return "".join(f"| {' | '.join(pretty(cell) for cell in line)} |\n" for line in lines)
    if form == "latex":
        return latex(columns, rows, total)
    return draw(columns, rows, total, look)


LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "×": r"$\times$", "–": "--", "→": r"$\to$",
}  # fmt: skip
"""What LaTeX reads as something else -> what it prints."""


def latex(columns: Sequence[str], rows: Sequence[Row], total: Row | None) -> str:
    """A `tabular` with booktabs' rules, to be put into a document by `\\input`."""
    numbers = [is_number_column([row[index] for row in rows]) for index in range(len(columns))]

    def line(cells: Row) -> str:
        return " & ".join("".join(LATEX.get(letter, letter) for letter in pretty(cell)) for cell in cells) + r" \\"

    alignment = "".join("r" if is_number else "l" for is_number in numbers)
    last = [r"\midrule", line(total)] if total is not None else []
    body = [line(columns), r"\midrule", *map(line, rows), *last]
    begin = [r"% \usepackage{booktabs}", rf"\begin{{tabular}}{{{alignment}}}", r"\toprule"]
    return "\n".join([*begin, *body, r"\bottomrule", r"\end{tabular}"]) + "\n"


def draw(columns: Sequence[str], rows: Sequence[Row], total: Row | None, look: Look) -> str:
    """A table as text: coloured and no wider than it on a terminal, as wide as it needs elsewhere."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=min(WIDE, max(LEAST, LETTERS // (len(rows) + 1))))
    found = [Column.of(name, index, rows, total, look) for index, name in enumerate(columns)]
    widths: dict[str, int] = {}
    for name, column in zip(columns, found, strict=True):
        widths[name] = widths.get(name, 0) + column.width + 3
    excess = width_of(found) - console.width
    left_out: list[str] = []
    for name in look.spare:
        if excess <= 0:
            break
        if name in widths:
            left_out.append(name)
            excess -= widths.pop(name)
    found = [column for name, column in zip(columns, found, strict=True) if name in widths]
    notes = list(look.notes)
    if left_out:
        names = ", ".join(escape(shown(name[:SEEN])) for name in left_out[:MOST])
        names += f" and {len(left_out) - MOST:,} more" if len(left_out) > MOST else ""
        notes.append(f"[dim]left out for width: {names} (--columns chooses)[/]")
    with console.capture() as capture:
        if look.title:
            console.print(look.title, style="bold")
    title, lines = capture.get(), lines_of(found, console, with_total=total is not None)
    with console.capture() as capture:
        for note in notes:
            console.print(f" {shown(note)}")
    seen = [*title.splitlines(), *lines, *capture.get().splitlines()]
    return "\n".join(line.rstrip() for line in seen).strip("\n") + "\n"


def lines_of(columns: Sequence[Column], console: Console, with_total: bool) -> list[str]:
    """Heading, rule, rows, and the last row apart where it is the total; as Rich has them where it has colours."""
    narrow(columns, console.width)
    count = len(columns[0].cells) if columns else 0
    colours = console.is_terminal
    lines = ["", *(f" {'   '.join(each.padded(row, colours) for each in columns)}" for row in range(count)), ""]
    emphasized = [1, *([count] if with_total else [])]
    if colours:
        for number in emphasized:
            lines[number] = f"[bold]{lines[number]}[/]"
    if with_total:
        lines.insert(count, "")
    lines.insert(2, f" {'─' * (width_of(columns) - 2)}")
    if not colours:
        return lines
    with console.capture() as capture:
        for start in range(0, len(lines), AT_ONCE):
            part = "\n".join(lines[start : start + AT_ONCE])
            console.print(part, highlight=False, soft_wrap=True)
    return capture.get().splitlines()


@dataclass(slots=True)
class Column:
    cells: list[str]
    """The heading and what stands below it, as Rich markup."""
    is_number: bool
    width: int = 0

    @staticmethod
    def of(name: str, index: int, rows: Sequence[Row], total: Row | None, look: Look) -> Column:
        """As wide as its widest cell."""
        body = [row[index] for row in rows]
        sums = [total[index]] if total is not None else []
        column = Column(
            [escape(shown(name)), *(dressed(name, cell, look) for cell in [*body, *sums])], is_number_column(body)
        )
        column.width = max(seen_len(visible(cell)) for cell in column.cells)
        return column

    def padded(self, number: int, markup: bool) -> str:
        """A cell of the column's width, cut where it is longer, as markup or as it is seen."""
        cell = self.cells[number]
        seen = visible(cell)
        length = seen_len(seen)
        if length > self.width:
            seen = set_cell_size(seen, max(self.width - 1, 0)) + "…" * min(self.width, 1)
            cell, length = escape(seen), self.width
        space = " " * (self.width - length)
        text = cell if markup else seen
        return f"{space}{text}" if self.is_number else f"{text}{space}"


def width_of(columns: Sequence[Column]) -> int:
    """Of a line, with a space at both ends and three between columns."""
    return sum(each.width for each in columns) + 3 * max(len(columns) - 1, 0) + 2


def narrow(columns: Sequence[Column], width: int) -> None:
    """Take from the widest columns what a line is too long."""
    while (excess := width_of(columns) - width) > 0 and columns:
        widest = max(each.width for each in columns)
        if widest <= 1:
            return
        next_one = max((each.width for each in columns if each.width < widest), default=1)
        alike = [each for each in columns if each.width == widest]
        less = max(1, min(widest - next_one, excess // len(alike)))
        for each in alike:
            each.width -= less


def seen_len(text: str) -> int:
    """Columns that a text takes."""
    return len(text) if text.isascii() else cell_len(text)


def visible(markup: str) -> str:
    """What is seen of Rich markup."""
    return Text.from_markup(markup).plain if "[" in markup or "\\" in markup else markup


def dressed(column: str, cell: Any, look: Look) -> str:
    if cell in (None, "") or column not in look.cells:
        text = pretty(cell)
        return escape(text) if "[" in text or "\\" in text else text
    return look.cells[column](shown(cell) if isinstance(cell, str) else cell)


def is_number_column(cells: Sequence[Any]) -> bool:
    """Whether all cells that hold something are numbers."""
    filled = [cell for cell in cells if cell not in (None, "")]
    return bool(filled) and all(isinstance(cell, (int, float)) for cell in filled)


def pretty(cell: Any) -> str:
    if cell is None:
        return "–"
    if isinstance(cell, bool) or not isinstance(cell, (int, float)):
        return shown(str(cell))
    return f"{cell:,}" if isinstance(cell, int) else f"{cell:.4g}"


def plain(cell: Any) -> Any:
    return "" if cell is None else shown(cell) if isinstance(cell, str) else cell


def short(count: int | None) -> str:
    """12,345,678 -> 12.3 M: for places where digits would not be read."""
    return "–" if count is None else scaled(count, 1000, ("", " k", " M", " G", " T"))


def bytes_text(size: int) -> str:
    """480 -> `480   B`, 18816 -> `18.4 KiB`: units of one width, so that they stand in a column."""
    return scaled(size, 1024, ("   B", " KiB", " MiB", " GiB", " TiB"), decimals=True)


def scaled(count: int, step: int, units: Sequence[str], decimals: bool = False) -> str:
    """A number below `step` with its unit, three digits or one decimal."""
    value, index = float(count), 0
    while round(value, 1) >= step and index < len(units) - 1:
        value, index = value / step, index + 1
    if index == 0:
        return f"{count}{units[0]}"
    return f"{value:.1f}{units[index]}" if decimals else f"{three_digits(value)}{units[index]}"


def three_digits(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
