"""`graphc lsp`: the protocol, by pygls, around the features.

A change of a text is analyzed in a thread, so that requests are answered meanwhile; the analysis of a text that was
changed again is dropped. What needs the analysis waits for it a moment; an editor is told when hints are new.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcInvalidParams
from pygls.lsp.server import LanguageServer

from graphc import __version__
from graphc.errors import GraphcError, SpecError
from graphc.lsp import convert
from graphc.lsp.actions import actions
from graphc.lsp.analysis import analyze
from graphc.lsp.completion import complete
from graphc.lsp.diagnostics import diagnostics, diagnostics_elsewhere, moved
from graphc.lsp.documents import Document, Documents
from graphc.lsp.hints import hints
from graphc.lsp.hover import hover
from graphc.lsp.navigation import definition, references, rename, rename_span
from graphc.lsp.schema_walk import reader_of
from graphc.lsp.symbols import folds, symbols
from graphc.lsp.text import Text
from graphc.lsp.types import Diagnostic, HintChoice, Position
from graphc.report.vocabulary import words
from graphc.spec.layout import laid_out
from graphc.spec.library import library

PAUSE = 0.02
"""Seconds without a change before a text is analyzed."""
EVERY = 4
"""After so many analyses all that is left of them is freed; after each one what is youngest."""
PATIENCE = 0.1
"""Seconds that a request waits for the analysis of the newest text."""


class GraphcServer(LanguageServer):
    """One client's documents."""

    def __init__(self) -> None:
        super().__init__("graphc", __version__, text_document_sync_kind=lsp.TextDocumentSyncKind.Incremental)
        self.documents = Documents()
        self.choice = HintChoice()
        self.running: dict[Path, asyncio.Task[None]] = {}
        self.uris: dict[Path, str] = {}
        self.analyzed = 0
        """How many texts."""

    def text_of(self, path: Path) -> Text | None:
        outline = self.documents.outline(path)
        return outline.text if outline is not None else None

    def document(self, uri: str) -> Document | None:
        return self.documents.open.get(convert.path_of(uri))

    def changed(self, uri: str, content: str, version: int) -> None:
        """Take over what the editor has, and analyze all that it changes."""
        path = convert.path_of(uri)
        self.uris[path] = uri
        self.documents.put(path, content, version)
        for document in list(self.documents.open.values()):
            if not document.is_fresh:
                self.schedule(document)

    def schedule(self, document: Document) -> None:
        if document.path not in self.running:
            self.running[document.path] = asyncio.get_running_loop().create_task(self.work(document))

    async def work(self, document: Document) -> None:
        """Analyze a document until what is known is of what it says."""
        try:
            while not document.is_fresh and document.path in self.documents.open:
                await asyncio.sleep(PAUSE)
                changes, content, unsaved = document.changes, document.text.content, self.documents.unsaved()
                made = await asyncio.to_thread(analyze, content, document.path, unsaved, document.kind)
                if self.documents.keep(document, made, changes):
                    self.publish(document)
        finally:
            self.running.pop(document.path, None)
        self.collect()
        if self.client_capabilities_of_hints():
            self.workspace_inlay_hint_refresh(None)

    def collect(self) -> None:
        """Free old analyses, which are cycles, in some milliseconds."""
        if not self.analyzed:
            keep_what_is_there()
        else:
            gc.collect(2 if self.analyzed % EVERY == 0 else 0)
        self.analyzed += 1

    def client_capabilities_of_hints(self) -> bool:
        """Whether the editor asks again for hints when it is told to."""
        capabilities = getattr(self.protocol, "client_capabilities", None)  # not there before the client has begun
        workspace = capabilities.workspace if capabilities is not None else None
        hint = workspace.inlay_hint if workspace is not None else None
        return bool(hint is not None and hint.refresh_support)

    def publish(self, document: Document) -> None:
        """Show the diagnostics of a document, and of the open files that it consists of."""
        self.show(document)
        for other in self.documents.open.values():
            if other is not document and document.analysis is not None and other.analysis is not None:
                self.show(other)

    def show(self, document: Document) -> None:
        if document.analysis is None or not document.is_fresh:
            return
        found = [convert.diagnostic_to(document.text, each, self.text_of) for each in self.told(document)]
        params = lsp.PublishDiagnosticsParams(uri=self.uris[document.path], diagnostics=found, version=document.version)
        self.text_document_publish_diagnostics(params)

    def told(self, document: Document) -> list[Diagnostic]:
        """The diagnostics of a document: its own, and those that open specs find in it."""
        assert document.analysis is not None
        found = dict.fromkeys(diagnostics(document.analysis))
        for other in self.documents.open.values():
            if other is document or other.analysis is None:
                continue
            for path, place, each in diagnostics_elsewhere(other.analysis):
                if path == document.path:
                    found[moved(each, place, document.text)] = None
        return list(found)

    async def settled(self, document: Document) -> bool:
        """Wait a moment for the analysis of the newest text; whether it is there."""
        task = self.running.get(document.path)
        if not document.is_fresh and task is not None:
            await asyncio.wait([task], timeout=PATIENCE)
        return document.is_fresh


