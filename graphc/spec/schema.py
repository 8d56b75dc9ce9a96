"""The JSON Schema of a spec, for completion and checks in an editor, and for the reference.

It is looser than `graphc check`: any argument may come from a scope, so none is required, and `${…}` may stand
for any value. Kinds that are not in the catalogue may be blocks, so they are let through. Wherever it can be, a
choice is one schema with several types, not a list of schemas: an editor then knows which keys to offer.
"""

from __future__ import annotations

from typing import Any

from graphc.documented import ReadableSchema
from graphc.layers import ACTIVATIONS, CATALOGUE, NORMALIZERS
from graphc.layers.base import Layer

Schema = dict[str, Any]

IS_EXPRESSION = r"\$\{"
EXPRESSION: Schema = {"type": "string", "pattern": IS_EXPRESSION}
TEXT: Schema = {"type": "string"}
NAME: Schema = {**TEXT, "pattern": r"^[^\s/,]+$|\$\{"}
NAMES: Schema = {"type": ["string", "array"], "items": TEXT}
LAYER: Schema = {"$ref": "#/$defs/layer"}
LAYERS: Schema = {"type": "array", "items": LAYER}
LAYERS_OR_NONE: Schema = {**LAYERS, "type": ["array", "null"]}
SCOPE: Schema = {"$ref": "#/$defs/arg_scope"}
ANY_MAPPING: Schema = {"type": "object"}
MAPPING_OR_NONE: Schema = {"type": ["object", "null"]}
"""In a spec that extends another, null drops what that one has."""
ONE_KEY: Schema = {"minProperties": 1, "maxProperties": 1}
OTHERS = ["array", "number", "string", "boolean", "null"]
"""Types of what may follow `kind:` besides a mapping."""
MERGES = tuple(kind for kind, layer in CATALOGUE.items() if layer.inputs_at_most is None)


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
    definitions["layer"] = _layer()
    definitions["arg_scope"] = _arg_scope()
    definitions["block"] = _block()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "graphc model",
        "type": "object",
        "properties": _top(),
        "additionalProperties": False,
        "if": {"not": {"anyOf": [{"required": ["extends"]}, _is_fragment()]}},
        "then": {"required": ["graphc", "inputs", "layers"]},
        "$defs": definitions,
    }


def _is_fragment() -> Schema:
    """A file that others include: it has what they share, and no layers."""
    shared = [{"required": [key]} for key in ("vars", "blocks", "arg_scopes", "pretrained")]
    return {"anyOf": shared, "not": {"required": ["layers"]}}


def _top() -> Schema:
    by_layer = {**MAPPING_OR_NONE, "description": "By layer."}
    fields = {"receptive_field": by_layer, "stride": by_layer, "padding": by_layer}
    size = {"type": ["integer", "string"], "minimum": 1}
    shape = {"type": ["array", "string", "null"], "items": size, "minItems": 2, **_as_expression()}
    taken = {"not": {"enum": [*CATALOGUE, *compositions()]}}
    return {
        "graphc": {"const": 1, "description": "The language's version."},
        "name": {**NAME, "description": "The model's name; left out: the file's."},
        "scope": {**TEXT, "description": "Prefix of every variable; left out: the name."},
        "extends": {
            **NAMES,
            "description": "The spec to start from, below this file's folder, or zoo/NAME; or several.",
        },
        "include": {
            **NAMES,
            "description": "Files to take vars, blocks and arg_scopes from, below this file's folder, or zoo/NAME.",
        },
        "vars": {"type": ["object", "null"], "description": "Values for ${…}; --set NAME=VALUE changes them."},
        "inputs": _map(shape, "Input -> [batch, height, width, channels]; a name is a symbolic size."),
        "arg_scopes": _map(SCOPE, "Scopes by name."),
        "arg_scope": {**SCOPE, "description": "Defaults for the kinds of all layers."},
        "blocks": {
            **_map({"anyOf": [{"$ref": "#/$defs/block"}, {"type": "null"}]}, "Layer kinds of your own."),
            "propertyNames": taken,
        },
        "layers": {**LAYERS, "description": "The network, top to bottom."},
        "outputs": _map({"type": ["string", "null"]}, "Output -> layer; left out: the last layer."),
        "end_points": {
            "type": ["array", "null"],
            "items": {"type": ["string", "object"], "additionalProperties": TEXT},
            "description": "Layers that the model shows by name; * and ? stand for any text within a name.",
        },
        "expect": {
            **_object(
                {**_totals(), "outputs": {**MAPPING_OR_NONE, "description": "Shapes by output."}, **fields},
                "Budgets, checked whenever the spec is read.",
            ),
            "type": ["object", "null"],
        },
        "pretrained": _map(
            _pretrained(), "Whose weights fit, by source: torchvision, timm, keras, tf_slim, or others."
        ),
    }


