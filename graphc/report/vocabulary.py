"""Every word that a spec or a recipe may hold: what it means, what it takes, and an example of it.

All of it is read from the two JSON Schemas, so that a kind or a key that is added to the code is here too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from graphc.documented import flow
from graphc.report.library import library_words
from graphc.report.schema_words import Reader, Schema, plural
from graphc.report.words import Setting, Word
from graphc.spec.file_forms import FILE_FORMS
from graphc.spec.forms import FORMS
from graphc.spec.schema import json_schema
from graphc.spec.schema_terms import COMMON_KEYS

ITEM = "[]"
"""In a path: an item of a list."""


@cache
def words() -> tuple[Word, ...]:
    """All of them, a spec's first."""
    return (*spec_words(), *library_words(), *recipe_words())


def find(name: str) -> list[Word]:
    """Everything that a name means; kinds first."""
    return sorted((word for word in words() if word.name == name), key=lambda word: word.is_key)


def vocabularies(some: Sequence[Word]) -> dict[str, list[Word]]:
    """Vocabulary -> its words, keys left out."""
    found: dict[str, list[Word]] = {}
    for word in some:
        if not word.is_key:
            found.setdefault(word.vocabulary, []).append(word)
    return found


# specs -----------------------------------------------------------------------------------------------------


@cache
def spec_words() -> tuple[Word, ...]:
    schema = json_schema()
    reader = Reader(schema)
    definitions = schema["$defs"]
    entries = definitions["layer"]["properties"]
    return (
        *(_layer(reader, kind, entry) for kind, entry in entries.items() if kind not in FORMS),
        *(_composition(reader, kind, entry) for kind, entry in entries.items() if kind in FORMS),
        *_initializers(reader, definitions["initializer"]["anyOf"]),
        *_regularizers(reader, definitions["Regularizer"]),
        *_keys(reader, "spec", schema["properties"], ("graphc", "inputs", "layers")),
        *_keys(reader, "layer", {key: entries["relu"]["properties"][key] for key in COMMON_KEYS}, ()),
        *_keys(reader, "block", definitions["block"]["properties"], ("layers",)),
        *_keys(reader, "expect", schema["properties"]["expect"]["properties"], ()),
    )


WRITTEN = {
    "crop": "crop: 4",
    "pad": "pad: 1",
    "transpose": "transpose: {axes: [1, 0, 2]}",
    "resize": "resize: {scale: 2, method: bilinear}",
    "max_pool2d": "max_pool2d: {kernel: 3}",
    "avg_pool2d": "avg_pool2d: {kernel: 3}",
    "max_pool1d": "max_pool1d: {kernel: 4}",
    "avg_pool1d": "avg_pool1d: {kernel: 4}",
    "max_pool3d": "max_pool3d: {kernel: 2}",
    "avg_pool3d": "avg_pool3d: {kernel: 2}",
    "max_unpool2d": "max_unpool2d: {pool: pool1}",
    "roll": "roll: {shift: [-4, -4]}",
    "slice": "slice: {start: 0, stop: 32}",
    "multi_head_attention": "multi_head_attention: {heads: 4}",
    "separable_conv2d": "separable_conv2d: {filters: 64, kernel: 3}",
    "concat": "concat: {inputs: [left, right]}",
    "add": "add: {inputs: [left, right]}",
    "multiply": "multiply: {inputs: [left, right]}",
    "greater": "greater: {inputs: [left, right]}",
    "equal": "equal: {inputs: [left, right]}",
    "scale": "scale: 0.5",
    "separable_conv1d": "separable_conv1d: {filters: 64, kernel: 9}",
    "separable_conv3d": "separable_conv3d: {filters: 64, kernel: 3}",
    "subtract": "subtract: {inputs: [left, right]}",
    "divide": "divide: {inputs: [left, right]}",
    "maximum": "maximum: {inputs: [left, right]}",
    "minimum": "minimum: {inputs: [left, right]}",
    "average": "average: {inputs: [left, right]}",
    "matmul": "matmul: {inputs: [left, right], transpose_b: true}",
    "clip": "clip: {minimum: 0, maximum: 1}",
    "reduce_mean": "reduce_mean: {axes: [height, width], keep_dims: true}",
    "reduce_max": "reduce_max: {axes: channels, keep_dims: true}",
    "reduce_min": "reduce_min: {axes: -1}",
    "reduce_sum": "reduce_sum: {axes: [0, 1]}",
    "constant": "constant: {value: [[1, 0], [0, 1]]}",
    "split": "split: {parts: 2, part: 0}",
    "decode_distances": "decode_distances: {classes: 3, strides: [8], bins: 16}",
    "decode_deltas": "decode_deltas: {classes: 3, strides: [16], anchors: [[[32, 32], [64, 48]]]}",
    "non_max_suppression": "non_max_suppression: {score_threshold: 0.25}",
    "group": "group: {name: head, arg_scope: {conv2d: {kernel: 1}}, layers: [conv2d: 64, conv2d: 10]}",
    "repeat": "repeat: {name: conv1, times: 2, layer: {conv2d: {filters: 64, kernel: 3}}}",
    "stack": "stack: {name: conv1, layer: {conv2d: {kernel: 3}}, args: [32, {filters: 64, stride: 2}]}",
    "branches": "branches: {name: mixed, paths: {left: [conv2d: [64, 1]], right: [conv2d: [64, 3]]}, merge: concat}",
    "residual": "residual: {name: unit, layers: [conv2d: [64, 3], conv2d: [64, 3]], activation: relu}",
}
"""Examples that the types of arguments do not give away."""


