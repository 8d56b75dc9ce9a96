"""A net with its structure as the text of a spec."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from graphc.documented import flow
from graphc.importers.arguments import Scope, scope_of, written_arguments
from graphc.importers.flat import FlatLayer, FlatNet
from graphc.importers.structure.items import (
    Block,
    Branches,
    Call,
    Item,
    Leaf,
    Repeat,
    Residual,
    Tree,
    children,
    value_of,
)
from graphc.importers.write import entry, head, tail

DEFAULT_MERGE = {Residual: "add", Branches: "concat"}


def tree_text(net: FlatNet, tree: Tree, comments: Iterable[str]) -> str:
    """The spec."""
    lists = [tree.layers, *(block.layers for block in tree.blocks)]
    scope = scope_of(layer for items in lists for layer in _written_layers(items))
    lines = list(head(net, comments, scope))
    if tree.blocks:
        lines.append("blocks:")
        lines += [f"  {line}" for block in tree.blocks for line in _block(block, scope)]
    names = {value_of(item): _name(item) for item in tree.layers if value_of(item) in tree.kept}
    lines.append("layers:")
    lines += [f"  {line}" for line in _list(tree.layers, scope, names)]
    lines.append(tail(net, {name: names.get(source, source) for name, source in net.outputs.items()}))
    return "\n".join([*lines, ""])


def _written_layers(items: Iterable[Item]) -> Iterator[FlatLayer]:
    """The layers that are written in a list, each once."""
    for item in items:
        if isinstance(item, Leaf):
            yield item.layer
        elif isinstance(item, Repeat):
            yield from _written_layers(item.elements[0])
        elif isinstance(item, (Residual, Branches)):
            yield from _written_layers(children(item))


def _name(item: Item) -> str:
    if isinstance(item, Leaf):
        return item.layer.name
    return item.name if isinstance(item, (Call, Repeat)) else item.merge.name


def _block(block: Block, scope: Scope) -> Iterator[str]:
    yield f"{block.name}:"
    if block.params:
        params = [name if default is None else {name: default} for name, default in block.params]
        yield f"  params: {flow(params)}"
    yield "  layers:"
    yield from (f"    {line}" for line in _list(block.layers, scope, {}))


def _list(items: Sequence[Item], scope: Scope, names: Mapping[str, str]) -> Iterator[str]:
    for item in items:
        yield from _item(item, scope, names)


def _item(item: Item, scope: Scope, names: Mapping[str, str]) -> Iterator[str]:
    if isinstance(item, Leaf):
        given: dict[str, Any] = {"name": item.layer.name}
        if item.inputs is not None:
            read = [names.get(name, name) for name in item.inputs]
            given["inputs"] = read[0] if len(read) == 1 else read
        yield entry(item.layer.kind, {**given, **written_arguments(item.layer, scope)})
    elif isinstance(item, Call):
        yield entry(item.block, {"name": item.name, **item.arguments})
    elif isinstance(item, Repeat):
        yield from _repeat(item, scope, names)
    else:
        yield from _composite(item, scope, names)


def _repeat(item: Repeat, scope: Scope, names: Mapping[str, str]) -> Iterator[str]:
    first, times = item.elements[0], len(item.elements)
    only = first[0] if len(first) == 1 else None
    if isinstance(only, (Call, Leaf)):
        if isinstance(only, Call):
            kind, arguments = only.block, dict(only.arguments)
        else:
            kind, arguments = only.layer.kind, written_arguments(only.layer, scope)
        each = {kind: arguments} if arguments else kind
        yield entry("repeat", {"name": item.name, "times": times, "each": kind, "layer": each})
        return
    yield "- repeat:"
    yield f"    name: {flow(item.name)}"
    yield f"    times: {times}"
    yield "    layers:"
    yield from (f"      {line}" for line in _list(first, scope, names))


def _composite(item: Residual | Branches, scope: Scope, names: Mapping[str, str]) -> Iterator[str]:
    """A residual or branches; where the merge's name is asked for, under it."""
    word = "residual" if isinstance(item, Residual) else "branches"
    yield f"- {word}:"
    if item.merge.name in names:
        yield f"    name: {flow(item.merge.name)}"
    arguments = written_arguments(item.merge, scope)
    activation = arguments.pop("activation", None)
    if item.merge.kind != DEFAULT_MERGE[type(item)] or arguments:
        yield f"    merge: {flow({item.merge.kind: arguments} if arguments else item.merge.kind)}"
    if activation is not None:
        yield f"    activation: {flow(activation)}"
    if isinstance(item, Branches):
        yield "    paths:"
        for number, path in enumerate(item.paths, 1):
            yield from _part(f"path{number}", path, scope, names, 6)
        return
    yield from _part("layers", item.body, scope, names, 4)
    if item.shortcut:
        yield from _part("shortcut", item.shortcut, scope, names, 4)


def _part(key: str, items: Sequence[Item], scope: Scope, names: Mapping[str, str], indent: int) -> Iterator[str]:
    space = " " * indent
    if not items:
        yield f"{space}{key}: []"
        return
    yield f"{space}{key}:"
    yield from (f"{space}  {line}" for line in _list(items, scope, names))
