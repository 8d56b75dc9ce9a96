"""A text with a cursor, `|`, as an editor has it open."""

from __future__ import annotations

from pathlib import Path

from graphc.lsp.documents import Document, Documents
from graphc.lsp.navigation import applied
from graphc.lsp.types import Edit, Position

HEAD = "graphc: 1\ninputs: {image: [N, 32, 32, 3]}\n"


class Session:
    """A folder with texts; the last one opened has the cursor."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.documents = Documents()

    def save(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def open(self, text: str, name: str = "net.yaml", *, analyzed: bool = True) -> tuple[Document, Position]:
        before, bar, after = text.partition("|")
        assert bar or not after
        document = self.documents.put(self.folder / name, before + after, 1)
        if analyzed:
            self.documents.analyze(document)
        lines = before.split("\n")
        return document, Position(len(lines) - 1, len(lines[-1]))

    def after(self, edits: list[Edit] | tuple[Edit, ...], path: Path) -> str:
        """The text of a file with the changes made that are its."""
        outline = self.documents.outline(path)
        assert outline is not None
        return applied(outline.text.content, [edit for edit in edits if edit.path == path])
