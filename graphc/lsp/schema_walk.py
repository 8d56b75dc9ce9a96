"""What may stand at a path of a spec or a recipe, as the two JSON Schemas say it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from graphc.report.schema_words import Reader, Schema
from graphc.spec.schema import json_schema

Path = Sequence[str | int]


@cache
def reader_of(kind: str) -> Reader:
    """A reader of the JSON Schema of specs or of recipes."""
    if kind != "recipe":
        return Reader(json_schema())
    from graphc.train.recipe import recipe_schema  # noqa: PLC0415  (loads NumPy)

    return Reader(recipe_schema())


@dataclass(frozen=True, slots=True)
class Key:
    """A key that may stand in a mapping."""

    name: str
    type: str
    default: str
    """`required` where there is none."""
    meaning: str
    schema: Schema

    @property
    def is_required(self) -> bool:
        return self.default == "required"


@dataclass(frozen=True, slots=True)
class Allowed:
    """All forms that a value may have."""

    reader: Reader
    forms: tuple[Schema, ...]

    def keys(self) -> dict[str, Key]:
        """The keys of the mapping that it may be."""
        found: dict[str, Key] = {}
        for form in self.forms:
            needed = form.get("required", ())
            for name, schema in form.get("properties", {}).items():
                found.setdefault(name, self._key(name, schema, form, name in needed))
        return found

    def _key(self, name: str, schema: Schema, form: Schema, needed: bool) -> Key:
        resolved = self.reader.resolved(schema)
        required = needed or str(resolved.get("description", "")).endswith("Required, here or in an arg_scope.")
        default = self.reader.default_of(schema, required)
        return Key(name, self.reader.type_of(schema), default, self.reader.meaning_of(schema), schema)

    def values(self) -> list[tuple[str, str]]:
        """The words that it may be, each with what it means."""
        found: dict[str, str] = {}
        for form in self.forms:
            for value in form.get("enum", [form["const"]] if "const" in form else ()):
                if isinstance(value, str | int | float) and not isinstance(value, bool):
                    found.setdefault(str(value), "")
            types = form.get("type", ())
            if "boolean" in ([types] if isinstance(types, str) else types):
                found |= {"true": "", "false": ""}
            if form.get("maxProperties") == 1:
                for name, schema in form.get("properties", {}).items():
                    found[name] = str(self.reader.resolved(schema).get("description", ""))
        return list(found.items())

    @property
    def is_choice(self) -> bool:
        """Whether it is one kind among several, which a mapping of one key names."""
        return any(form.get("maxProperties") == 1 for form in self.forms)

    @property
    def is_layer(self) -> bool:
        return any(form.get("title") == "layer" for form in self.forms)

    @property
    def is_scope(self) -> bool:
        return any(form.get("title") == "argument scope" for form in self.forms)

    @property
    def meaning(self) -> str:
        return next((self.reader.meaning_of(form) for form in self.forms if form.get("description")), "")


def allowed_at(kind: str, path: Path) -> Allowed:
    """What may stand at a path; nothing where the schema knows no such place."""
    reader = reader_of(kind)
    forms = list(_forms(reader, reader.root))
    for part in path:
        forms = [inner for form in forms for inner in _step(reader, form, part)]
    return Allowed(reader, tuple(forms))


def _forms(reader: Reader, schema: Any) -> Iterator[Schema]:
    """A schema and all the forms that its choices have."""
    if not isinstance(schema, dict):
        return
    schema = reader.resolved(schema)
    yield schema
    for key in ("anyOf", "oneOf"):
        for each in schema.get(key, ()):
            yield from _forms(reader, each)


def _step(reader: Reader, form: Schema, part: str | int) -> Iterator[Schema]:
    """What may stand below a key, or at a number of a list."""
    if isinstance(part, int):
        by_position = form.get("prefixItems", ())
        yield from _forms(reader, by_position[part] if part < len(by_position) else form.get("items"))
        return
    properties = form.get("properties", {})
    if part in properties:
        yield from _forms(reader, properties[part])
    elif "," in part and form.get("title") == "argument scope":  # conv2d, fully_connected: {…}
        for kind in part.split(","):
            yield from _step(reader, form, kind.strip())
    else:
        yield from _forms(reader, form.get("additionalProperties"))
