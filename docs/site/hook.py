"""The site's files: its pages, and what they link, at the places that they have in the repository."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\]\(([^()\s:#]+)(?:#[^()\s]*)?\)")
HERE = ("docs/site/extra.css",)


def on_files(files: Files, config: Any) -> Files:
    """The theme's files and ours; what MkDocs has found in `docs` gets the names that it has from the root."""
    found = Files(
        [each for each in files if each.abs_src_path is None or ROOT / "docs" not in Path(each.abs_src_path).parents]
    )
    pages = [path for item in _pages(config["nav"]) if (path := ROOT / item).is_file()]
    linked = {target for page in pages for target in _linked(page)}
    for path in sorted({*pages, *linked, *(ROOT / name for name in HERE)}):
        found.append(File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)))
    return found


def _pages(nav: Any) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    parts = nav.values() if isinstance(nav, dict) else nav
    return [name for part in parts for name in _pages(part)]


def _linked(page: Path) -> list[Path]:
    """The files of the repository that a page links: pictures, recipes, programs."""
    found = [(page.parent / target).resolve() for target in LINK.findall(page.read_text(encoding="utf-8"))]
    return [path for path in found if path.is_file() and ROOT in path.parents]
