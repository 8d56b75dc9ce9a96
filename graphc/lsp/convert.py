"""Between the types of features and those of the protocol."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from lsprotocol import types as lsp

from graphc.lsp.text import Text, from_utf16, to_utf16
from graphc.lsp.types import Action, Completion, Diagnostic, Edit, Hint, Hover, Location, Position, Span, Symbol

SOURCE = "graphc"
COMPLETION_KINDS = {
    "kind": lsp.CompletionItemKind.Function,
    "key": lsp.CompletionItemKind.Property,
    "value": lsp.CompletionItemKind.Value,
    "file": lsp.CompletionItemKind.File,
    "snippet": lsp.CompletionItemKind.Snippet,
}
SYMBOL_KINDS = {
    "namespace": lsp.SymbolKind.Namespace,
    "property": lsp.SymbolKind.Property,
    "variable": lsp.SymbolKind.Variable,
    "class": lsp.SymbolKind.Class,
    "function": lsp.SymbolKind.Function,
}
DRIVE = re.compile(r"/[A-Za-z]:")
"""How an address of Windows begins."""
TextOf = Callable[[Path], Text | None]


def path_of(uri: str) -> Path:
    """The absolute path of a file's address."""
    try:
        parts = urlsplit(uri)
    except ValueError:  # such as a bracket in the place of a host
        parts = urlsplit(quote(uri))
    if parts.scheme != "file":
        return Path(unquote(parts.path) or "untitled.yaml").absolute()
    host = f"//{parts.netloc}" if parts.netloc and parts.netloc != "localhost" else ""
    written = unquote(parts.path)
    return Path(host + (written[1:] if DRIVE.match(written) else written)).absolute()


def position_from(text: Text, position: lsp.Position) -> Position:
    return Position(position.line, from_utf16(text.line(position.line), position.character))


def span_from(text: Text, span: lsp.Range) -> Span:
    return Span(position_from(text, span.start), position_from(text, span.end))


def changed(text: Text, changes: Iterable[lsp.TextDocumentContentChangeEvent]) -> str:
    """The content after an editor's changes, each of a part or of all. Lines end where the protocol says: pygls, which
    could do it, also ends them at U+2028 and the like, and then changes other lines than the editor."""
    for change in changes:
        partial = isinstance(change, lsp.TextDocumentContentChangePartial)
        text = Text(text.changed(span_from(text, change.range), change.text) if partial else change.text)
    return text.content


def position_to(text: Text, position: Position) -> lsp.Position:
    return lsp.Position(position.line, to_utf16(text.line(position.line), position.column))


def range_to(text: Text, span: Span) -> lsp.Range:
    return lsp.Range(position_to(text, span.start), position_to(text, span.end))


def diagnostic_to(text: Text, told: Diagnostic, text_of: TextOf) -> lsp.Diagnostic:
    related = [
        lsp.DiagnosticRelatedInformation(location_to(where, text_of), message) for where, message in told.related
    ]
    return lsp.Diagnostic(
        range=range_to(text, told.span),
        message=told.message,
        severity=lsp.DiagnosticSeverity.Error if told.is_error else lsp.DiagnosticSeverity.Warning,
        code=told.code,
        source=SOURCE,
        related_information=related or None,
    )


def location_to(where: Location, text_of: TextOf) -> lsp.Location:
    text = text_of(where.path) or Text("")
    return lsp.Location(where.path.as_uri(), range_to(text, where.span))


def hint_to(text: Text, hint: Hint) -> lsp.InlayHint:
    return lsp.InlayHint(
        position=position_to(text, hint.position), label=hint.text, padding_left=True, tooltip=hint.tooltip or None
    )


def hover_to(text: Text, told: Hover) -> lsp.Hover:
    return lsp.Hover(lsp.MarkupContent(lsp.MarkupKind.Markdown, told.text), range_to(text, told.span))


def completion_to(text: Text, item: Completion, number: int) -> lsp.CompletionItem:
    markdown = lsp.MarkupContent(lsp.MarkupKind.Markdown, item.documentation) if item.documentation else None
    return lsp.CompletionItem(
        label=item.label,
        kind=COMPLETION_KINDS[item.kind],
        detail=item.detail or None,
        documentation=markdown,
        sort_text=f"{item.order}{number:04d}",
        filter_text=item.label,
        insert_text_format=lsp.InsertTextFormat.Snippet if item.is_snippet else lsp.InsertTextFormat.PlainText,
        text_edit=lsp.TextEdit(range_to(text, item.span), item.text),
        additional_text_edits=[lsp.TextEdit(range_to(text, each.span), each.text) for each in item.more] or None,
    )


def symbol_to(text: Text, symbol: Symbol) -> lsp.DocumentSymbol:
    return lsp.DocumentSymbol(
        name=symbol.name,
        detail=symbol.detail or None,
        kind=SYMBOL_KINDS[symbol.kind],
        range=range_to(text, symbol.span),
        selection_range=range_to(text, symbol.selection),
        children=[symbol_to(text, child) for child in symbol.children],
    )


def edits_to(edits: tuple[Edit, ...] | list[Edit], text_of: TextOf) -> lsp.WorkspaceEdit:
    found: dict[str, list[lsp.TextEdit]] = {}
    for each in edits:
        text = text_of(each.path) or Text("")
        found.setdefault(each.path.as_uri(), []).append(lsp.TextEdit(range_to(text, each.span), each.text))
    return lsp.WorkspaceEdit(changes=found)


def action_to(text: Text, action: Action, text_of: TextOf) -> lsp.CodeAction:
    mended = [diagnostic_to(text, action.mends, text_of)] if action.mends is not None else None
    return lsp.CodeAction(
        title=action.title,
        kind=lsp.CodeActionKind.QuickFix,
        diagnostics=mended,
        is_preferred=action.preferred,
        edit=edits_to(action.edits, text_of),
    )


def settings_from(options: Any) -> Mapping[str, object]:
    """An editor's settings as a mapping, however they came."""
    if isinstance(options, Mapping):
        inner = options.get(SOURCE)
        return inner if isinstance(inner, Mapping) else options
    names = [name for name in dir(options) if not name.startswith("_")] if options is not None else []
    return {name: _setting(getattr(options, name)) for name in names}


def _setting(value: Any) -> object:
    """A setting's value, or the mapping of those inside it."""
    plain = value is None or isinstance(value, bool | int | float | str | list | Mapping) or callable(value)
    return value if plain else settings_from(value)
