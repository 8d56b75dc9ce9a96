"""Rows of data as a table, JSON, CSV or Markdown on standard output."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

Row = Sequence[Any]
WIDE = 32_000
"""Columns where output is not a terminal: nothing is cut."""


def render(columns: Sequence[str], rows: Sequence[Row], form: str, *, total: Row | None = None, title: str = "") -> str:
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
    return draw(columns, rows, total, title)


def draw(columns: Sequence[str], rows: Sequence[Row], total: Row | None, title: str) -> str:
    """A table as text, coloured on a terminal."""
    console = Console(highlight=False)
    table = Table(box=box.SIMPLE_HEAD, title=title or None, title_justify="left", pad_edge=False, show_footer=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if is_number_column(rows, index) else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    if total is not None:
        table.add_section()
        table.add_row(*(escape(cell) for cell in total), style="bold")
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDE)
    with console.capture() as capture:
        console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().splitlines()).strip("\n") + "\n"


def escape(cell: Any) -> str:
    return pretty(cell).replace("[", "\\[")


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
    if count is None:
        return "–"
    value = float(count)
    for unit in ("", " k", " M", " G", " T"):
        if value < 1000 or unit == " T":
            return f"{value:.3g}{unit}" if unit else str(count)
        value /= 1000
    raise AssertionError
