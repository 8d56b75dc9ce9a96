"""The JSON Schema of a spec, for completion and checks in an editor.

It is looser than `graphc check`: any argument may come from a scope, so none is required, and `${…}` may stand
for any value. Kinds that are not in the catalogue may be blocks, so they are let through.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from graphc.layers import ACTIVATIONS, CATALOGUE, NORMALIZERS
from graphc.layers.base import Layer

Schema = dict[str, Any]

EXPRESSION: Schema = {"type": "string", "pattern": r"\$\{"}
TEXT: Schema = {"type": "string"}
NAMES: Schema = {"anyOf": [TEXT, {"type": "array", "items": TEXT}]}
SIZE: Schema = {"type": ["integer", "string"]}
LAYERS: Schema = {"type": "array", "items": {"$ref": "#/$defs/layer"}}
SCOPE: Schema = {"$ref": "#/$defs/arg_scope"}
ANY_MAPPING: Schema = {"type": "object"}
LONG = 1_000
MERGES = ("concat", "add", "multiply")


def json_schema() -> Schema:
    """JSON Schema 2020-12 of a spec file."""
    definitions: Schema = {"expression": EXPRESSION}
    for layer in CATALOGUE.values():
        own = layer.model_json_schema()
        for name, shared in own.get("$defs", {}).items():
            definitions[name] = _relaxed(shared)
        definitions[f"arguments_of_{layer.kind}"] = _arguments(layer, own, definitions)
    definitions["activation"] = _sugar("What follows the layer; none: nothing.", ACTIVATIONS)
    definitions["normalizer"] = _sugar("What follows the weights, before the activation.", NORMALIZERS)
    definitions["layer"] = _layer()
    definitions["arg_scope"] = _arg_scope()
    definitions["block"] = _block()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "graphc model",
        "type": "object",
        "properties": _top(),
        "additionalProperties": False,
        "$defs": definitions,
    }


def _top() -> Schema:
    paths = {**NAMES, "description": "Paths below this file's folder."}
    budget = {"type": ["number", "string"], "description": 'A number, or a bound such as "<= 5e6".'}
    expect = dict.fromkeys(("params", "trainable_params", "macs", "flops"), budget)
    fields = dict.fromkeys(("outputs", "receptive_field", "stride", "padding"), ANY_MAPPING)
    shape = {"anyOf": [{"type": "array", "items": SIZE, "minItems": 2}, EXPRESSION]}
    return {
        "graphc": {"const": 1, "description": "The language's version."},
        "name": {**TEXT, "description": "The model's name."},
        "scope": {**TEXT, "description": "Prefix of every variable; the name where left out."},
        "extends": {**paths, "description": "The spec to start from, below this file's folder."},
        "include": {
            **paths,
            "description": "Files to take vars, blocks and arg_scopes from, below this file's folder.",
        },
        "vars": {**ANY_MAPPING, "description": "Values for ${…}; --set NAME=VALUE changes them."},
        "inputs": _map(shape, "Input -> [batch, height, width, channels]; a name is a symbolic size."),
        "arg_scopes": _map(SCOPE, "Scopes by name."),
        "arg_scope": {**SCOPE, "description": "Defaults for the kinds of all layers."},
        "blocks": _map({"$ref": "#/$defs/block"}, "Layer kinds of your own."),
        "layers": {**LAYERS, "description": "The network, top to bottom."},
        "outputs": _map(TEXT, "Output -> layer; left out: the last layer."),
        "end_points": {
            "type": "array",
            "items": {"anyOf": [TEXT, _map(TEXT)]},
            "description": "Layers that the model shows by name; * and ? stand for any text within a name.",
        },
        "expect": _object({**expect, **fields}, "Budgets, checked whenever the spec is read."),
    }


def _map(values: Schema, description: str = "") -> Schema:
    schema: Schema = {"type": "object", "additionalProperties": values}
    return {**schema, "description": description} if description else schema


def _object(properties: Schema, description: str) -> Schema:
    return {"type": "object", "properties": properties, "additionalProperties": False, "description": description}


def _relaxed(schema: Any) -> Any:
    """A schema in which an expression may stand for any value, without Pydantic's titles."""
    if not isinstance(schema, dict):
        return schema
    schema = {key: value for key, value in schema.items() if key not in ("title", "default")}
    for key in ("items", "additionalProperties"):
        if key in schema:
            schema[key] = _relaxed(schema[key])
    for key in ("anyOf", "oneOf", "prefixItems"):
        if key in schema:
            schema[key] = [_relaxed(each) for each in schema[key]]
    if "properties" in schema:
        schema["properties"] = {name: _relaxed(each) for name, each in schema["properties"].items()}
    if schema.get("type") == "object" or "$ref" in schema:
        return schema
    description = {"description": schema.pop("description")} if "description" in schema else {}
    return {"anyOf": [schema, {"$ref": "#/$defs/expression"}], **description}


