"""What a spec says: its parts, each of the right type, with bases and includes merged and variables evaluated.

Layers and scopes stay as written: `passes.expand` gives them their meaning.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from graphc.errors import Errors, Place, SpecError, clipped
from graphc.files import shown
from graphc.spec.documents import Document, found, merge_document, merge_mapping, read_document
from graphc.spec.entry import NAMED, is_name
from graphc.spec.expressions import substitute
from graphc.spec.forms.block import Block, layers_of, read_blocks
from graphc.spec.mappings import plain, tree_of
from graphc.spec.source import LIMITS, Limits, SpecList, SpecMap
from graphc.spec.variables import Settings, evaluate_variables, read_settings
from graphc.spec.zoo import find

VERSION = 1

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A spec as written, its types checked, its variables evaluated."""

    version: int
    name: str
    scope: str
    """What every variable's name begins with: the model's name unless the spec says otherwise; may be empty."""
    vars: Mapping[str, Any]
    inputs: SpecMap
    """Input -> its shape as written."""
    arg_scopes: SpecMap
    arg_scope: Any
    """The scope around all layers as written; None where there is none."""
    arg_scope_place: Place
    blocks: Mapping[str, Block]
    layers: SpecList
    outputs: SpecMap | None
    end_points: SpecList | None
    expect: SpecMap
    pretrained: SpecMap
    """Whose weights fit, as written: `spec.pretrained` reads it."""
    defaults: Mapping[str, Any]
    """Every variable's value without `--set`."""
    overridden: bool
    """Whether `--set` changed a variable: exact budgets are claims about the spec as it is written."""
    place: Place
    path: str
    source: str
    """The text, with the texts of other files that it uses and what was set, as embedded in the ONNX file."""
    texts: Mapping[str, str]
    """Every file that the spec consists of, by its path from the spec's folder; the spec first."""


def read_spec(path: str | Path, settings: Settings = (), limits: Limits = LIMITS) -> ModelSpec:
    """A spec from a file, or by its name in the zoo."""
    found = find(path)
    return _model(read_document(found, limits), found, settings)


def read_spec_text(
    text: str | bytes,
    path: str | Path = "spec.yaml",
    settings: Settings = (),
    limits: Limits = LIMITS,
    unsaved: Mapping[str, str] | None = None,
) -> ModelSpec:
    """A spec from a text; what it includes is looked for beside `path`, and first among the texts `unsaved`, by
    absolute path."""
    return _model(merge_document(text, Path(path), limits, unsaved), Path(path), settings)


def read_spec_mapping(written: Mapping[str, Any], settings: Settings = ()) -> ModelSpec:
    """A spec from a mapping of Python's own values, read as its YAML would be.

    The place of an error is the path in the mapping, `layers[2].conv2d.kernel`; files that it extends or includes are
    looked for in the working folder.
    """
    tree = tree_of(written, "")
    assert isinstance(tree, SpecMap)
    text = json.dumps(plain(tree), indent=1, ensure_ascii=False) + "\n"
    return _model(merge_mapping(tree, text, Path("spec.json")), Path("spec.json"), settings)


def read_what_is_right(text: str | bytes, path: str | Path, unsaved: Mapping[str, str] | None = None) -> ModelSpec:
    """A spec from a text that may be wrong, without its wrong parts; a SpecError where nothing of it can be read.

    For an editor, which shows what is known of the rest: no result of it may leave the editor."""
    errors = Errors()
    document = merge_document(text, Path(path), LIMITS, unsaved, errors)
    return _parts(document, Path(path), (), errors)


def _model(document: Document, path: Path, settings: Settings) -> ModelSpec:
    check_version(document.tree)
    errors = Errors()
    spec = _parts(document, path, settings, errors)
    errors.raise_if_any()
    return spec


