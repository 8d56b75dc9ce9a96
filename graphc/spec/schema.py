"""The JSON Schema of a spec, for completion and checks in an editor, and for the reference.

It is looser than `graphc check`: any argument may come from a scope, so none is required, and `${…}` may stand
for any value. Kinds that are not in the catalogue may be blocks, so they are let through. Wherever it can be, a
choice is one schema with several types, not a list of schemas: an editor then knows which keys to offer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphc.documented import ReadableSchema
from graphc.layers import ACTIVATIONS, CATALOGUE, NORMALIZERS
from graphc.layers.base import Layer
from graphc.spec.file_forms import FILE_FORMS
from graphc.spec.file_forms.include import Include
from graphc.spec.forms import FORMS
from graphc.spec.forms.block import block_schema
from graphc.spec.schema_terms import (
    COMMON_KEYS,
    EXPRESSION,
    LAYERS,
    NAME,
    ONE_KEY,
    SCOPE,
    TEXT,
    Schema,
    as_expression,
    documentation,
    map_of,
    object_of,
)

ANY_MAPPING: Schema = {"type": "object"}
MAPPING_OR_NONE: Schema = {"type": ["object", "null"]}
"""In a spec that extends another, null drops what that one has."""
OTHERS = ["array", "number", "string", "boolean", "null"]
"""Types of what may follow `kind:` besides a mapping."""


def json_schema() -> Schema:
    """JSON Schema 2020-12 of a spec file."""
    definitions: Schema = {"expression": EXPRESSION}
    for layer in CATALOGUE.values():
        definitions[f"arguments_of_{layer.kind}"] = _arguments(layer, definitions)
    definitions["activation"] = {**_sugar("What follows the layer; none: nothing.", ACTIVATIONS), "title": "activation"}
    definitions["normalizer"] = {
        **_sugar("What follows the weights, before the activation.", NORMALIZERS),
        "title": "normalizer",
    }
    definitions["merge"] = _merge()
    definitions["layer"] = _layer()
    definitions["arg_scope"] = _arg_scope()
    definitions["block"] = block_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "graphc model",
        "type": "object",
        "properties": _top(),
        "additionalProperties": False,
        "if": {"not": {"anyOf": [*_has_layers_elsewhere(), _is_fragment()]}},
        "then": {"required": ["graphc", "inputs", "layers"]},
        "$defs": definitions,
    }


def _has_layers_elsewhere() -> list[Schema]:
    """What a spec has whose layers another file may have."""
    return [{"required": [key]} for key, form in FILE_FORMS.items() if "layers" in form.taken]


def _is_fragment() -> Schema:
    """A file that others include: it has what they share, and no layers."""
    shared = [{"required": [key]} for key in Include.taken]
    return {"anyOf": shared, "not": {"required": ["layers"]}}


def _top() -> Schema:
    by_layer = {**MAPPING_OR_NONE, "description": "By layer."}
    fields = {"receptive_field": by_layer, "stride": by_layer, "padding": by_layer}
    size = {"type": ["integer", "string"], "minimum": 1}
    shape = {"type": ["array", "string", "null"], "items": size, "minItems": 2, **as_expression()}
    taken = {"not": {"enum": [*CATALOGUE, *FORMS]}}
    return {
        "graphc": {"const": 1, "description": "The language's version."},
        "name": {**NAME, "description": "The model's name; left out: the file's."},
        "scope": {**TEXT, "description": "Prefix of every variable; left out: the name."},
        **{key: form.schema() for key, form in FILE_FORMS.items()},
        "vars": {"type": ["object", "null"], "description": "Values for ${…}; --set NAME=VALUE changes them."},
        "inputs": map_of(shape, "Input -> [batch, height, width, channels]; a name is a symbolic size."),
        "arg_scopes": map_of(SCOPE, "Scopes by name."),
        "arg_scope": {**SCOPE, "description": "Defaults for the kinds of all layers."},
        "blocks": {
            **map_of({"anyOf": [{"$ref": "#/$defs/block"}, {"type": "null"}]}, "Layer kinds of your own."),
            "propertyNames": taken,
        },
        "layers": {**LAYERS, "description": "The network, top to bottom."},
        "outputs": map_of({"type": ["string", "null"]}, "Output -> layer; left out: the last layer."),
        "end_points": {
            "type": ["array", "null"],
            "items": {"type": ["string", "object"], "additionalProperties": TEXT},
            "description": "Layers that the model shows by name; * and ? stand for any text within a name.",
        },
        "expect": {
            **object_of(
                {**_totals(), "outputs": {**MAPPING_OR_NONE, "description": "Shapes by output."}, **fields},
                "Budgets, checked whenever the spec is read.",
            ),
            "type": ["object", "null"],
        },
        "pretrained": map_of(
            _pretrained(), "Whose weights fit, by source: torchvision, timm, keras, tf_slim, or others."
        ),
    }


def _pretrained() -> Schema:
    """A source of weights."""
    names = map_of(TEXT, "Their name of a module -> ours.")
    group = object_of({"within": names, "rules": names}, "The rules for each of the names that they are within.")
    preprocess = {**ANY_MAPPING, "description": "What was done to images: resize, crop, interpolation, mean, std, …"}
    labels = {**TEXT, "description": "What the outputs are: imagenet_1000 or imagenet_1001."}
    net = {
        "set": map_of({}, "Variables with which the spec is this network."),
        "refused": {**TEXT, "description": "Why it has the same names and shapes, and computes something else."},
        "use": {**TEXT, "description": "The spec that it fits."},
        "preprocess": preprocess,
        "labels": labels,
    }
    source = {
        "rules": {"anyOf": [names, {"type": "array", "items": {"anyOf": [group, names]}}]},
        "ranks": map_of(
            {"type": "integer"}, "Our modules by pattern -> axes of their array, where those are not usual."
        ),
        "layout": {"enum": ["HWIO", "OIHW"], "description": "How weights of convolutions lie, where files do not say."},
        "nets": map_of(object_of(net, "A network of theirs."), "Networks of theirs with these names."),
        "preprocess": preprocess,
        "labels": labels,
    }
    return {"anyOf": [object_of(source, "Who publishes weights."), {"type": "null"}]}


def _totals() -> Schema:
    meanings = {
        "params": "All variables.",
        "trainable_params": "Those that training changes.",
        "macs": "Multiply-accumulates for one example.",
        "flops": "Floating-point operations for one example.",
        "memory": "Bytes of one example in float32, the most that are alive at once.",
        "arena": "Bytes of a block that holds all tensors of one example in float32.",
        "file_bytes": "Bytes of the compiled file, checked where it is made.",
        "int8_drop": "Points of accuracy that integers may lose, checked where they are made.",
    }
    budget = {"type": ["number", "string", "null"]}
    return {
        key: {**budget, "description": f'{meaning} A number, or a bound such as "<= 5e6".'}
        for key, meaning in meanings.items()
    }


def _relaxed(schema: Any) -> Any:
    """A schema in which an expression may stand for any value."""
    schema = _inside(schema)
    types = [schema["type"]] if isinstance(schema.get("type"), str) else schema.get("type", [])
    if "$ref" in schema or types == ["object"] or ("string" in types and "enum" not in schema):
        return schema
    if not {"anyOf", "enum", "const"} & schema.keys():
        return {**schema, "type": [*types, "string"], **as_expression()}
    about = {key: schema.pop(key) for key in ("title", "description", "default") if key in schema}
    forms = schema.get("anyOf", [schema])
    return {"anyOf": [*forms, {"$ref": "#/$defs/expression"}], **about}


def _inside(schema: Any) -> Any:
    """The schema, with all that stands inside its mappings and lists relaxed."""
    schema = dict(schema)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            schema[key] = _relaxed(schema[key])
    if "prefixItems" in schema:
        schema["prefixItems"] = [_relaxed(each) for each in schema["prefixItems"]]
    if "properties" in schema:
        schema["properties"] = {name: _relaxed(each) for name, each in schema["properties"].items()}
    if "anyOf" in schema:
        schema["anyOf"] = [_inside(each) for each in schema["anyOf"]]
    return schema


def argument_order(layer: type[Layer]) -> list[str]:
    """A kind's arguments: those by position first, then its own, then those that it shares with other kinds."""
    own = [name for name in layer.model_fields if name in layer.__annotations__]
    return list(dict.fromkeys([*layer.positional, *own, *layer.model_fields]))


