"""What is not read of a folder or an archive, counted by kind and said in one line."""

from __future__ import annotations

from enum import Enum

from graphc.data.endings import ending_of, why_not_read
from graphc.files import shown

SHOWN = 4
"""Names of a kind that are listed."""


class Why(Enum):
    """Why something is left out: how one and several are called, and what is shown of them."""

    HIDDEN = ("hidden file", "hidden files", "name")
    HIDDEN_FOLDER = ("hidden folder", "hidden folders", "name")
    NO_IMAGE = ("file that is no image", "files that are no images", "ending")
    OTHER_FORMAT = ("image in a format that is not read", "images in formats that are not read", "ending")
    NO_CLASS = ("image beside the classes' folders", "images beside the classes' folders", "name")
    EMPTY = ("folder without images", "folders without images", "name")
    LINK = ("link or device", "links and devices", "name")
    OUTSIDE = ("name that leads out of the archive", "names that lead out of the archive", "path")
    OTHER_LETTERS = ("name that is not in UTF-8 (read as cp437)", "names that are not in UTF-8 (read as cp437)", "path")
    REPEATED = ("earlier file of the same name", "earlier files of the same name", "path")


class LeftOut:
    """Counts and some names of what is left out."""

    def __init__(self) -> None:
        self._counts: dict[Why, int] = {}
        self._shown: dict[Why, dict[str, None]] = {}

    def add(self, why: Why, path: str) -> None:
        """Count a file or folder; its path has `/` between parts."""
        self._counts[why] = self._counts.get(why, 0) + 1
        listed = self._shown.setdefault(why, {})
        if len(listed) <= SHOWN:
            listed[_part(path, why.value[2])] = None

    def count(self, why: Why) -> int:
        return self._counts.get(why, 0)

    def notes(self) -> tuple[str, ...]:
        """`left out: 3 hidden files (.DS_Store), 2 files that are no images (.txt)`; nothing where nothing is."""
        found = [self._said(why) for why in Why if why in self._counts and why is not Why.OTHER_LETTERS]
        odd = (self._said(Why.OTHER_LETTERS),) if Why.OTHER_LETTERS in self._counts else ()
        return (f"left out: {', '.join(found)}", *odd) if found else odd

    def _said(self, why: Why) -> str:
        one, several, _ = why.value
        count, names = self._counts[why], list(self._shown[why])
        listed = ", ".join(names[:SHOWN]) + (" …" if len(names) > SHOWN else "")
        hint = f": {why_not_read(names)}" if why is Why.OTHER_FORMAT else ""
        return f"{count:,} {one if count == 1 else several} ({listed}{hint})"


def _part(path: str, part: str) -> str:
    name = path.rstrip("/").rpartition("/")[2]
    if part == "ending":
        return shown(ending_of(name)) or "no ending"
    return shown(name if part == "name" else path)