def _layer(reader: Reader, kind: str, entry: Schema) -> Word:
    arguments = {name: each for name, each in entry["properties"].items() if name not in COMMON_KEYS}
    by_position = [each["$ref"].rpartition("/")[2] for each in entry.get("prefixItems", ())]
    needed = [name for name in arguments if reader.is_required(arguments[name])]
    body = {name: reader.example(name, arguments[name]) for name in needed}
    note = f"By position: {', '.join(by_position)}." if by_position else ""
    example = WRITTEN.get(kind, flow({kind: body})[1:-1] if body else kind)
    return Word(kind, "layer", entry["description"], _settings(reader, arguments, needed), f"- {example}", note)


def _composition(reader: Reader, kind: str, entry: Schema) -> Word:
    own = {name: each for name, each in entry["properties"].items() if name not in COMMON_KEYS}
    rows = _settings(reader, own, entry["required"])
    return Word(kind, "composition", entry["description"], rows, f"- {FORMS[kind].example}")


def _initializers(reader: Reader, forms: Sequence[Schema]) -> Iterator[Word]:
    for kind, schema in forms[1]["properties"].items():
        written = _written(reader, kind, schema)
        example = f"- conv2d: {flow({'filters': 64, 'kernel': 3, 'weights_initializer': written})}"
        rows = _settings(reader, schema["properties"], schema.get("required", ()))
        yield Word(kind, "initializer", schema["description"], rows, example)


def _regularizers(reader: Reader, schema: Schema) -> Iterator[Word]:
    rows = {row.name: row for row in _settings(reader, schema["properties"], ())}
    for kind, row in rows.items():
        written = {"filters": 64, "kernel": 3, "weights_regularizer": {kind: 0.0005}}
        meaning = f"{row.meaning} {schema['description']}"
        yield Word(kind, "regularizer", meaning, (row,), f"- conv2d: {flow(written)}")


def _keys(reader: Reader, above: str, properties: Mapping[str, Schema], needed: Sequence[str]) -> Iterator[Word]:
    for row in _settings(reader, properties, needed):
        vocabulary = "budget" if above == "expect" else f"key of a {above}"
        example = FILE_FORMS[row.name].example if above == "spec" and row.name in FILE_FORMS else ""
        yield Word(row.name, vocabulary, row.meaning, (row,), example, "", row.name, row)


# recipes ---------------------------------------------------------------------------------------------------


@cache
def recipe_words() -> tuple[Word, ...]:
    from graphc.train.recipe import recipe_schema  # noqa: PLC0415  (loads NumPy)

    return _walked(recipe_schema(), "a recipe")


def sweep_words() -> tuple[Word, ...]:
    from graphc.sweep.settings import sweep_schema  # noqa: PLC0415  (loads NumPy)

    return _walked(sweep_schema(), "a sweep")


def _walked(schema: Schema, root: str) -> tuple[Word, ...]:
    walk = _Walk(Reader(schema), root)
    walk.waiting.append(((), schema))
    while walk.waiting:  # level by level: an example shows the place nearest to the top
        walk.group(*walk.waiting.pop(0))
    return tuple(walk.found)


