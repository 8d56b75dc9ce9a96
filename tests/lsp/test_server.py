"""The real server, as a process, driven by pygls' own client: what it says in the protocol's terms."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.lsp.session import HEAD

pytest.importorskip("pygls")

from lsprotocol import types as lsp
from pygls.lsp.client import LanguageClient

PATIENCE = 300.0
"""Seconds, on a machine with much else to do."""


class Editor:
    """A client with one document."""

    def __init__(self, path: Path) -> None:
        self.uri = path.as_uri()
        self.document = lsp.TextDocumentIdentifier(self.uri)
        self.client = LanguageClient("test", "1")
        self.told: list[lsp.PublishDiagnosticsParams] = []
        self.version = 0
        self.news = asyncio.Event()

        @self.client.feature(lsp.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
        def _told(ls: Any, params: lsp.PublishDiagnosticsParams) -> None:
            self.told.append(params)
            self.news.set()

    async def start(self) -> lsp.InitializeResult:
        await self.client.start_io(sys.executable, "-m", "graphc", "lsp")
        options = {"hints": {"params": True}}
        found = await self.client.initialize_async(
            lsp.InitializeParams(capabilities=lsp.ClientCapabilities(), initialization_options=options)
        )
        self.client.initialized(lsp.InitializedParams())
        return found

    async def open(self, text: str) -> list[lsp.Diagnostic]:
        self.version += 1
        item = lsp.TextDocumentItem(self.uri, "yaml", self.version, text)
        self.client.text_document_did_open(lsp.DidOpenTextDocumentParams(item))
        return await self.diagnostics()

    async def write(self, line: int, start: int, end: int, text: str) -> list[lsp.Diagnostic]:
        """Replace columns of a line."""
        self.version += 1
        span = lsp.Range(lsp.Position(line, start), lsp.Position(line, end))
        change = lsp.TextDocumentContentChangePartial(range=span, text=text)
        identifier = lsp.VersionedTextDocumentIdentifier(version=self.version, uri=self.uri)
        self.client.text_document_did_change(lsp.DidChangeTextDocumentParams(identifier, [change]))
        return await self.diagnostics()

    async def diagnostics(self) -> list[lsp.Diagnostic]:
        """Those of the newest text."""
        async with asyncio.timeout(PATIENCE):
            while not any(each.version == self.version for each in self.told):
                self.news.clear()
                await self.news.wait()
        return list(next(each for each in self.told if each.version == self.version).diagnostics)

    async def stop(self) -> None:
        await self.client.shutdown_async(None)
        self.client.exit(None)
        await self.client.stop()


async def session(path: Path) -> None:
    editor = Editor(path)
    capabilities = (await editor.start()).capabilities
    assert capabilities.inlay_hint_provider
    assert capabilities.rename_provider
    text = HEAD + "# 😋 a face\nlayers:\n  - conv2d: {filtrs: 4, kernel: 3}\n"
    (wrong,) = await editor.open(text)
    assert (wrong.code, wrong.source, wrong.severity) == ("G111", "graphc", lsp.DiagnosticSeverity.Error)
    assert (wrong.range.start, wrong.range.end) == (lsp.Position(4, 13), lsp.Position(4, 19))
    here = lsp.Range(wrong.range.start, wrong.range.end)
    (action,) = await editor.client.text_document_code_action_async(
        lsp.CodeActionParams(editor.document, here, lsp.CodeActionContext([wrong]))
    )
    assert isinstance(action, lsp.CodeAction)
    assert action.edit is not None
    assert action.edit.changes is not None
    assert [(each.range, each.new_text) for each in action.edit.changes[editor.uri]] == [(here, "filters")]
    assert await editor.write(4, 13, 19, "filters") == []
    everywhere = lsp.Range(lsp.Position(0, 0), lsp.Position(9, 0))
    (hint,) = await editor.client.text_document_inlay_hint_async(lsp.InlayHintParams(editor.document, everywhere))
    assert hint.label == "32×32×4, 112 params"
    told = await editor.client.text_document_hover_async(lsp.HoverParams(editor.document, lsp.Position(4, 6)))
    assert isinstance(told.contents, lsp.MarkupContent)
    assert "| conv2d | 32×32×4 |" in told.contents.value
    await editor.write(4, 34, 34, ", ")
    found = await editor.client.text_document_completion_async(
        lsp.CompletionParams(editor.document, lsp.Position(4, 36))
    )
    assert {"padding", "stride"} <= {each.label for each in found.items}
    formatted = await editor.client.text_document_formatting_async(
        lsp.DocumentFormattingParams(editor.document, lsp.FormattingOptions(2, True))
    )
    assert not formatted, "nothing to do"
    with pytest.raises(Exception, match="expected a layer"):
        await editor.client.text_document_rename_async(lsp.RenameParams(editor.document, lsp.Position(4, 6), "other"))
    await editor.stop()


def test_a_session(tmp_path: Path) -> None:
    asyncio.run(session(tmp_path / "net.yaml"))