def _arguments(layer: type[Layer], definitions: Schema) -> Schema:
    """What a kind takes, in a scope or on a layer; what several kinds share goes to `definitions`."""
    own = layer.model_json_schema(schema_generator=ReadableSchema)
    for name, shared in own.get("$defs", {}).items():
        definitions[name] = _relaxed(shared)
    properties = {name: _argument(name, own["properties"][name], definitions) for name in argument_order(layer)}
    for name in own.get("required", ()):
        properties[name]["description"] += " Required, here or in an arg_scope."
    properties |= {name: {"$ref": f"#/$defs/{name}"} for name in layer.accepts}
    return object_of(properties, documentation(layer))


def _argument(name: str, schema: Schema, definitions: Schema) -> Schema:
    if schema.get("title") == "initializer":
        definitions["initializer"] = _relaxed({key: schema[key] for key in ("anyOf", "title")})
        return {"$ref": "#/$defs/initializer", "description": schema["description"], "default": schema["default"]}
    found: Schema = _relaxed(schema)
    if name.endswith("_regularizer"):
        found["anyOf"] = [*found["anyOf"], {"const": "none"}]
    return found


def _sugar(description: str, kinds: frozenset[str]) -> Schema:
    """A layer's `activation` or `normalizer`: none, a kind, a kind with arguments, or a block."""
    named = {kind: _after(kind) for kind in sorted(kinds)}
    with_arguments = {"type": "object", "properties": named, **ONE_KEY}
    names: Schema = {"type": ["string", "null"], "enum": ["none", *named, None]}
    return {"anyOf": [names, with_arguments, TEXT], "description": description, "default": None}


