"""Standard output and error, which may be closed, or unable to show more than ASCII or a country's letters."""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

LOOK_ALIKES = {
    "×": "x", "→": "->", "←": "<-", "…": "...", "–": "-", "—": "-", "·": ".", "±": "+-", "²": "2", "³": "3", "≤": "<=",
    "≥": ">=", "≈": "~", "π": "pi", "Φ": "Phi", "\u0302": "^", "•": "*", "█": "#", "▉": "#", "▊": "#", "▋": "#",
    "▌": "#", "▍": "#", "▎": "#", "▏": "#", "│": "|", "║": "|", "─": "-", "━": "-", "═": "=", "╸": "-", "╺": "-",
}  # fmt: skip
"""What is shown where an encoding lacks a character of ours."""
CORNERS = range(0x2500, 0x2580)
"""The other characters that boxes are drawn with: a plus."""
ON_ERROR = "graphc.look_alike"


def open_streams() -> None:
    """Standard output and error that take every text. A stream is None where the caller has closed it."""
    codecs.register_error(ON_ERROR, look_alike)
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    sys.stdout, sys.stderr = whole(sys.stdout), whole(sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=ON_ERROR)


def whole(stream: TextIO) -> TextIO:
    """A stream that writes all of a text: Python's own drops what the system did not take at once, where it has no
    buffer (PYTHONUNBUFFERED)."""
    raw: Any = getattr(stream, "buffer", None)
    if not isinstance(stream, io.TextIOWrapper) or not isinstance(raw, io.RawIOBase):
        return stream
    buffered = None
    try:
        buffered = io.BufferedWriter(raw)
        found = io.TextIOWrapper(buffered, stream.encoding, stream.errors, line_buffering=True)
    except MemoryError:  # as it is, then
        if buffered is not None:
            buffered.detach()  # or it would close the stream at its end
        return stream
    stream.detach()  # for the same reason
    return found


def look_alike(error: UnicodeError) -> tuple[str | bytes, int]:
    """Of the first character that an encoding lacks, one that looks like it; else its number, `\\u4e2d`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letter = error.object[error.start]
    plain = LOOK_ALIKES.get(letter) or ("+" if ord(letter) in CORNERS else None)
    return plain or letter.encode("ascii", "backslashreplace").decode("ascii"), error.start + 1


def discard_output() -> None:
    """Let standard output lead nowhere: nobody reads it any more."""
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """What libraries write to standard output and error meanwhile, past Python too, is not shown: results stay what
    a command prints. A stream that is closed stays so."""
    with contextlib.ExitStack() as undo:
        for number, stream in enumerate((sys.stdout, sys.stderr), start=1):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
                _lead_elsewhere(number, undo)
        yield


def _lead_elsewhere(number: int, undo: contextlib.ExitStack) -> None:
    """Let a descriptor lead nowhere until `undo` is closed."""
    kept = os.dup(number)
    undo.callback(os.close, kept)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), number)
    undo.callback(os.dup2, kept, number)