def _arguments(layer: type[Layer], own: Schema, definitions: Schema) -> Schema:
    """What a kind takes, in a scope or on a layer; long schemas go to `definitions`, once each."""
    properties = {name: _relaxed(each) for name, each in own.get("properties", {}).items()}
    for name, schema in properties.items():
        if name.endswith("_regularizer"):
            schema["anyOf"] = [*schema.pop("anyOf", []), {"enum": ["none"]}]
    for name in layer.accepts:
        properties[name] = {"$ref": f"#/$defs/{name}"}
    for name, schema in properties.items():
        if len(str(schema)) > LONG:
            description = {"description": schema.pop("description")} if "description" in schema else {}
            known = (key for key, value in definitions.items() if value == schema)
            key = next(known, f"{layer.kind}_{name}")
            definitions[key] = schema
            properties[name] = {"$ref": f"#/$defs/{key}", **description}
    return _object(properties, _first_line(layer))


def _kinds(kinds: Iterable[str]) -> Schema:
    """Kind -> its arguments, as in a scope."""
    return {kind: {"$ref": f"#/$defs/arguments_of_{kind}"} for kind in sorted(kinds)}


def _sugar(description: str, kinds: frozenset[str]) -> Schema:
    """A layer's `activation` or `normalizer`: none, a kind, a kind with arguments, or a block."""
    named = {kind: _written(arguments) for kind, arguments in _kinds(kinds).items()}
    with_arguments = {"type": "object", "properties": named, "minProperties": 1, "maxProperties": 1}
    return {"anyOf": [{"enum": [None, "none", *sorted(kinds)]}, with_arguments, TEXT], "description": description}


def _written(arguments: Schema) -> Schema:
    """What follows `kind:`: a mapping of arguments, positional arguments, or nothing."""
    return {"anyOf": [arguments, {"type": ["array", "number", "string", "boolean", "null"]}]}


def _layer() -> Schema:
    common = {
        "name": {**TEXT, "description": "The layer's name in its group."},
        "inputs": {**NAMES, "description": "What the layer reads; left out: the layer above."},
        "when": {"type": ["boolean", "string", "number", "null"], "description": "Skipped where false."},
        "share": {**TEXT, "description": "The layer whose variables this one uses."},
    }
    entries: Schema = {}
    for kind, arguments in _kinds(CATALOGUE).items():
        layer = CATALOGUE[kind]
        names = (*layer.model_fields, *layer.accepts)
        own = {name: {"$ref": f"{arguments['$ref']}/properties/{name}"} for name in names}
        entries[kind] = _written(_object({**common, **own}, _first_line(layer)))
    for kind, (description, own) in _compositions().items():
        entries[kind] = _object({**common, **own}, description)
    one = {"type": "object", "properties": entries, "minProperties": 1, "maxProperties": 1}
    return {"anyOf": [{"enum": sorted(CATALOGUE)}, one, TEXT]}


def _compositions() -> dict[str, tuple[str, Schema]]:
    layer: Schema = {"$ref": "#/$defs/layer"}
    activation: Schema = {"$ref": "#/$defs/activation"}
    merge = {"anyOf": [{"enum": list(MERGES)}, ANY_MAPPING, TEXT], "description": "How the paths become one."}
    each = {**TEXT, "description": "Element i is named each_i; left out: the name."}
    index = {**TEXT, "description": "A name for the element's number, from 1."}
    repeated = {"times": SIZE, "layer": layer, "layers": LAYERS, "each": each, "index": index}
    stacked = {"layer": layer, "args": {"type": ["array", "string"]}, "each": each}
    scoped = {"layers": LAYERS, "arg_scope": SCOPE, "as": {**TEXT, "description": "A name for this scope."}}
    paths = {"paths": _map(LAYERS), "merge": merge, "activation": activation}
    residual = {"layers": LAYERS, "shortcut": LAYERS, "merge": merge, "activation": activation}
    return {
        "group": ("A naming scope, an argument scope, or both.", scoped),
        "repeat": ("The same layers several times.", repeated),
        "stack": ("One layer kind, one element an entry of args.", stacked),
        "branches": ("Paths side by side from one input, then merged.", paths),
        "residual": ("Layers plus a shortcut.", residual),
    }


def _arg_scope() -> Schema:
    entered = {
        "type": "object",
        "properties": _kinds(CATALOGUE),
        "additionalProperties": ANY_MAPPING,
    }
    one = [entered, TEXT, {"type": "null"}]
    return {
        "anyOf": [*one, {"type": "array", "items": {"anyOf": one}}],
        "description": "kind: {argument: default}; several kinds with commas; or a captured scope's name.",
    }


def _block() -> Schema:
    parameters = {"type": "array", "items": {"anyOf": [TEXT, ANY_MAPPING]}}
    properties = {
        "params": {**parameters, "description": "A name is required, {name: default} is not."},
        "inputs": {**NAMES, "description": "Names for what the block reads."},
        "arg_scope": SCOPE,
        "layers": LAYERS,
    }
    return _object(properties, "A layer kind of your own.")


def _first_line(layer: type[Layer]) -> str:
    return (layer.__doc__ or "").partition("\n")[0]
