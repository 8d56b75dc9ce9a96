"""Random trees for groups of settings: from the fields that the loader has, from a JSON Schema, and broken ones."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from graphc.settings import ONE_OR_LIST, OneOf, Settings, ShortFor

Tree = Any
Place = tuple[Any, Any]
"""A mapping or list, and a key or index of it."""


class FromFields:
    """Trees that have the form of a class of settings, as a user could write them."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def group(self, model: type[Settings]) -> dict[str, Tree]:
        wanted = {name for keys in model.exactly_one for name in keys[:1]}
        refused = {name for keys in (*model.exactly_one, *model.at_most_one) for name in keys[1:]}
        tree = {}
        for name, field in model.model_fields.items():
            if field.is_required() or name in wanted or (name not in refused and self.random.random() < 0.3):
                tree[name] = self.value(field.annotation, field.metadata)
        for keys in model.exactly_one:
            self.swap(model, tree, *self.random.choices(keys, k=2))
        return tree

    def swap(self, model: type[Settings], tree: dict[str, Tree], one: str, other: str) -> None:
        """Write another key instead of the one that is there."""
        if one != other and one in tree:
            del tree[one]
            field = model.model_fields[other]
            tree[other] = self.value(field.annotation, field.metadata)

    def value(self, annotation: Any, metadata: list[Any] | None = None) -> Tree:
        metadata = metadata or []
        origin, inner = get_origin(annotation), get_args(annotation)
        for each in metadata:
            if isinstance(each, OneOf):
                return self.kind(each)
            if isinstance(each, ShortFor) and self.random.random() < 0.5:
                return "text"
        if origin is Annotated:
            return self.value(inner[0], [*inner[1:], *metadata])
        if origin in (Union, UnionType):
            return self.value(self.random.choice(inner), metadata)
        if origin is Literal:
            return self.random.choice(inner)
        if origin is tuple:
            return self.row(inner, metadata)
        if origin is dict:
            start = "key" if inner[0] is str else ""  # keys of a document are texts, of numbers too
            return {f"{start}{i}": self.value(inner[1]) for i in range(self.random.randrange(fewest(metadata), 3))}
        if isinstance(annotation, type) and issubclass(annotation, Settings):
            return self.group(annotation)
        return self.leaf(annotation, metadata)

    def row(self, inner: tuple[Any, ...], metadata: list[Any]) -> Tree:
        if inner[-1] is not Ellipsis:
            return [self.value(each) for each in inner]
        if ONE_OR_LIST in metadata and self.random.random() < 0.5:
            return "text"
        return [self.value(inner[0]) for _ in range(self.random.randrange(1, 4))]

    def kind(self, choice: OneOf) -> Tree:
        kind = self.random.choice(list(choice.kinds.values()))
        if not kind.needs_arguments() and self.random.random() < 0.4:
            return self.random.choice([kind.kind, {kind.kind: None}])
        return {kind.kind: self.group(kind)}

    def leaf(self, annotation: Any, metadata: list[Any]) -> Tree:
        if annotation is NoneType:
            return None
        if annotation is bool:
            return self.random.random() < 0.5
        if annotation in (str, Any):
            return self.random.choice(["text", "a/b.npz", "*"])
        assert annotation in (int, float), f"teach tests/random_settings.py the type {annotation}"
        low, high = bounds(metadata, annotation is int)
        if annotation is int:
            return self.random.randint(int(low), int(high))
        return low + (high - low) * self.random.choice([0.25, 0.5, 0.75])


def bounds(metadata: list[Any], whole: bool) -> tuple[float, float]:
    """The least and the greatest number that constraints leave; of fractions, the ends may be left out."""
    limits = {
        name: getattr(part, name)
        for each in metadata
        for part in getattr(each, "metadata", [each])
        for name in ("gt", "ge", "lt", "le")
        if getattr(part, name, None) is not None
    }
    low = limits.get("ge", limits.get("gt", -4) + whole)
    high = limits.get("le", limits.get("lt", low + 9) - whole)
    return low, min(high, low + 9)