def _parts(document: Document, path: Path, settings: Settings, errors: Errors) -> ModelSpec:
    """The spec, with `errors` of its parts, which are empty then."""
    tree = document.tree
    values = evaluate_variables(_mapping(tree, "vars"), settings)

    def attempt(part: Callable[[], T], instead: T) -> T:
        with errors.collecting():
            return part()
        return instead

    nothing, no_layers = SpecMap.empty(tree.place), SpecList((), tree.place, [])
    return ModelSpec(
        version=VERSION,
        name=attempt(lambda: _name(tree, path, values), ""),
        scope=attempt(lambda: _scope(tree, path, values), ""),
        vars=values,
        inputs=attempt(lambda: _mapping(tree, "inputs"), nothing),
        arg_scopes=attempt(lambda: _mapping(tree, "arg_scopes"), nothing),
        arg_scope=tree.get("arg_scope"),
        arg_scope_place=tree.places.get("arg_scope", tree.place),
        blocks=attempt(lambda: read_blocks(_mapping(tree, "blocks"), attempt), {}),
        layers=attempt(lambda: layers_of(tree, "a spec"), no_layers),
        outputs=attempt(lambda: _mapping(tree, "outputs") if tree.get("outputs") is not None else None, None),
        end_points=attempt(lambda: _end_points(tree, values), None),
        expect=attempt(lambda: substitute(_mapping(tree, "expect"), values), nothing),
        pretrained=attempt(lambda: _mapping(tree, "pretrained"), nothing),
        defaults=evaluate_variables(_mapping(tree, "vars"), ()) if read_settings(settings) else values,
        overridden=bool(read_settings(settings)),
        place=tree.place,
        path=shown(path),
        source=_source(document, settings),
        texts=document.texts,
    )


def check_version(tree: SpecMap) -> None:
    if "graphc" not in tree:
        raise SpecError("G152", f"a spec says which version of the language it is in: graphc: {VERSION}", tree.place)
    version = tree["graphc"]
    if version != VERSION or isinstance(version, (bool, float)):
        message = f"this graphc reads version {VERSION} of the language, found {clipped(version)}"
        raise SpecError("G152", message, tree.places["graphc"])


def _mapping(tree: SpecMap, key: str) -> SpecMap:
    """The mapping under a key; an empty one where the key is absent or null."""
    value = tree.get(key)
    if value is None:
        return SpecMap.empty(tree.places.get(key, tree.place))
    if not isinstance(value, SpecMap):
        raise SpecError("G151", f"{key} expects a mapping, found {found(value)}", tree.places[key])
    return value


def _name(tree: SpecMap, path: Path, values: Mapping[str, Any]) -> str:
    """The model's name as written, else the file's."""
    written = tree.get("name")
    if written is None:
        return re.sub(r"[\s/,]+", "_", shown(path.stem)) or "model"
    name = substitute(written, values, tree.places["name"])
    if not is_name(name):
        message = f"name expects {NAMED}, found {found(name)}"
        raise SpecError("G151", message, tree.places["name"])
    return str(name)


def _scope(tree: SpecMap, path: Path, values: Mapping[str, Any]) -> str:
    """The prefix of every variable as written, else the model's name."""
    if tree.get("scope") is None:
        return _name(tree, path, values)
    scope = substitute(tree["scope"], values, tree.places["scope"])
    if scope != "" and not is_name(scope):
        message = f"scope expects {NAMED}, or '' for none, found {found(scope)}"
        raise SpecError("G151", message, tree.places["scope"])
    return str(scope)


def _end_points(tree: SpecMap, values: Mapping[str, Any]) -> SpecList | None:
    written = tree.get("end_points")
    if written is None:
        return None
    if not isinstance(written, SpecList):
        raise SpecError(
            "G151", f"end_points expects a list of names, found {found(written)}", tree.places["end_points"]
        )
    result: SpecList = substitute(written, values)
    return result


def _source(document: Document, settings: Settings) -> str:
    """One text of all texts; several files become documents, each under a comment with its path."""
    texts = list(document.texts.items())
    text = texts[0][1]
    if len(texts) > 1:
        text = "---\n".join(f"# {name}\n{each.rstrip()}\n" for name, each in texts)
    set_values = [f"# --set {name}={value}\n" for name, value, _ in read_settings(settings)]
    return "".join(set_values) + text
