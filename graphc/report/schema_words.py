"""A JSON Schema in words: types, defaults, examples of values."""

from __future__ import annotations

from typing import Any

from graphc.documented import flow

Schema = dict[str, Any]

NOUNS = {"string": "text", "boolean": "true or false", "array": "list", "object": "mapping"}
NUMBERS = ("integer", "number")
BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
MUCH = 100_000_000
"""A limit above this is there to refuse nonsense: nobody needs to be told."""
EXAMPLES = {
    "filters": 64, "kernel": 3, "units": 10, "groups": 8, "shape": [-1], "block": 2, "padding": 1, "in_filters": 64,
    "levels": 4, "start": 0, "stop": 32, "times": 2, "learning_rate": 0.001, "epochs": 10, "steps": 1000, "batch": 64,
    "at": [10, 20], "factors": [1, 0.1, 0.01], "size": [224, 224], "include": ["*/conv*"], "exclude": ["*/logits/*"],
    "count": 1000, "rate": 0.9, "ignore": 255, "factor": 0.5, "validation_share": 0.1, "source": [0, 255],
    "value_range": [0, 255],
}  # fmt: skip
"""Values that a table of types cannot guess, by argument."""


class Reader:
    """Reads one JSON Schema with its definitions."""

    def __init__(self, root: Schema) -> None:
        self.root = root

    def resolved(self, schema: Schema) -> Schema:
        """The schema with what it refers to; its own words count."""
        while "$ref" in schema:
            target: Any = self.root
            for part in schema["$ref"].split("/")[1:]:
                target = target[part]
            schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
        return schema

    def is_choice(self, schema: Schema) -> bool:
        """Whether this is a choice among kinds: a name, or a mapping of one."""
        forms = schema.get("anyOf", ())
        return "title" in schema and bool(forms) and self.resolved(forms[-1]).get("maxProperties") == 1

    def is_required(self, schema: Schema) -> bool:
        schema = self.resolved(schema)
        return "default" not in schema and "title" not in schema

    def meaning_of(self, schema: Schema) -> str:
        text: str = self.resolved(schema).get("description", "")
        return " ".join(text.removesuffix("Required, here or in an arg_scope.").split())

    def default_of(self, schema: Schema, required: bool) -> str:
        if required:
            return "required"
        value = self.resolved(schema).get("default")
        return "none" if value in (None, [], {}, "") else flow(value)

    def type_of(self, schema: Schema) -> str:
        """`number ≥ 0 and < 1`, `[integer, integer]`, `same, valid or integer`."""
        found = list(dict.fromkeys(self._types(schema)))
        found = [each for each in found if each != "none"] or found
        return found[0] if len(found) == 1 else f"{', '.join(found[:-1])} or {found[-1]}" if found else "any value"

    def _types(self, schema: Schema) -> list[str]:
        """Every type that a value may have."""
        schema = self.resolved(schema)
        if "title" in schema and ("anyOf" in schema or "properties" in schema):
            return [str(schema["title"])]
        if "const" in schema or "enum" in schema:
            return [flow(each) for each in schema.get("enum", [schema.get("const")])]
        if "anyOf" in schema:
            return [name for each in schema["anyOf"] if not _is_expression(each) for name in self._types(each)]
        types = types_of(schema)
        if "pattern" in schema and "string" in types and len(types) > 1:
            types = [each for each in types if each != "string"]  # an expression, which may stand anywhere
        return [self._one(each, schema) for each in types]

    def _one(self, kind: str, schema: Schema) -> str:
        if kind == "null":
            return "none"
        if kind in NUMBERS:
            bounds = [f"{sign} {schema[key]:g}" for key, sign in BOUNDS.items() if abs(schema.get(key, MUCH)) < MUCH]
            return " ".join([kind, " and ".join(bounds)]).strip()
        if kind == "array":
            return self._list(schema)
        if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
            inner = self.type_of(schema["additionalProperties"])
            return "mapping" if inner == "any value" else f"mapping of {plural(inner)}"
        return NOUNS[kind]

    def _list(self, schema: Schema) -> str:
        if "prefixItems" in schema:
            return f"[{', '.join(_kind_of(self.type_of(each)) for each in schema['prefixItems'])}]"
        if "items" not in schema:
            return "list"
        item = self.type_of(schema["items"])
        if schema.get("maxItems") == schema.get("minItems") == 2:
            return f"[{_kind_of(item)}, {_kind_of(item)}]"
        return f"list of {plural(item)}"

    def example(self, name: str, schema: Schema) -> Any:
        """A value that this schema accepts."""
        schema = self.resolved(schema)
        default = schema.get("default")
        if name in EXAMPLES and self._takes(schema, EXAMPLES[name]):
            return EXAMPLES[name]
        if default not in (None, [], {}, ""):
            return default
        if self.is_choice(schema):
            return self._kind(schema)
        forms = [self.resolved(each) for each in schema.get("anyOf", ())]
        if forms:
            return self.example(name, next((each for each in forms if "properties" in each), forms[0]))
        if "const" in schema or "enum" in schema:
            return schema.get("const", schema.get("enum", [None])[0])
        return self._example_of(name, next(iter(types_of(schema)), "integer"), schema)

    def _takes(self, schema: Schema, value: Any) -> bool:
        """Whether a value has one of the types, as far as can be told from outside."""
        forms = [self.resolved(each) for each in schema.get("anyOf", [schema])]
        if not isinstance(value, list):
            return any(set(NUMBERS) & set(types_of(form)) for form in forms)
        sizes = {form.get("minItems", len(value)) for form in forms if "array" in types_of(form)}
        return len(value) in sizes and not self.is_choice(self.resolved(schema.get("items", {})))

    def _kind(self, choice: Schema) -> Any:
        """The first kind of a choice."""
        names = choice["anyOf"][0].get("enum")
        if names:
            return names[0]
        kind, schema = next(iter(choice["anyOf"][-1]["properties"].items()))
        return {kind: self.example(kind, schema)}

    def _example_of(self, name: str, kind: str, schema: Schema) -> Any:
        if kind == "object":
            needed = schema.get("required") or [*schema.get("properties", {})][:1]
            return {each: self.example(each, schema["properties"][each]) for each in needed}
        if kind == "array":
            items = schema.get("prefixItems") or [schema.get("items", {"type": "number"})] * schema.get("minItems", 1)
            return [self.example(name, each) for each in items]
        if kind == "string":
            return name.upper()
        if kind == "boolean":
            return True
        low = float(next((schema[key] for key in ("minimum", "exclusiveMinimum") if key in schema), 0))
        high = float(next((schema[key] for key in ("maximum", "exclusiveMaximum") if key in schema), MUCH))
        if kind == "integer":
            return int(min(max(low + 1, 10), high))
        return int(low + 1) if high > low + 1 else (low + high) / 2


def types_of(schema: Schema) -> list[str]:
    found: str | list[str] = schema.get("type", [])
    return [found] if isinstance(found, str) else found


def _is_expression(schema: Schema) -> bool:
    return bool(schema.get("$ref") == "#/$defs/expression")


def _kind_of(number: str) -> str:
    """A number's type without its bounds; any other type as it is."""
    first, sign, rest = number.rpartition(" or ")
    words = [(part.partition(" ")[0], part) for part in (*filter(None, [first]), rest)]
    return sign.join(word if word in NUMBERS else part for word, part in words)


def plural(noun: str) -> str:
    """`losses` for loss; what is more than a word stays as it is."""
    if noun.startswith("list of "):
        return f"lists of {noun.removeprefix('list of ')}"
    if not noun.replace(" ", "").isalpha() or " or " in noun:
        return noun
    return f"{noun}es" if noun.endswith("s") else f"{noun}s"