def keep_what_is_there() -> None:
    """What is there now (modules, schemas, documentation) is not looked at again when garbage is collected."""
    gc.collect()
    gc.freeze()


def make_server() -> GraphcServer:
    """A server with all features."""
    gc.set_threshold(100_000)
    sys.setswitchinterval(0.001)  # a request does not wait for the thread that analyzes
    server = GraphcServer()
    _watch_texts(server)
    _show(server)
    _navigate(server)
    _change(server)
    return server


def _watch_texts(server: GraphcServer) -> None:
    @server.feature(lsp.INITIALIZE)
    def _initialize(ls: GraphcServer, params: lsp.InitializeParams) -> None:
        ls.choice = HintChoice.of(convert.settings_from(params.initialization_options))

    @server.feature(lsp.INITIALIZED)
    async def _initialized(ls: GraphcServer, params: lsp.InitializedParams) -> None:
        await asyncio.to_thread(_warm_up)
        keep_what_is_there()

    @server.feature(lsp.WORKSPACE_DID_CHANGE_CONFIGURATION)
    def _configured(ls: GraphcServer, params: lsp.DidChangeConfigurationParams) -> None:
        ls.choice = HintChoice.of(convert.settings_from(params.settings))

    @server.feature(lsp.TEXT_DOCUMENT_DID_OPEN)
    def _opened(ls: GraphcServer, params: lsp.DidOpenTextDocumentParams) -> None:
        ls.changed(params.text_document.uri, params.text_document.text, params.text_document.version)

    @server.feature(lsp.TEXT_DOCUMENT_DID_CHANGE)
    def _changed(ls: GraphcServer, params: lsp.DidChangeTextDocumentParams) -> None:
        document = ls.document(params.text_document.uri)
        if document is not None:
            content = convert.changed(document.text, params.content_changes)
            ls.changed(params.text_document.uri, content, params.text_document.version)

    @server.feature(lsp.TEXT_DOCUMENT_DID_SAVE)
    def _saved(ls: GraphcServer, params: lsp.DidSaveTextDocumentParams) -> None:
        _files_changed(ls, [params.text_document.uri])

    @server.feature(lsp.WORKSPACE_DID_CHANGE_WATCHED_FILES)
    def _watched(ls: GraphcServer, params: lsp.DidChangeWatchedFilesParams) -> None:
        _files_changed(ls, [each.uri for each in params.changes])

    @server.feature(lsp.TEXT_DOCUMENT_DID_CLOSE)
    def _closed(ls: GraphcServer, params: lsp.DidCloseTextDocumentParams) -> None:
        uri = params.text_document.uri
        ls.documents.close(convert.path_of(uri))
        ls.text_document_publish_diagnostics(lsp.PublishDiagnosticsParams(uri=uri, diagnostics=[]))


def _warm_up() -> None:
    """Load what the first requests would wait for."""
    words()
    library()
    for kind in ("spec", "recipe"):
        reader_of(kind)


def _files_changed(ls: GraphcServer, uris: list[str]) -> None:
    """Files on the disk are others now: analyze what consists of them."""
    for uri in uris:
        ls.documents.changed(convert.path_of(uri))
    for document in list(ls.documents.open.values()):
        if not document.is_fresh:
            ls.schedule(document)