def _pretrained() -> Schema:
    """A source of weights."""
    names = _map(TEXT, "Their name of a module -> ours.")
    group = _object({"within": names, "rules": names}, "The rules for each of the names that they are within.")
    preprocess = {**ANY_MAPPING, "description": "What was done to images: resize, crop, interpolation, mean, std, …"}
    labels = {**TEXT, "description": "What the outputs are: imagenet_1000 or imagenet_1001."}
    net = {
        "set": _map({}, "Variables with which the spec is this network."),
        "refused": {**TEXT, "description": "Why it has the same names and shapes, and computes something else."},
        "use": {**TEXT, "description": "The spec that it fits."},
        "preprocess": preprocess,
        "labels": labels,
    }
    source = {
        "rules": {"anyOf": [names, {"type": "array", "items": {"anyOf": [group, names]}}]},
        "ranks": _map({"type": "integer"}, "Our modules by pattern -> axes of their array, where those are not usual."),
        "layout": {"enum": ["HWIO", "OIHW"], "description": "How weights of convolutions lie, where files do not say."},
        "nets": _map(_object(net, "A network of theirs."), "Networks of theirs with these names."),
        "preprocess": preprocess,
        "labels": labels,
    }
    return {"anyOf": [_object(source, "Who publishes weights."), {"type": "null"}]}


def _totals() -> Schema:
    meanings = {
        "params": "All variables.",
        "trainable_params": "Those that training changes.",
        "macs": "Multiply-accumulates for one example.",
        "flops": "Floating-point operations for one example.",
    }
    budget = {"type": ["number", "string", "null"]}
    return {
        key: {**budget, "description": f'{meaning} A number, or a bound such as "<= 5e6".'}
        for key, meaning in meanings.items()
    }


def _map(values: Schema, description: str = "") -> Schema:
    return {"type": ["object", "null"], "additionalProperties": values, "description": description}


def _object(properties: Schema, description: str) -> Schema:
    return {"type": "object", "properties": properties, "additionalProperties": False, "description": description}


def _as_expression() -> Schema:
    return {"pattern": IS_EXPRESSION}


def _relaxed(schema: Any) -> Any:
    """A schema in which an expression may stand for any value."""
    schema = _inside(schema)
    types = [schema["type"]] if isinstance(schema.get("type"), str) else schema.get("type", [])
    if "$ref" in schema or types == ["object"] or ("string" in types and "enum" not in schema):
        return schema
    if not {"anyOf", "enum", "const"} & schema.keys():
        return {**schema, "type": [*types, "string"], **_as_expression()}
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
    return _object(properties, _first_line(layer))


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


def _after(kind: str, common: Schema | None = None) -> Schema:
    """What follows `kind:`: a mapping of arguments, arguments by position, or nothing."""
    layer = CATALOGUE[kind]
    arguments = {
        name: {"$ref": f"#/$defs/arguments_of_{kind}/properties/{name}"}
        for name in (*argument_order(layer), *layer.accepts)
    }
    by_position = [arguments[name] for name in layer.positional]
    schema = _object({**(common or {}), **arguments}, _first_line(layer))
    schema["type"] = ["object", *(OTHERS if by_position else ["null"])]
    if by_position:
        schema |= {"prefixItems": by_position, "maxItems": len(by_position)}
        schema |= {"if": {"type": ["number", "string", "boolean"]}, "then": by_position[0]}
    return schema


def _layer() -> Schema:
    common = {
        "name": {**NAME, "description": "The layer's name in its group."},
        "inputs": {**NAMES, "description": "What the layer reads; left out: the layer above."},
        "when": {"type": ["boolean", "string", "number", "null"], "description": "Skipped where false."},
        "share": {**TEXT, "description": "The layer whose variables this one uses."},
    }
    entries = {kind: _after(kind, common) for kind in sorted(CATALOGUE)}
    for kind, (description, own, needed) in compositions().items():
        entries[kind] = {**_object({**common, **own}, description), "required": needed}
    one, several = {"required": ["layer"]}, {"required": ["layers"]}
    entries["repeat"] |= {"if": one, "then": {"not": several}, "else": several}
    return {"type": ["object", "string"], "properties": entries, **ONE_KEY, "title": "layer"}


