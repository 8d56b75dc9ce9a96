"""The texts that an editor has open, and their analyses, made once for what they say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from graphc.errors import GraphcError
from graphc.files import read_limited
from graphc.lsp.analysis import Analysis, Kind, analyze, kind_of
from graphc.lsp.outline import Outline, read_outline
from graphc.lsp.text import Text
from graphc.spec.source import LIMITS
from graphc.spec.zoo import zoo_folder


@dataclass(slots=True)
class Document:
    """A text that is open."""

    path: Path
    text: Text
    version: int
    analysis: Analysis | None = None
    """The newest; of an older text where that of this one is not made yet."""
    changes: int = 0
    """Counts every change of it, and of the open files that it consists of."""
    analyzed: int = -1
    """The number of changes with which the analysis was made."""
    outline: Outline | None = None
    was: Kind = "other"
    """What it was when it last said so."""

    @property
    def is_fresh(self) -> bool:
        """Whether the analysis is of what is open now."""
        return self.analyzed == self.changes

    @property
    def fresh(self) -> Analysis | None:
        """The analysis, where it is of what is open now."""
        return self.analysis if self.is_fresh else None

    @property
    def kind(self) -> Kind:
        self.was = kind_of(self.read(), self.was)
        return self.was

    def read(self) -> Outline:
        """What this very text says by itself: quick, also where the analysis is not made yet."""
        if self.outline is None or self.outline.text is not self.text:
            self.outline = read_outline(self.text, str(self.path))
        return self.outline


@dataclass(slots=True)
class Documents:
    """All that are open. Paths are absolute."""

    open: dict[Path, Document] = field(default_factory=dict)
    _outlines: dict[Path, tuple[object, Outline]] = field(default_factory=dict)

    def put(self, path: Path, content: str, version: int) -> Document:
        """Open a text, or give it another content."""
        document = self.open.get(path)
        if document is None:
            document = self.open[path] = Document(path, Text(content), version)
        elif document.text.content != content:
            document.text = Text(content)
        document.version = version
        self.changed(path)
        return document

    def close(self, path: Path) -> None:
        self.changed(path)
        self.open.pop(path, None)

    def changed(self, path: Path) -> list[Document]:
        """The open documents that mean something else since a file changed."""
        found = [each for each in self.open.values() if each.path == path or path in files_of(each) or is_lost(each)]
        for each in found:
            each.changes += 1
        return found

    def unsaved(self) -> dict[str, str]:
        """Every open text by its path."""
        return {str(path): document.text.content for path, document in self.open.items()}

    def analyze(self, document: Document) -> Analysis:
        """The analysis of a document as it is now."""
        if document.analysis is None or not document.is_fresh:
            changes = document.changes
            self.keep(document, analyze(document.text.content, document.path, self.unsaved(), document.kind), changes)
        assert document.analysis is not None
        return document.analysis

    def keep(self, document: Document, analysis: Analysis, changes: int) -> bool:
        """Take over an analysis of a document after so many changes, unless there is a newer one; whether it is of
        what is open now."""
        if changes > document.analyzed:
            document.analysis, document.analyzed = analysis, changes
        return document.is_fresh

    def outline(self, path: Path) -> Outline | None:
        """What a file says by itself, open or not; None where it cannot be read."""
        document = self.open.get(path)
        if document is not None:
            return document.read()
        try:
            stamp = path.stat().st_mtime_ns
            known = self._outlines.get(path)
            if known is not None and known[0] == stamp:
                return known[1]
            text = read_limited(path, LIMITS.file_bytes).decode("utf-8")
        except (OSError, ValueError, GraphcError):
            return None
        outline = read_outline(Text(text), str(path))
        self._outlines[path] = (stamp, outline)
        return outline

    def family(self, document: Document) -> Iterator[tuple[Path, Outline]]:
        """The file, then every file that it consists of, and the open specs that consist of it with theirs."""
        seen: dict[Path, None] = {document.path: None}
        for root in [document, *(other for other in self.open.values() if document.path in files_of(other))]:
            seen |= dict.fromkeys([root.path, *files_of(root)])
        for path in seen:
            outline = self.outline(path)
            if outline is not None:
                yield path, outline


def is_lost(document: Document) -> bool:
    """Whether a file was not found that a document consists of."""
    return document.analysis is not None and any(error.code == "G181" for error in document.analysis.errors)


def files_of(document: Document) -> list[Path]:
    """The files that a spec extends or includes, as its last analysis found them."""
    analysis = document.analysis
    if analysis is None:
        return []
    found = []
    for name in list(analysis.files)[1:]:
        path = document.path.parent / name
        if not path.is_file() and "zoo/" in name:
            path = zoo_folder() / name[name.index("zoo/") + 4 :]
        found.append(path)
    return found
