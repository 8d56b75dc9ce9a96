"""What an editor has open, and asks the language server about it."""

from __future__ import annotations

import random
import zlib
from collections.abc import Sequence
from pathlib import Path

from graphc.errors import SpecError
from graphc.lsp.actions import actions
from graphc.lsp.completion import complete
from graphc.lsp.diagnostics import diagnostics, diagnostics_elsewhere
from graphc.lsp.documents import Document, Documents
from graphc.lsp.hints import hints
from graphc.lsp.hover import hover
from graphc.lsp.navigation import definition, references, rename, rename_span
from graphc.lsp.symbols import folds, symbols
from graphc.lsp.text import Text
from graphc.lsp.types import HintChoice

from .specs import RECIPE, SPEC, WHOLE, SpecParts

ALL = HintChoice(params=True, macs=True, receptive_field=True)
FAR = 2**31 - 1
"""As large as a line or a column may be in the protocol."""


class Editor(SpecParts):
    """A spec or recipe with errors, and every question about some positions in it; refused is what has errors."""

    name = "language server"
    needs = ("lsprotocol",)
    seconds = 5.0
    """An input is asked about some thirty times."""

    def seeds(self) -> Sequence[bytes]:
        face = "# 😋 a face\r\n" + SPEC.replace("\n", "\r\n")
        texts = [SPEC, face, RECIPE, WHOLE, "include: [zoo/blocks/mobilenet.yaml]\nblocks: {a: {layers: [relu]}}\n"]
        return [text.encode() for text in texts]

    def prepare(self) -> None:
        super().prepare()
        (self.folder / "net.yaml").write_text(SPEC)

    def read(self) -> None:
        documents = Documents()
        text = self.path.read_bytes().decode("utf-8", "surrogateescape")
        document = documents.put(self.path, text, 1)
        analysis = documents.analyze(document)
        answer(documents, document, random.Random(zlib.crc32(self.path.read_bytes())))
        if analysis.errors:
            raise analysis.errors[0]


def answer(documents: Documents, document: Document, rng: random.Random) -> None:
    """Ask everything that an editor may ask, and bring it into the protocol's form."""
    from lsprotocol import types as lsp

    from graphc.lsp import convert

    def text_of(path: Path) -> Text | None:
        found = documents.outline(path)
        return found.text if found is not None else None

    text = document.text
    assert document.analysis is not None
    told = diagnostics(document.analysis)
    list(diagnostics_elsewhere(document.analysis))
    for each in told:
        convert.diagnostic_to(text, each, text_of)
    for hint in hints(document.analysis, ALL):
        convert.hint_to(text, hint)
    for symbol in symbols(document.read()):
        convert.symbol_to(text, symbol)
    folds(document.read())
    lines = [rng.randrange(len(text.lines)) for _ in range(3)]
    asked = [(line, rng.randrange(2 * len(text.lines[line]) + 2)) for line in lines]
    asked += [(told[0].span.start.line, told[0].span.start.column)] if told else []
    for line, units in [*asked, (lines[0], FAR), (FAR, FAR)]:
        at = convert.position_from(text, lsp.Position(line, units))
        found = hover(document, at)
        if found is not None:
            convert.hover_to(text, found)
        for number, item in enumerate(complete(document, at)):
            convert.completion_to(text, item, number)
        for where in [
            *definition(documents, document, at), *references(documents, document, at, defined=True),
        ]:  # fmt: skip
            convert.location_to(where, text_of)
        rename_span(documents, document, at)
        try:
            edits = rename(documents, document, at, "other")
        except SpecError:
            edits = []
        convert.edits_to(edits, text_of)
    for line in lines:
        span = convert.span_from(text, lsp.Range(lsp.Position(0, 0), lsp.Position(line, FAR)))
        for action in actions(document, told, span):
            convert.action_to(text, action, text_of)