def compositions() -> dict[str, tuple[str, Schema, list[str]]]:
    """Kind -> what it does, its keys besides those of every layer, and which of them are required."""
    return {
        "group": ("A naming scope, an argument scope, or both.", _grouped(), ["layers"]),
        "repeat": ("The same layers several times.", _repeated(), ["times"]),
        "stack": ("One layer kind, one element an entry of args.", _stacked(), ["layer", "args"]),
        "branches": ("Paths side by side from one input, then merged.", _branched(), ["paths"]),
        "residual": ("Layers plus a shortcut.", _residual(), ["layers"]),
    }


EACH: Schema = {**TEXT, "description": "Element i is named each_i; left out: the name."}
ACTIVATION: Schema = {"$ref": "#/$defs/activation"}


def _grouped() -> Schema:
    return {
        "layers": {**LAYERS_OR_NONE, "description": "The group's layers."},
        "arg_scope": {**SCOPE, "description": "Defaults for them."},
        "as": {**TEXT, "description": "A name for this scope."},
    }


def _repeated() -> Schema:
    return {
        "times": {"type": ["integer", "string"], "minimum": 0, **_as_expression(), "description": "How often."},
        "layer": {**LAYER, "description": "What is repeated: one layer."},
        "layers": {**LAYERS, "description": "Or several, each time in a group of their own."},
        "each": EACH,
        "index": {**TEXT, "description": "A name for the element's number, from 1."},
    }


def _stacked() -> Schema:
    meaning = "One element each: a mapping of arguments, a list of them by position, or the first one."
    return {
        "layer": {**LAYER, "description": "The kind, with what all elements share."},
        "args": {"type": ["array", "string"], **_as_expression(), "description": meaning},
        "each": EACH,
    }


def _branched() -> Schema:
    path = {
        "type": ["array", "object"],
        "items": LAYER,
        "properties": {"when": {"description": "Left out where false."}, "layers": LAYERS},
        "required": ["when", "layers"],
        "additionalProperties": False,
    }
    paths = {**_map(path, "Path -> its layers."), "type": "object", "minProperties": 1}
    return {"paths": paths, "merge": {**_merge(), "default": "concat"}, "activation": ACTIVATION}


def _residual() -> Schema:
    return {
        "layers": {**LAYERS_OR_NONE, "description": "The long way."},
        "shortcut": {**LAYERS_OR_NONE, "description": "The short one; left out: the input itself."},
        "merge": {**_merge(), "default": "add"},
        "activation": ACTIVATION,
    }


def _merge() -> Schema:
    named = {kind: {"$ref": f"#/$defs/layer/properties/{kind}"} for kind in MERGES}
    forms = [{**TEXT, "enum": list(MERGES)}, {**_object(named, ""), **ONE_KEY}, {"$ref": "#/$defs/expression"}]
    return {"anyOf": forms, "description": "How the paths become one."}


def _arg_scope() -> Schema:
    return {
        "title": "argument scope",
        "type": ["object", "string", "null", "array"],
        "properties": {kind: {"$ref": f"#/$defs/arguments_of_{kind}"} for kind in sorted(CATALOGUE)},
        "additionalProperties": ANY_MAPPING,
        "items": SCOPE,
        "description": "kind: {argument: default}; several kinds with commas; or a captured scope's name.",
    }


def _block() -> Schema:
    properties = {
        "params": {
            "type": ["array", "null"],
            "items": {"type": ["string", "object"]},
            "description": "A name is required, {name: default} is not.",
        },
        "inputs": {**NAMES, "type": ["string", "array", "null"], "description": "Names for what the block reads."},
        "arg_scope": {**SCOPE, "description": "Defaults inside the block, within those of its user."},
        "layers": {**LAYERS, "description": "The block's layers."},
    }
    return {**_object(properties, "A layer kind of your own."), "required": ["layers"], "title": "block"}


def _first_line(layer: type[Layer]) -> str:
    return (layer.__doc__ or "").partition("\n")[0]