def fewest(metadata: list[Any]) -> int:
    """How many entries a value must have: `Field(min_length=1)`."""
    bounds = [bound for each in metadata for bound in getattr(each, "metadata", [])]
    return max((bound.min_length for bound in bounds if hasattr(bound, "min_length")), default=0)


class FromSchema:
    """Trees that a JSON Schema accepts."""

    def __init__(self, schema: dict[str, Any], seed: int) -> None:
        self.definitions = schema["$defs"]
        self.random = random.Random(seed)

    def value(self, schema: dict[str, Any]) -> Tree:
        if "$ref" in schema:
            return self.value(self.definitions[schema["$ref"].rpartition("/")[2]])
        if "anyOf" in schema:
            return self.value(self.random.choice(schema["anyOf"]))
        if "enum" in schema or "const" in schema:
            return self.random.choice(schema.get("enum") or [schema["const"]])
        kinds = schema.get("type", "string")
        kind = self.random.choice(kinds) if isinstance(kinds, list) else kinds
        return getattr(self, kind)(schema)

    def object(self, schema: dict[str, Any]) -> Tree:
        properties = schema.get("properties", {})
        if schema.get("maxProperties") == 1:
            name = self.random.choice(list(properties))
            return {name: self.value(properties[name])}
        needed = [*schema.get("required", ())]
        for rule in schema.get("allOf", ()):
            needed += [*self.random.choice(rule["oneOf"])["not"]["properties"]] if "oneOf" in rule else []
        others = [name for name in properties if name not in needed and self.random.random() < 0.2]
        return {name: self.value(properties[name]) for name in [*needed, *others]}

    def array(self, schema: dict[str, Any]) -> Tree:
        if "prefixItems" in schema:
            return [self.value(each) for each in schema["prefixItems"]]
        return [self.value(schema["items"]) for _ in range(max(self.random.randrange(3), schema.get("minItems", 0)))]

    def null(self, schema: dict[str, Any]) -> Tree:
        return None

    def boolean(self, schema: dict[str, Any]) -> Tree:
        return self.random.random() < 0.5

    def string(self, schema: dict[str, Any]) -> Tree:
        return self.random.choice(["text", "a/b.npz"])

    def integer(self, schema: dict[str, Any]) -> Tree:
        low = schema.get("minimum", schema.get("exclusiveMinimum", -4) + 1)
        high = min(schema.get("maximum", low + 5), schema.get("exclusiveMaximum", low + 6) - 1)
        return self.random.randint(low, high)

    def number(self, schema: dict[str, Any]) -> Tree:
        low = schema.get("minimum", schema.get("exclusiveMinimum", -3))
        high = min(schema.get("maximum", low + 5), schema.get("exclusiveMaximum", low + 5))
        return low + (high - low) * self.random.choice([0.25, 0.5, 0.75])


def places(tree: Tree) -> Iterator[Place]:
    """Every place of a tree."""
    for key, value in list(tree.items()) if isinstance(tree, dict) else list(enumerate(tree)):
        yield tree, key
        if isinstance(value, (dict, list)):
            yield from places(value)


def broken(tree: dict[str, Tree], seed: int) -> dict[str, Tree]:
    """The tree with a change at one place, most of which a loader must refuse."""
    rng = random.Random(seed)
    tree = copy.deepcopy(tree)
    above, key = rng.choice(list(places(tree)))
    change = rng.choice(["drop", "retype", "new key", "swap"])
    if change == "drop":
        del above[key]
    elif change == "new key" and isinstance(above, dict):
        above["unheard_of"] = 1
    elif change == "swap":
        other, place = rng.choice(list(places(tree)))
        above[key] = copy.deepcopy(other[place])
    else:
        above[key] = rng.choice([None, True, 7, -7, 0.3, "text", [], {}, [1.5, 2.5], {"unheard_of": 1}])
    return tree
