"""What stands at a position: what it means, what it takes, the value in force and where that came from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from graphc.dims import format_shape
from graphc.documented import flow
from graphc.errors import SpecError
from graphc.graph import PlannedNode
from graphc.lsp.completion import blocks_of
from graphc.lsp.cursor import Cursor, cursor_at
from graphc.lsp.documents import Document
from graphc.lsp.facts import Facts, field_size, short, total
from graphc.lsp.names import READS, expressions_in
from graphc.lsp.outline import WrittenEntry
from graphc.lsp.schema_walk import allowed_at
from graphc.lsp.types import Hover, Position
from graphc.passes.truncate import find_layer
from graphc.report.explain import argument_rows, show
from graphc.report.vocabulary import find
from graphc.report.words import Word
from graphc.spec.expressions import evaluate
from graphc.spec.forms.block import REQUIRED, Block

MOST = 12
"""Rows of a table."""


def hover(document: Document, position: Position) -> Hover | None:
    """What is known of what stands at a position."""
    expression = _expression(document, position)
    if expression is not None:
        return expression
    cursor = cursor_at(document.text, position)
    if cursor is None or cursor.span.start == cursor.span.end or document.kind == "other":
        return None
    word = document.text.cut(cursor.span)
    text = "\n\n".join(part for part in _parts(document, position, cursor, word) if part)
    return Hover(text.replace(f"{document.path.parent}/", ""), cursor.span) if text else None


def _parts(document: Document, position: Position, cursor: Cursor, word: str) -> Iterator[str]:
    language = "recipe" if document.kind == "recipe" else "spec"
    allowed = allowed_at(language, cursor.path)
    entry = document.read().entry_at(position)
    is_kind = allowed.is_layer or (entry is not None and position in document.text.span_at(entry.place))
    if is_kind:
        yield _of_kind(word, blocks_of(document).get(word))
        if entry is not None:
            yield _of_layers(document, entry)
    elif cursor.role == "key":
        key = allowed.keys().get(word)
        if key is not None:
            default = "required" if key.is_required else f"default {key.default}"
            yield f"**{word}**: {key.type}, {default}\n\n{key.meaning}"
        elif entry is not None and entry.kind in blocks_of(document):
            yield _of_parameter(blocks_of(document)[entry.kind], word)
        elif allowed.values():
            yield _of_words([each for each in find(word) if not each.is_key])
        if entry is not None:
            yield _in_force(document, entry, word)
    else:
        yield _of_value(document, cursor, word)


def _of_value(document: Document, cursor: Cursor, word: str) -> str:
    """A layer's name, or a word such as an activation."""
    if cursor.key in READS or (cursor.path and cursor.path[0] in ("outputs", "end_points", "expect")):
        return _of_name(document, word)
    meanings = [each for each in find(word) if not each.is_key]
    return _of_words(meanings) if word.isidentifier() else ""


def _of_name(document: Document, name: str) -> str:
    analysis = document.fresh
    if analysis is None or analysis.plan is None:
        return ""
    try:
        planned = analysis.plan.by_name[find_layer(analysis.plan.graph, name)]
    except SpecError:
        return ""
    return _table([planned])


def _of_kind(kind: str, block: Block | None) -> str:
    if block is not None:
        lines = [f"**{kind}**: block", block.description]
        for name, default in block.params.items():
            told = "required" if default is REQUIRED else f"default {flow(default)}"
            lines.append(f"- `{name}`, {told}. {block.param_descriptions.get(name, '')}".rstrip())
        return "\n".join(filter(None, lines))
    return _of_words([each for each in find(kind) if not each.is_key])


def _of_words(words: Sequence[Word]) -> str:
    told = []
    for word in words[:3]:
        lines = [f"**{word.name}**: {word.vocabulary}", "", word.meaning]
        if word.note:
            lines += ["", word.note]
        if word.example:
            lines += ["", f"`{word.example}`"]
        told.append("\n".join(lines))
    return "\n\n".join(told)


def _of_parameter(block: Block, name: str) -> str:
    if name not in block.params:
        return ""
    default = block.params[name]
    told = "required" if default is REQUIRED else f"default {flow(default)}"
    return f"**{name}**: parameter of {block.name}, {told}\n\n{block.param_descriptions.get(name, '')}".rstrip()


def _of_layers(document: Document, entry: WrittenEntry) -> str:
    """What an entry makes: its layers, or the sums of what is inside it."""
    analysis = document.fresh
    if analysis is None or analysis.plan is None:
        return ""
    facts = Facts(analysis.plan, document.read())
    own = facts.layers_at(entry.place)
    if own and not entry.is_compound:
        return "\n\n".join(filter(None, [_table(own), _arguments(own)]))
    uses = facts.made_by(entry)
    nodes = [each for use in uses for each in use]
    if not nodes:
        return ""
    params, macs = sum(each.param_count for each in nodes), total(each.macs for each in nodes)
    return f"{len(nodes):,} layers, {params:,} parameters, {short(macs)} MACs"


def _table(nodes: Sequence[PlannedNode]) -> str:
    rows = ["| layer | output | receptive field | parameters | MACs |", "|---|---|---|---:|---:|"]
    for each in nodes[:MOST]:
        field = each.receptive_field
        seen = f"{field_size(field)}, stride {'×'.join(f'{float(s):g}' for s in field.stride)}" if field else "all"
        macs = "?" if each.macs is None else f"{each.macs:,}"
        shape = format_shape(each.shape)
        rows.append(f"| {each.node.name} | {shape} | {seen} | {each.param_count:,} | {macs} |")
    more = [f"\n{len(nodes) - MOST} more"] if len(nodes) > MOST else []
    return "\n".join([*rows, *more])


def _arguments(nodes: Sequence[PlannedNode]) -> str:
    """The arguments in force of a line's layers, where they come from elsewhere or differ."""
    rows = ["| argument | value | from |", "|---|---|---|"]
    for name, value, source in argument_rows(nodes[0].node):
        rows.append(f"| {name} | {_code(show(value))} | {source} |")
    return "\n".join(rows) if len(rows) > 2 else ""


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _in_force(document: Document, entry: WrittenEntry, name: str) -> str:
    """The values that an argument has in an entry's layers, and where they came from."""
    analysis = document.fresh
    if analysis is None or analysis.plan is None:
        return ""
    found: dict[tuple[str, str], None] = {}
    for planned in Facts(analysis.plan, document.read()).layers_at(entry.place):
        for each, value, source in argument_rows(planned.node):
            if each == name:
                found[show(value), source] = None
    return "\n".join(f"here `{value}`: {source}" for value, source in list(found)[:MOST])


def _expression(document: Document, position: Position) -> Hover | None:
    """The value of `${…}`, where it uses variables alone."""
    text = document.text
    for match in expressions_in(text.line(position.line)):
        if match.start() <= position.column <= match.end():
            analysis = document.fresh
            names = analysis.model.vars if analysis is not None and analysis.model is not None else {}
            span = text.span_at_columns(position.line, match.start(), match.end())
            try:
                return Hover(f"`{match[0]}` is `{flow(evaluate(match[1], names))}`", span)
            except SpecError:
                return Hover(f"`{match[0]}` depends on where it is used", span)
    return None
