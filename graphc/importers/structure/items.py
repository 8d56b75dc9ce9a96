"""What stands in a list of layers: a layer, a residual, branches, a use of a block, a repeat."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, Union

from graphc.importers.arguments import effective
from graphc.importers.flat import FlatLayer


@dataclass(frozen=True, slots=True)
class Leaf:
    """A layer; `inputs` are the values that it reads by name, None for what stands before it."""

    layer: FlatLayer
    inputs: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Residual:
    """Two ways from one value, merged."""

    body: tuple[Item, ...]
    shortcut: tuple[Item, ...]
    merge: FlatLayer


@dataclass(frozen=True, slots=True)
class Branches:
    """Several ways from one value, merged in this order."""

    paths: tuple[tuple[Item, ...], ...]
    merge: FlatLayer


@dataclass(frozen=True, slots=True)
class Call:
    """A use of a block."""

    block: str
    name: str
    arguments: Mapping[str, Any]
    inside: tuple[Item, ...]
    """What the block is here."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """Equal items in a row; `each` element is one item or several."""

    name: str
    elements: tuple[tuple[Item, ...], ...]


Item: TypeAlias = Union[Leaf, Residual, Branches, Call, Repeat]


@dataclass(frozen=True, slots=True)
class Block:
    """A block as it is written."""

    name: str
    params: tuple[tuple[str, Any], ...]
    """(name, default), None for one that has to be given."""
    layers: tuple[Item, ...]


@dataclass
class Tree:
    """A net with its structure."""

    layers: tuple[Item, ...]
    blocks: list[Block] = field(default_factory=list)
    kept: frozenset[str] = frozenset()
    """Values that are read by name, or outputs."""


def layers_of(items: Iterable[Item]) -> Iterator[FlatLayer]:
    """The layers in the order in which a spec is expanded."""
    for item in items:
        if isinstance(item, Leaf):
            yield item.layer
        elif isinstance(item, Residual):
            yield from layers_of((*item.shortcut, *item.body))
            yield item.merge
        elif isinstance(item, Branches):
            for path in item.paths:
                yield from layers_of(path)
            yield item.merge
        elif isinstance(item, Call):
            yield from layers_of(item.inside)
        else:
            for element in item.elements:
                yield from layers_of(element)


def value_of(item: Item) -> str:
    """The value that an item gives, by its flat name."""
    *_, last = layers_of([item])
    return last.name


def is_free(item: Item) -> bool:
    """Whether nothing in it reads by name, so that it can stand elsewhere."""
    if isinstance(item, Leaf):
        return item.inputs is None
    if isinstance(item, Call):
        return True
    return all(map(is_free, children(item)))


def children(item: Item) -> tuple[Item, ...]:
    if isinstance(item, Residual):
        return (*item.shortcut, *item.body)
    if isinstance(item, (Branches, Repeat)):
        return tuple(each for part in (item.paths if isinstance(item, Branches) else item.elements) for each in part)
    return ()


def signature(item: Item) -> Any:
    """What two items have to have in common to be one block: kinds, wiring, and arguments that are no numbers."""
    if isinstance(item, Leaf):
        return "layer", item.inputs, _layer_signature(item.layer)
    if isinstance(item, Residual):
        return "residual", row(item.shortcut), row(item.body), _layer_signature(item.merge)
    if isinstance(item, Branches):
        return "branches", tuple(map(row, item.paths)), _layer_signature(item.merge)
    if isinstance(item, Call):
        return "call", item.block, tuple(item.arguments)
    return "repeat", len(item.elements), row(item.elements[0])


def row(items: Sequence[Item]) -> Any:
    """The signature of a list."""
    return tuple(map(signature, items))


def _layer_signature(layer: FlatLayer) -> Any:
    values = effective(layer, {})
    return layer.kind, tuple((name, None if is_number(value) else str(value)) for name, value in values.items())


def is_number(value: Any) -> bool:
    """Whether a value may differ between uses of a block."""
    return isinstance(value, (int, float, list)) and not isinstance(value, bool)


def holes(items: Iterable[Item]) -> Iterator[tuple[str, Any]]:
    """Every number of these items: (argument, value), in the same order for all of one signature."""
    for item in items:
        if isinstance(item, Leaf):
            yield from _layer_holes(item.layer)
        elif isinstance(item, Call):
            yield from item.arguments.items()
        elif isinstance(item, Repeat):
            yield from holes(item.elements[0])
        else:
            yield from holes(children(item))
            yield from _layer_holes(item.merge)


def _layer_holes(layer: FlatLayer) -> Iterator[tuple[str, Any]]:
    yield from ((name, value) for name, value in effective(layer, {}).items() if is_number(value))


def filled(items: Sequence[Item], values: Iterator[Any], names: Mapping[str, str]) -> tuple[Item, ...]:
    """The items with other numbers, in the order of `holes`, and other names of layers and uses."""
    return tuple(_filled(item, values, names) for item in items)


def _filled(item: Item, values: Iterator[Any], names: Mapping[str, str]) -> Item:
    if isinstance(item, Leaf):
        return replace(item, layer=_filled_layer(item.layer, values, names))
    if isinstance(item, Residual):
        shortcut = filled(item.shortcut, values, names)
        return Residual(
            shortcut=shortcut, body=filled(item.body, values, names), merge=_filled_layer(item.merge, values, names)
        )
    if isinstance(item, Branches):
        paths = tuple(filled(path, values, names) for path in item.paths)
        return Branches(paths, _filled_layer(item.merge, values, names))
    if isinstance(item, Call):
        return replace(
            item, name=names.get(item.name, item.name), arguments={key: next(values) for key in item.arguments}
        )
    first = filled(item.elements[0], values, names)
    return replace(item, name=names.get(item.name, item.name), elements=(first,) * len(item.elements))


def _filled_layer(layer: FlatLayer, values: Iterator[Any], names: Mapping[str, str]) -> FlatLayer:
    arguments = dict(layer.arguments)
    for name, _ in _layer_holes(layer):
        arguments[name] = next(values)
    return replace(layer, name=names.get(layer.name, layer.name), arguments=arguments)
