"""Rows of data as a table, JSON, CSV or Markdown on standard output."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

Row = Sequence[Any]
WIDE = 32_000
"""Columns where output is not a terminal: nothing is cut."""


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
    """`form` is table, csv, md or json (a list of objects). Numbers stand right, in groups of three."""
    if form == "json":
        return json.dumps([dict(zip(columns, row, strict=True)) for row in rows], indent=1) + "\n"
    body = [*rows, total] if total is not None else list(rows)
    if form == "csv":
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([columns, *([plain(cell) for cell in row] for row in body)])
        return text.getvalue()
    if form == "md":
        lines = [columns, ["---:" if is_number_column(rows, i) else "---" for i in range(len(columns))], *body]
        return "".join(f"| {' | '.join(pretty(cell) for cell in line)} |\n" for line in lines)
    return draw(columns, rows, total, look)


def draw(columns: Sequence[str], rows: Sequence[Row], total: Row | None, look: Look) -> str:
    """A table as text: coloured and no wider than it on a terminal, as wide as it needs elsewhere."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDE)
    left_out: list[str] = []
    table = build(columns, rows, total, look, left_out)
    for name in look.spare:
        if console.measure(table, options=console.options.update_width(WIDE)).maximum <= console.width:
            break
        if name in columns:
            left_out.append(name)
            table = build(columns, rows, total, look, left_out)
    notes = list(look.notes)
    if left_out:
        notes.append(f"[dim]left out for width: {', '.join(left_out)} (--columns chooses)[/]")
    with console.capture() as capture:
        if look.title:
            console.print(look.title, style="bold")
        console.print(table)
        for note in notes:
            console.print(f" {note}")
    return "\n".join(line.rstrip() for line in capture.get().splitlines()).strip("\n") + "\n"


def build(columns: Sequence[str], rows: Sequence[Row], total: Row | None, look: Look, left_out: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    kept = [index for index, column in enumerate(columns) if column not in left_out]
    for index in kept:
        is_number = is_number_column(rows, index)
        table.add_column(columns[index], justify="right" if is_number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(dressed(columns[index], row[index], look) for index in kept))
    if total is not None:
        table.add_section()
        table.add_row(*(dressed(columns[index], total[index], look) for index in kept), style="bold")
    return table


def dressed(column: str, cell: Any, look: Look) -> str:
    if cell in (None, "") or column not in look.cells:
        return escape(pretty(cell))
    return look.cells[column](cell)


def is_number_column(rows: Sequence[Row], index: int) -> bool:
    cells = [row[index] for row in rows if row[index] not in (None, "")]
    return bool(cells) and all(isinstance(cell, (int, float)) for cell in cells)


def pretty(cell: Any) -> str:
    if cell is None:
        return "–"
    if isinstance(cell, bool) or not isinstance(cell, (int, float)):
        return str(cell)
    return f"{cell:,}" if isinstance(cell, int) else f"{cell:.4g}"


def plain(cell: Any) -> Any:
    return "" if cell is None else cell


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
