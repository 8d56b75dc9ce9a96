"""What the JSON Schema of a spec is put together from: the types that its parts share."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

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
ACTIVATION: Schema = {"$ref": "#/$defs/activation"}
MERGE: Schema = {"$ref": "#/$defs/merge", "description": "How the paths become one."}
DEFAULTS: Schema = {**SCOPE, "description": "Defaults for its layers."}
ONE_KEY: Schema = {"minProperties": 1, "maxProperties": 1}

COMMON_KEYS: Mapping[str, Schema] = {
    "name": {**NAME, "description": "The layer's name in its group."},
    "inputs": {**NAMES, "description": "What the layer reads; left out: the layer above; * and ?: text within a name."},
    "when": {"type": ["boolean", "string", "number", "null"], "description": "Skipped where false."},
    "share": {**TEXT, "description": "The layer whose variables this one uses."},
}
"""What every entry of `layers` takes, whatever its kind."""


def documentation(written: type) -> str:
    """A class's docstring, a line for each paragraph, with an empty one between them."""
    text = inspect.getdoc(written) if written.__doc__ else None
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in (text or "").split("\n\n"))


def map_of(values: Schema, description: str = "") -> Schema:
    return {"type": ["object", "null"], "additionalProperties": values, "description": description}


def object_of(properties: Mapping[str, Schema], description: str) -> Schema:
    return {
        "type": "object",
        "properties": dict(properties),
        "additionalProperties": False,
        "description": description,
    }


def as_expression() -> Schema:
    return {"pattern": IS_EXPRESSION}
