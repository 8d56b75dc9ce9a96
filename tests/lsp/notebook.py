"""Runs a notebook without a browser: `python -m tests.lsp.notebook NOTEBOOK [OUTPUT]`; every cell with its output."""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient


def main(path: Path, output: Path | None) -> int:
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": path.parent}}
    ).execute()
    kinds = set()
    for cell in notebook.cells:
        for each in cell.get("outputs", ()):
            kinds |= set(each.get("data", {}))
    missing = {"text/html", "image/svg+xml", "image/png"} - kinds  # tables, the net, learning curves
    if output is not None:
        nbformat.write(notebook, output)
    print(f"{path}: {len(notebook.cells)} cells, shows {', '.join(sorted(kinds))}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]) if sys.argv[2:] else None))
