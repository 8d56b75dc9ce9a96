"""A package of a folder as if it were installed, for pages: `python -m tests.pages.installed FOLDER`.

Its modules and what `pip` writes of its entry points are put into the working folder, which Python looks through.
"""

from __future__ import annotations

import shutil
import sys
import tomllib
from pathlib import Path


def install(source: Path, target: Path) -> None:
    """Copy the package's modules and write its metadata: name, version, entry points."""
    project = tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    name = project["name"].replace("-", "_")
    shutil.copytree(source / name, target / name)
    metadata = target / f"{name}-{project['version']}.dist-info"
    metadata.mkdir()
    told = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (metadata / "METADATA").write_text(told, encoding="utf-8")
    groups = project["entry-points"].items()
    lines = [line for group, points in groups for line in (f"[{group}]", *(f"{k} = {v}" for k, v in points.items()))]
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    install(Path(sys.argv[1]), Path.cwd())
