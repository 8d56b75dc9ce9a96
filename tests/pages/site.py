"""The built site: every link, picture and anchor within it leads somewhere, and nothing is loaded from elsewhere.

python -m tests.pages.site FOLDER
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADS = {("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src"), ("link", "href")}
LINKS = {*LOADS, ("a", "href")}
NOT_LOADED = {"canonical", "next", "prev"}


class Reader(HTMLParser):
    """The anchors of a page, and where it leads."""

    def __init__(self) -> None:
        super().__init__()
        self.anchors: set[str] = {""}
        self.leads: list[tuple[str, bool]] = []
        """Each with whether it is loaded with the page."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if "id" in given:
            self.anchors.add(given["id"])
        for name, value in given.items():
            if (tag, name) in LINKS:
                self.leads.append((value, (tag, name) in LOADS and given.get("rel") not in NOT_LOADED))


def read(path: Path) -> Reader:
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    return reader


def faults(folder: Path) -> list[str]:
    """What is wrong, a line each."""
    pages = {path: read(path) for path in sorted(folder.rglob("*.html"))}
    found = []
    for page, reader in pages.items():
        name = page.relative_to(folder).as_posix()
        for lead, loaded in reader.leads:
            parts = urlsplit(lead)
            if parts.scheme or parts.netloc:
                if loaded and parts.scheme != "data":
                    found.append(f"{name} loads {lead}")
                continue
            base = folder if parts.path.startswith("/") else page.parent
            target = (base / unquote(parts.path).lstrip("/")).resolve() if parts.path else page
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file():
                found.append(f"{name} leads to {lead}, which is not there")
            elif target in pages and unquote(parts.fragment) not in pages[target].anchors:
                found.append(f"{name} leads to {lead}, which has no such anchor")
    return found


def main(folder: Path) -> int:
    found = faults(folder.resolve())
    count = len(list(folder.rglob("*.html")))
    print(*found, f"{count} pages, {len(found)} links wrong", sep="\n")
    return 1 if found or count < 40 else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
