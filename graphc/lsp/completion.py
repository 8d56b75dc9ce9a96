"""What may be written at a position: kinds, arguments that are missing, values, names, files, recipe keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from graphc.documented import flow
from graphc.layers import CATALOGUE
from graphc.lsp.cursor import Cursor, cursor_at
from graphc.lsp.documents import Document
from graphc.lsp.names import BY_LAYER, READS
from graphc.lsp.outline import parameters_of
from graphc.lsp.schema_walk import Allowed, Key, allowed_at
from graphc.lsp.types import Completion, Edit, Position, Span
from graphc.report.schema_words import Schema
from graphc.report.vocabulary import find
from graphc.spec.file_forms import FILE_FORMS
from graphc.spec.file_forms.base import listed
from graphc.spec.forms import FORMS
from graphc.spec.forms.block import REQUIRED, Block
from graphc.spec.library import library
from graphc.spec.schema_terms import COMMON_KEYS
from graphc.spec.zoo import zoo_folder, zoo_names

START = {
    "spec": ("graphc: 1\ninputs:\n  image: [N, ${1:224}, ${2:224}, 3]\nlayers:\n  - $0", "A network."),
    "recipe": ("recipe: 1\nmodel: ${1:net.yaml}\n$0", "A training."),
}
FILE_KEYS = (*FILE_FORMS, "model")


def complete(document: Document, position: Position) -> list[Completion]:
    """The proposals at a position, the likeliest first."""
    cursor = cursor_at(document.text, position)
    if cursor is None:
        return []
    if not document.text.content.strip(" \n") or document.text.content.strip() == cursor.word:
        return list(_starts(cursor))
    kind = document.kind
    if kind == "other" and not document.path.is_relative_to(zoo_folder()):
        return []
    in_expression = document.text.line(position.line)[: cursor.span.start.column]
    if in_expression.rfind("${") > in_expression.rfind("}"):
        return list(_variables(document, cursor))
    language = "recipe" if kind == "recipe" else "spec"
    allowed = allowed_at(language, cursor.path)
    found = (_keys if cursor.role == "key" else _values)(document, cursor, allowed)
    unique = {each.label: each for each in found}
    return sorted(unique.values(), key=lambda each: (each.order, each.label))


def blocks_of(document: Document) -> Mapping[str, Block]:
    """The blocks that a spec has, by itself and from its files."""
    analysis = document.analysis
    return analysis.model.blocks if analysis is not None and analysis.model is not None else {}


def _starts(cursor: Cursor) -> Iterator[Completion]:
    for name, (text, meaning) in START.items():
        label = "graphc: 1" if name == "spec" else "recipe: 1"
        yield Completion(label, text, cursor.span, "snippet", "", meaning, is_snippet=True)


# keys ------------------------------------------------------------------------------------------------------


def _keys(document: Document, cursor: Cursor, allowed: Allowed) -> Iterator[Completion]:
    kind = cursor.path[-1] if cursor.path else None
    blocks = blocks_of(document)
    if allowed.is_layer or (isinstance(kind, int) and allowed.is_choice):
        yield from _kinds(document, cursor, allowed)
        return
    if kind in blocks and isinstance(kind, str):
        yield from _parameters(blocks[kind], cursor)
    if allowed.is_scope:
        for name in (*CATALOGUE, *blocks):
            yield _key(cursor, Key(name, "mapping", "none", _meaning(name, blocks), {"type": "object"}), 1)
        return
    if len(cursor.path) == 2 and cursor.path[0] == "expect" and cursor.path[1] in BY_LAYER:
        for name, detail in _layer_names(document):
            yield _key(cursor, Key(name, detail, "none", "", {}), 1)
        return
    for key in allowed.keys().values():
        if key.name not in cursor.siblings:
            order = 2 if key.name in COMMON_KEYS else 0 if key.is_required else 1
            yield _key(cursor, key, order)


def _parameters(block: Block, cursor: Cursor) -> Iterator[Completion]:
    for name, default in block.params.items():
        if name not in cursor.siblings:
            told = "required" if default is REQUIRED else f"default {flow(default)}"
            meaning = block.param_descriptions.get(name, "")
            yield _key(cursor, Key(name, told, "", meaning, {}), 0 if default is REQUIRED else 1)
    for name, schema in COMMON_KEYS.items():
        if name not in cursor.siblings:
            yield _key(cursor, Key(name, "", "", str(schema["description"]), {}), 2)


def _key(cursor: Cursor, key: Key, order: int) -> Completion:
    """A key with what follows it: a bracket where only a mapping or a list may."""
    detail = key.type if key.default in ("", "none") else f"{key.type}, {key.default}"
    if key.default not in ("", "none", "required"):
        detail = f"{key.type}, default {key.default}"
    text, is_snippet = key.name, False
    if not cursor.has_colon and not cursor.is_quoted:
        types = key.schema.get("type", ())
        of = {types} if isinstance(types, str) else set(types)
        inside = {"object": "{$1}", "array": "[$1]"}.get(next(iter(of - {"null"})) if len(of - {"null"}) == 1 else "")
        if cursor.starts_line and inside and "$ref" not in key.schema:
            text, is_snippet = f"{key.name}:\n  ${{1}}" if inside == "{$1}" else f"{key.name}: {inside}", True
        elif inside:
            text, is_snippet = f"{key.name}: {inside}", True
        else:
            text = f"{key.name}: "
    return Completion(key.name, text, cursor.span, "key", detail, key.meaning, is_snippet, order)


# values ----------------------------------------------------------------------------------------------------


def _values(document: Document, cursor: Cursor, allowed: Allowed) -> Iterator[Completion]:
    key = cursor.key
    if allowed.is_layer:
        yield from _kinds(document, cursor, allowed)
        return
    if key in FILE_KEYS and len([part for part in cursor.path if isinstance(part, str)]) == 1:
        yield from _files(document, cursor, str(key))
        return
    if key == "spec" and cursor.path[0] == "model":
        yield from _files(document, cursor, "model")
        return
    if key in READS or key == "output" or cursor.path[0] in ("outputs", "end_points"):
        for name, detail in _layer_names(document):
            yield Completion(name, name, cursor.span, "value", detail, order=0)
        if key in READS and document.analysis is not None and document.analysis.plan is not None:
            for given in document.analysis.plan.graph.inputs:
                yield Completion(given.name, given.name, cursor.span, "value", "input")
    if allowed.is_scope and document.analysis is not None and document.analysis.model is not None:
        for name in document.analysis.model.arg_scopes:
            yield Completion(name, name, cursor.span, "value", "scope", order=0)
    if key in ("activation", "normalizer"):
        for name, block in blocks_of(document).items():
            yield Completion(name, name, cursor.span, "kind", "block", block.description, order=2)
    for name, meaning in allowed.values():
        yield _value(cursor, allowed, name, meaning)


def _value(cursor: Cursor, allowed: Allowed, name: str, meaning: str) -> Completion:
    """A word; with the arguments that it needs, where it is a kind that needs some."""
    if allowed.is_choice and not cursor.is_quoted:
        forms = (form["properties"] for form in allowed.forms if name in form.get("properties", ()))
        none: Schema = {}
        below: Schema = next(forms, none).get(name, none)
        body = allowed.reader.resolved(below)
        needed = list(body.get("required", ()))
        if needed:
            inside = ", ".join(f"{each}: ${{{number}}}" for number, each in enumerate(needed, 1))
            text = f"{name}: {{{inside}}}" if isinstance(cursor.path[-1], int) else f"{{{name}: {{{inside}}}}}"
            return Completion(name, text, cursor.span, "kind", "", meaning, is_snippet=True)
        return Completion(name, name, cursor.span, "kind", "", meaning)
    return Completion(name, name, cursor.span, "value", "", meaning)


def _kinds(document: Document, cursor: Cursor, allowed: Allowed) -> Iterator[Completion]:
    """Layer kinds, forms and blocks, each with the arguments that it needs."""
    blocks = blocks_of(document)
    for name, meaning in allowed.values():
        yield _kind(cursor, name, meaning, _needed(allowed, name), 1)
    for name, block in blocks.items():
        needed = [each for each, default in block.params.items() if default is REQUIRED]
        yield _kind(cursor, name, block.description or "A block of this spec.", needed, 0)
    for name, (included, block) in library().items():
        if name not in blocks and not allowed.is_scope:
            needed = [each for each, default in block.params.items() if default is REQUIRED]
            edit = include_edit(document, included)
            if edit is not None:
                proposal = _kind(cursor, name, block.description, needed, 3)
                yield Completion(
                    proposal.label, proposal.text, proposal.span, "kind", f"include {included}", block.description,
                    proposal.is_snippet, 3, (edit,),
                )  # fmt: skip


def _needed(allowed: Allowed, kind: str) -> list[str]:
    if kind in FORMS:
        return [*FORMS[kind].required, *(["layers"] if kind == "repeat" else [])]  # or `layer`: one of both
    layer = CATALOGUE.get(kind)
    needed = [name for name, info in layer.model_fields.items() if info.is_required()] if layer is not None else []
    return ["inputs", *needed] if layer is not None and layer.inputs_at_least > 1 else needed


LISTED = ("layers", "args", "inputs")


def _kind(cursor: Cursor, name: str, meaning: str, needed: list[str], order: int) -> Completion:
    as_key = cursor.role == "key"
    if cursor.has_colon or cursor.is_quoted or (not needed and not as_key):
        return Completion(name, name, cursor.span, "kind", "", meaning, order=order)
    if not needed:
        return Completion(name, f"{name}: {{$1}}", cursor.span, "kind", "", meaning, is_snippet=True, order=order)
    inside = []
    for number, each in enumerate(needed, 1):
        stop = f"${{{number}}}"
        value = f"[{stop}]" if each in LISTED else f"{{{stop}}}" if each == "paths" else stop
        inside.append(f"{each}: {value}")
    text = f"{name}: {{{', '.join(inside)}}}"
    return Completion(name, text, cursor.span, "kind", "", meaning, is_snippet=True, order=order)


def include_edit(document: Document, included: str) -> Edit | None:
    """The change that includes a file; None where `include` is written in a way that cannot be told."""
    tree, path = document.read().tree, document.path
    if tree is None or path.suffix == ".json":
        return None
    if "include" not in tree:
        place = tree.key_places.get("graphc")
        if place is None:
            return None
        after = Position(place.line, 0)
        return Edit(path, Span(after, after), f"include: [{included}]\n")
    value, place = tree["include"], tree.places["include"]
    if any(written == included for written, _ in listed(tree, "include")):
        return None
    if isinstance(value, str):
        span = document.text.span_at(place)
        return Edit(path, span, f"[{document.text.cut(span)}, {included}]")
    if document.text.line(place.line - 1)[place.column - 1 : place.column] == "[":
        end = document.text.end_of(place)
        before = Position(end.line, end.column - 1)
        return Edit(path, Span(before, before), f", {included}" if value else included)
    return None


def _layer_names(document: Document) -> Iterator[tuple[str, str]]:
    """The layers and groups of the plan, each with its kind; of a broken spec, those that are written."""
    analysis = document.analysis
    if analysis is not None and analysis.plan is not None:
        graph = analysis.plan.graph
        for node in graph.nodes:
            yield node.name, node.layer.kind
        for name in graph.end_points:
            yield name, "end point"
    for entry in document.read().entries:
        if entry.name is not None and "${" not in entry.name:
            yield entry.name, entry.kind


def _files(document: Document, cursor: Cursor, key: str) -> Iterator[Completion]:
    """The specs of the zoo and those beside the file."""
    if key != "include":
        prefix = "" if key == "model" else "zoo/"
        for name in zoo_names():
            yield Completion(f"{prefix}{name}", f"{prefix}{name}", cursor.span, "file", "zoo")
    else:
        for folder in ("blocks", "families"):
            for name in zoo_names(folder):
                yield Completion(f"zoo/{folder}/{name}", f"zoo/{folder}/{name}", cursor.span, "file", "zoo")
    for path in _beside(document.path):
        yield Completion(path, path, cursor.span, "file", "", order=0)


MOST_FILES = 200


def _beside(path: Path) -> list[str]:
    """The YAML and JSON files in a file's folder and one folder below."""
    found: list[str] = []
    for pattern in ("*.yaml", "*.yml", "*.json", "*/*.yaml"):
        for each in path.parent.glob(pattern):
            if each != path and len(found) < MOST_FILES:
                found.append(each.relative_to(path.parent).as_posix())
    return sorted(found)


def _variables(document: Document, cursor: Cursor) -> Iterator[Completion]:
    """What `${…}` may name: the parameters of the block around it, and the variables."""
    outline = document.read()
    if len(cursor.path) > 1 and cursor.path[0] == "blocks":
        for name, _ in parameters_of(outline.mapping("blocks").get(str(cursor.path[1]))):
            yield Completion(name, name, cursor.span, "value", "parameter", order=0)
    for name, value in _values_of(document).items():
        yield Completion(name, name, cursor.span, "value", flow(value) if value != "" else "variable")


def _values_of(document: Document) -> dict[str, Any]:
    analysis = document.analysis
    known = analysis.model.vars if analysis is not None and analysis.model is not None else {}
    return {**document.read().mapping("vars"), **known}


def _meaning(name: str, blocks: Mapping[str, Block]) -> str:
    if name in blocks:
        return blocks[name].description
    return next((word.meaning for word in find(name) if not word.is_key), "")
