"""FlatNet -> Tree: every step of finding structure, in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from graphc.importers.flat import FlatLayer, FlatNet
from graphc.importers.names import unique
from graphc.importers.structure.blocks import Blocks
from graphc.importers.structure.items import Branches, Call, Item, Leaf, Repeat, Residual, Tree, children
from graphc.importers.structure.names import Naming
from graphc.importers.structure.repeats import fold
from graphc.importers.structure.sections import nest_concats, structured


def find_structure(net: FlatNet) -> Tree:
    """The net's layers as a tree of residuals, branches, blocks and repeats."""
    nest_concats(net)
    items = structured(net)
    kept = frozenset(_read_by_name(items)) | frozenset(net.outputs.values())
    naming = Naming(tuple(sorted(layer.name for layer in net.layers)))
    blocks = Blocks(kept, naming)
    items = blocks.of_composites(items)
    items = fold(items, kept, naming)
    items = blocks.of_rows(items)
    items = fold(items, kept, naming)
    return Tree(with_own_names(items, set(net.inputs)), blocks.found, kept)


def _read_by_name(items: Iterable[Item]) -> Iterable[str]:
    for item in items:
        if isinstance(item, Leaf):
            yield from item.inputs or ()
        yield from _read_by_name(children(item))


def with_own_names(items: tuple[Item, ...], taken: set[str]) -> tuple[Item, ...]:
    """The items with names for blocks' uses and repeats that nothing else has."""
    taken = taken | {layer.name for layer in _in_the_open(items)}
    return tuple(_renamed(item, taken) for item in items)


def _in_the_open(items: Iterable[Item]) -> Iterator[FlatLayer]:
    """The layers that are in no block and no repeat."""
    for item in items:
        if isinstance(item, Leaf):
            yield item.layer
        elif not isinstance(item, (Call, Repeat)):
            yield from _in_the_open(children(item))
            yield item.merge


def _renamed(item: Item, taken: set[str]) -> Item:
    if isinstance(item, (Call, Repeat)):
        return replace(item, name=unique(item.name, taken))
    if isinstance(item, Residual):
        body, shortcut = (tuple(_renamed(each, taken) for each in part) for part in (item.body, item.shortcut))
        return Residual(body, shortcut, item.merge)
    if isinstance(item, Branches):
        return Branches(tuple(tuple(_renamed(each, taken) for each in path) for path in item.paths), item.merge)
    return item
