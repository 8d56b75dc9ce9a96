"""Lists as they are written: the rows of a CSV file or the mappings of a JSON file, each with its line."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphc.data.endings import is_image
from graphc.data.reading import open_regular
from graphc.errors import DataError, Place, did_you_mean, twice_in
from graphc.files import read_open, shown

CSV_BYTES = 26
JSON_BYTES = 12
"""Bytes of memory that a byte of a list takes while it becomes examples, as measured on lists with a name, a class and
a number a line, and on COCO's polygons."""
LONGEST_PATH = 4_096
"""Characters; a path's parts are looked up one after the other."""
DELIMITERS = (",", ";", "\t", "|")
SHOWN = 12
"""Columns that an error lists."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a list."""

    values: Mapping[str, Any]
    """By column: texts of CSV, values of JSON."""
    line: int


@dataclass(frozen=True, slots=True)
class Table:
    """A list."""

    path: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    is_json: bool

    def error(self, line: int, message: str, code: str = "G411") -> DataError:
        """An error at a line."""
        return DataError(code, message, Place(self.path, line, 1))

    def without(self, column: str, role: str) -> DataError:
        """The error for a column that is not there; `role`: what would have been read from it."""
        found = ", ".join(self.columns[:SHOWN]) + (" …" if len(self.columns) > SHOWN else "")
        kind = "key" if self.is_json else "column"
        message = f"expected a {kind} {column!r}{did_you_mean(column, self.columns)}, found {found}"
        notes = [f"`columns: {{{role}: NAME}}` says which {kind} it is"]
        return DataError("G411", message, Place(self.path, 1, 1), notes)


def read_table(path: Path, image: str, delimiter: str | None, limit: int) -> Table:
    """The rows of a .json, .jsonl or CSV file; `image`: the column that every list has; `limit`: bytes of memory."""
    suffix = path.suffix.lower()
    is_json = suffix in (".json", ".jsonl", ".ndjson")
    text = read_text(path, limit, JSON_BYTES if is_json else CSV_BYTES)
    if is_json:
        rows = tuple(_json_rows(text, shown(path), lines=suffix != ".json"))
        columns = tuple(dict.fromkeys(key for row in rows for key in row.values))
        return Table(shown(path), columns, rows, True)
    return _csv_table(text, shown(path), image, delimiter)