def _after(kind: str, common: Mapping[str, Schema] | None = None) -> Schema:
    """What follows `kind:`: a mapping of arguments, arguments by position, or nothing."""
    layer = CATALOGUE[kind]
    arguments = {
        name: {"$ref": f"#/$defs/arguments_of_{kind}/properties/{name}"}
        for name in (*argument_order(layer), *layer.accepts)
    }
    by_position = [arguments[name] for name in layer.positional]
    schema = object_of({**(common or {}), **arguments}, documentation(layer))
    schema["type"] = ["object", *(OTHERS if by_position else ["null"])]
    if by_position:
        one_by_one = {"prefixItems": by_position, "maxItems": len(by_position)}
        only = {"anyOf": [{"not": {"type": "array"}}, one_by_one, by_position[0]]}
        schema |= only if len(by_position) == 1 else one_by_one
        schema |= {"if": {"type": ["number", "string", "boolean"]}, "then": by_position[0]}
    return schema


def _layer() -> Schema:
    entries = {kind: _after(kind, COMMON_KEYS) for kind in sorted(CATALOGUE)}
    entries |= {kind: form.schema() for kind, form in FORMS.items()}
    return {"type": ["object", "string"], "properties": entries, **ONE_KEY, "title": "layer"}


def _merge() -> Schema:
    kinds = [kind for kind, layer in CATALOGUE.items() if layer.inputs_at_most is None]
    named = {kind: {"$ref": f"#/$defs/layer/properties/{kind}"} for kind in kinds}
    forms = [{**TEXT, "enum": kinds}, {**object_of(named, ""), **ONE_KEY}, {"$ref": "#/$defs/expression"}]
    return {"anyOf": forms}


def _arg_scope() -> Schema:
    return {
        "title": "argument scope",
        "type": ["object", "string", "null", "array"],
        "properties": {kind: {"$ref": f"#/$defs/arguments_of_{kind}"} for kind in sorted(CATALOGUE)},
        "additionalProperties": ANY_MAPPING,
        "items": SCOPE,
        "description": "kind: {argument: default}; several kinds with commas; or a captured scope's name.",
    }