def _show(server: GraphcServer) -> None:
    @server.feature(lsp.TEXT_DOCUMENT_INLAY_HINT)
    async def _hints(ls: GraphcServer, params: lsp.InlayHintParams) -> list[lsp.InlayHint]:
        document = ls.document(params.text_document.uri)
        if document is None or not await ls.settled(document) or document.analysis is None:
            return []
        found = hints(document.analysis, ls.choice, params.range.start.line, params.range.end.line)
        return [convert.hint_to(document.text, each) for each in found]

    @server.feature(lsp.TEXT_DOCUMENT_HOVER)
    async def _hover(ls: GraphcServer, params: lsp.HoverParams) -> lsp.Hover | None:
        document = ls.document(params.text_document.uri)
        if document is None:
            return None
        await ls.settled(document)
        told = hover(document, convert.position_from(document.text, params.position))
        return convert.hover_to(document.text, told) if told is not None else None

    @server.feature(
        lsp.TEXT_DOCUMENT_COMPLETION, lsp.CompletionOptions(trigger_characters=[" ", ":", "{", "[", "/", "\n", "-"])
    )
    def _complete(ls: GraphcServer, params: lsp.CompletionParams) -> lsp.CompletionList:
        document = ls.document(params.text_document.uri)
        if document is None:
            return lsp.CompletionList(False, [])
        found = complete(document, convert.position_from(document.text, params.position))
        items = [convert.completion_to(document.text, each, number) for number, each in enumerate(found)]
        return lsp.CompletionList(False, items)

    @server.feature(lsp.TEXT_DOCUMENT_DOCUMENT_SYMBOL)
    def _symbols(ls: GraphcServer, params: lsp.DocumentSymbolParams) -> list[lsp.DocumentSymbol]:
        document = ls.document(params.text_document.uri)
        if document is None or document.kind == "other":
            return []
        return [convert.symbol_to(document.text, each) for each in symbols(document.read())]

    @server.feature(lsp.TEXT_DOCUMENT_FOLDING_RANGE)
    def _folds(ls: GraphcServer, params: lsp.FoldingRangeParams) -> list[lsp.FoldingRange]:
        document = ls.document(params.text_document.uri)
        if document is None or document.kind == "other":
            return []
        comment = lsp.FoldingRangeKind.Comment
        return [
            lsp.FoldingRange(first, last, kind=comment if is_comment else None)
            for first, last, is_comment in folds(document.read())
        ]


def _navigate(server: GraphcServer) -> None:
    @server.feature(lsp.TEXT_DOCUMENT_DEFINITION)
    async def _definition(ls: GraphcServer, params: lsp.DefinitionParams) -> list[lsp.Location]:
        document = ls.document(params.text_document.uri)
        if document is None:
            return []
        await ls.settled(document)
        found = definition(ls.documents, document, convert.position_from(document.text, params.position))
        return [convert.location_to(each, ls.text_of) for each in found]

    @server.feature(lsp.TEXT_DOCUMENT_REFERENCES)
    def _references(ls: GraphcServer, params: lsp.ReferenceParams) -> list[lsp.Location]:
        document = ls.document(params.text_document.uri)
        if document is None:
            return []
        position = convert.position_from(document.text, params.position)
        found = references(ls.documents, document, position, defined=params.context.include_declaration)
        return [convert.location_to(each, ls.text_of) for each in found]

    @server.feature(lsp.TEXT_DOCUMENT_PREPARE_RENAME)
    def _prepare(ls: GraphcServer, params: lsp.PrepareRenameParams) -> lsp.Range | None:
        document = ls.document(params.text_document.uri)
        if document is None:
            return None
        span = rename_span(ls.documents, document, convert.position_from(document.text, params.position))
        return convert.range_to(document.text, span) if span is not None else None

    @server.feature(lsp.TEXT_DOCUMENT_RENAME, lsp.RenameOptions(prepare_provider=True))
    def _rename(ls: GraphcServer, params: lsp.RenameParams) -> lsp.WorkspaceEdit | None:
        document = ls.document(params.text_document.uri)
        if document is None:
            return None
        position = convert.position_from(document.text, params.position)
        edits = _or_refused(lambda: rename(ls.documents, document, position, params.new_name))
        return convert.edits_to(edits, ls.text_of)


def _change(server: GraphcServer) -> None:
    @server.feature(
        lsp.TEXT_DOCUMENT_CODE_ACTION, lsp.CodeActionOptions(code_action_kinds=[lsp.CodeActionKind.QuickFix])
    )
    async def _actions(ls: GraphcServer, params: lsp.CodeActionParams) -> list[lsp.CodeAction]:
        document = ls.document(params.text_document.uri)
        if document is None or not await ls.settled(document):
            return []
        span = convert.span_from(document.text, params.range)
        found = actions(document, ls.told(document), span)
        return [convert.action_to(document.text, each, ls.text_of) for each in found]

    @server.feature(lsp.TEXT_DOCUMENT_FORMATTING)
    def _format(ls: GraphcServer, params: lsp.DocumentFormattingParams) -> list[lsp.TextEdit] | None:
        document = ls.document(params.text_document.uri)
        if document is None or document.kind == "other" or document.path.suffix == ".json":
            return None
        made = _or_refused(lambda: laid_out(document.text.content, str(document.path)))
        if made == document.text.content:
            return []
        last = len(document.text.lines) - 1
        end = convert.position_to(document.text, Position(last, len(document.text.lines[last])))
        return [lsp.TextEdit(lsp.Range(lsp.Position(0, 0), end), made)]


def _or_refused(call: Callable[[], Any]) -> Any:
    """What a call gives; its SpecError as the protocol's error, which an editor shows."""
    try:
        return call()
    except SpecError as error:
        raise JsonRpcInvalidParams(error.message) from None
    except GraphcError as error:
        raise JsonRpcInvalidParams(str(error)) from None