def read_text(path: Path, limit: int, each: int) -> str:
    """A file's text, which is in UTF-8; a DataError where it is larger than `limit` bytes of memory have room for, of
    which a byte takes `each`."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size * each > limit:
            found = f"a list of {size:,} bytes takes about {each} times that in memory"
            raise DataError("G407", f"{found}, the limit is {limit:,} (--max-memory raises it)", Place(shown(path)))
        data = read_open(file, path, size, DataError, "G401")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in data[:4]:
        raise DataError("G411", "expected text in UTF-8, found UTF-16: save it as UTF-8", Place(shown(path)))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError("G411", f"expected text in UTF-8: {error.reason}", Place(shown(path), line, 1)) from None


def is_path(value: Any) -> bool:
    """Whether a value is a text that a file can be called, and no longer than systems take."""
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_PATH:
        return False
    if value.isascii():
        return "\0" not in value
    try:
        return b"\0" not in value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a character, as JSON can write it
        return False


def read_json(path: Path, limit: int) -> Any:
    """The value in a JSON file, of which `limit` bytes of memory have room for."""
    text = read_text(path, limit, JSON_BYTES)
    try:
        return json.loads(text, object_pairs_hook=mapping_of)
    except (ValueError, RecursionError) as error:
        raise DataError("G411", f"expected JSON: {error}", Place(shown(path))) from None


def _csv_table(text: str, path: str, image: str, delimiter: str | None) -> Table:
    delimiter = _delimiter(text, path, image) if delimiter is None else delimiter
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    columns: tuple[str, ...] = ()
    rows: list[Row] = []
    line = 1
    try:
        for cells in reader:
            values = [*map(str.strip, cells)]
            if not any(values):
                pass
            elif not columns:
                columns = _header(values, path, line)
            elif len(values) != len(columns):
                hint = f"; a value that holds {delimiter!r} stands in quotes" if len(values) > len(columns) else ""
                message = f"expected {len(columns)} values ({', '.join(columns[:SHOWN])}), found {len(values)}{hint}"
                raise DataError("G411", message, Place(path, line, 1))
            else:
                rows.append(Row(dict(zip(columns, values, strict=True)), line))
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError("G411", f"the line cannot be read: {error}", Place(path, line, 1)) from None
    return Table(path, columns, tuple(rows), False)


def _header(values: list[str], path: str, line: int) -> tuple[str, ...]:
    twice = twice_in(name for name in values if name)
    if twice is not None:
        raise DataError("G411", f"expected a header of different columns, found {twice!r} twice", Place(path, line, 1))
    return tuple(values)


def _delimiter(text: str, path: str, image: str) -> str:
    """The delimiter with which the header has the column of images; a comma where it is the only column."""
    header = next((line for line in text.splitlines() if line.strip()), "")
    found = [sign for sign in DELIMITERS if sign in header]
    fitting = [
        sign for sign in found or DELIMITERS[:1] if image in (name.strip().strip('"') for name in header.split(sign))
    ]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        message = f"expected a header with one delimiter, found {_short(header)}, which several split"
        notes = [f"`delimiter` says which: one of {', '.join(map(repr, fitting))}"]
        raise DataError("G411", message, Place(path, 1, 1), notes)
    columns = [name.strip() for name in (header.split(found[0]) if found else [header])]
    message = f"expected a header with the column {image!r}{did_you_mean(image, columns)}, found {_short(header)}"
    if is_image(columns[0].strip('"')):
        notes = ["the first line names the columns: `image,label`"]
    elif not found and image in header.split():
        notes = [f"between values stands one of {', '.join(map(repr, DELIMITERS))}"]
    else:
        notes = [f"`columns: {{image: {columns[0]}}}` says which column has the images"] if columns[0] else []
    if len(found) > 1:
        notes.append(f"`delimiter` says what stands between values: one of {', '.join(map(repr, found))}")
    raise DataError("G411", message, Place(path, 1, 1), notes)


def _short(text: str) -> str:
    return repr(text.strip()[:80])


def mapping_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A mapping of JSON; a ValueError where it has a key twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"the key {twice_in(key for key, _ in pairs)!r} stands twice in a mapping")
    return found


def _json_rows(text: str, path: str, lines: bool) -> Iterator[Row]:
    """The mappings of a JSON list, or of a file with one on each line."""
    decoder, at, line = json.JSONDecoder(object_pairs_hook=mapping_of), 0, 1
    space = re.compile(r"[ \t\n\r]*")

    def skipped(to: int) -> int:
        nonlocal line
        end = space.match(text, to).end()  # type: ignore[union-attr]
        line += text.count("\n", at, end)
        return end

    at = skipped(0)
    if not lines:
        if text[at : at + 1] != "[":
            wanted = "expected a list of mappings with `image`"
            hint = " (one mapping a line is .jsonl)" if text[at : at + 1] == "{" else ""
            raise DataError("G411", f"{wanted}{hint}", Place(path, line, 1))
        at = skipped(at + 1)
    closed = lines
    while at < len(text):
        if not lines and text[at] == "]":
            closed, at = True, skipped(at + 1)
            break
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raise DataError("G411", f"expected JSON: {error}", Place(path, line, 1)) from None
        if not isinstance(value, dict):
            raise DataError("G411", f"expected a mapping with `image`, found {value!r:.40}", Place(path, line, 1))
        yield Row(value, line)
        at = skipped(end)
        if not lines and text[at : at + 1] == ",":
            at = skipped(at + 1)
        elif not lines and text[at : at + 1] != "]":
            raise DataError("G411", "expected JSON: a comma or the list's end is missing", Place(path, line, 1))
    if not closed or at < len(text):
        found = "more behind the list" if closed else "the end of the file inside the list"
        raise DataError("G411", f"expected JSON, found {found}", Place(path, line, 1))