class _Walk:
    """Over all groups of settings and all kinds of a recipe or sweep, each once."""

    def __init__(self, reader: Reader, root: str) -> None:
        self.reader = reader
        self.root = root
        self.found: list[Word] = []
        self.waiting: list[tuple[tuple[str, ...], Schema]] = []
        self.seen: set[str] = set()

    def group(self, path: tuple[str, ...], group: Schema, of_kind: bool = False) -> None:
        """The keys of a group; of a kind's arguments, only those that are groups themselves."""
        needed = group.get("required", ())
        for name, each in group.get("properties", {}).items():
            where = (*path, name)
            forms = list(_forms(self.reader, each, where))
            if not of_kind or any("properties" in form for form, _ in forms):
                self.found.append(_key(self.reader, self.root, where, each, name in needed))
            for form, place in forms:
                if self.reader.is_choice(form):
                    self.kinds(form, place)
                elif self.is_new(" ".join(form["properties"])):
                    self.waiting.append((place, form))

    def kinds(self, choice: Schema, path: tuple[str, ...]) -> None:
        for kind, schema in _kinds(self.reader, choice):
            if self.is_new(f"{choice['title']} {kind}"):
                self.found.append(_kind(self.reader, choice["title"], kind, schema, path))
                self.group((*path, kind), schema, of_kind=True)

    def is_new(self, name: str) -> bool:
        new = name not in self.seen
        self.seen.add(name)
        return new


def _forms(reader: Reader, schema: Schema, path: tuple[str, ...]) -> Iterator[tuple[Schema, tuple[str, ...]]]:
    """The groups and choices that a value may be, in lists and mappings too, each with its place."""
    schema = reader.resolved(schema)
    if reader.is_choice(schema):
        yield schema, path
        return
    for each in schema.get("anyOf", ()):
        yield from _forms(reader, each, path)
    if "items" in schema:
        yield from _forms(reader, schema["items"], (*path, ITEM))
    if isinstance(schema.get("additionalProperties"), dict):
        yield from _forms(reader, schema["additionalProperties"], (*path, "NAME"))
    if "properties" in schema:
        yield schema, path


def _kinds(reader: Reader, choice: Schema) -> Iterator[tuple[str, Schema]]:
    for kind, schema in choice["anyOf"][-1]["properties"].items():
        yield kind, reader.resolved(schema)


def _kind(reader: Reader, vocabulary: str, kind: str, schema: Schema, path: tuple[str, ...]) -> Word:
    rows = _settings(reader, schema["properties"], schema.get("required", ()))
    example = _placed(path, _written(reader, kind, schema))
    return Word(kind, vocabulary, schema.get("description", ""), rows, example)


def _key(reader: Reader, root: str, path: tuple[str, ...], schema: Schema, required: bool) -> Word:
    name, above = path[-1], ".".join(part for part in path[:-1] if part != ITEM)
    (row,) = _settings(reader, {name: schema}, (name,) if required else ())
    forms = [form for form, _ in _forms(reader, schema, path)]
    group = next((form for form in forms if not reader.is_choice(form)), None)
    kinds = [kind for form in forms if reader.is_choice(form) for kind, _ in _kinds(reader, form)]
    note = f"Kinds: {', '.join(kinds)}." if kinds else ""
    rows = (row,) if group is None else _settings(reader, group["properties"], group.get("required", ()))
    where = f"{above}.{name}" if above else name
    example = _placed(path, reader.example(name, schema))
    return Word(name, f"key of {above or root}", row.meaning, rows, example, note, where, row)


def _written(reader: Reader, kind: str, schema: Schema) -> Any:
    """A kind as one may write it: with what it needs, or with what it takes last."""
    one_of = [next(iter(rule["oneOf"][0]["not"]["properties"])) for rule in schema.get("allOf", ()) if "oneOf" in rule]
    needed = schema.get("required") or one_of or [*schema["properties"]][-2:]
    body = {name: reader.example(name, schema["properties"][name]) for name in needed}
    return {kind: body} if body else kind


def _placed(path: tuple[str, ...], value: Any) -> str:
    """A value below its keys, on one line."""
    for part in reversed(path[1:]):
        value = [value] if part == ITEM else {part: value}
    return f"{path[0]}: {flow(value)}"


def _settings(reader: Reader, properties: Mapping[str, Schema], needed: Sequence[str]) -> tuple[Setting, ...]:
    return tuple(
        Setting(name, reader.type_of(schema), reader.default_of(schema, name in needed), reader.meaning_of(schema))
        for name, schema in properties.items()
    )


def title_of(vocabulary: str) -> str:
    """`Losses` for loss."""
    return plural(vocabulary).capitalize()
