"""Functions in ONNX files that somebody else may have made: how many nodes they are when they are put in place.

A function may use others, so that a few hundred bytes say millions of nodes; onnxruntime and onnx put all of them in
place before anybody is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

import onnx
from onnx import inliner

from graphc.errors import WeightsError
from graphc.files import brief, shown

MOST_NODES = 200_000
"""Of a graph, also where all functions are put in place."""
OWN = ("", "ai.onnx")
"""The domain of ONNX's own operators, by both of its names."""
Key: TypeAlias = tuple[str, str, str]


def check_functions(model: onnx.ModelProto, path: Path) -> None:
    """A WeightsError where a model's functions use themselves, or are too many nodes in place."""
    bodies = {(each.domain, each.name, each.overload): each for each in model.functions}
    if len(bodies) != len(model.functions):
        raise WeightsError("G310", f"{shown(path)}: expected one function of a name, found two")
    if own := next((key for key in bodies if key[0] in OWN), None):
        message = f"expected functions in domains of their own, found {brief(own[1])} among ONNX's own operators"
        raise WeightsError("G310", f"{shown(path)}: {message}")
    sizes: dict[Key, int] = {}
    for key in bodies:
        _measure(key, bodies, sizes, path)
    if bodies and _size(model.graph.node, sizes) > MOST_NODES:
        raise WeightsError("G310", f"{shown(path)}: expected at most {MOST_NODES:,} nodes with all functions in place")


def placed_nodes(model: onnx.ModelProto) -> int:
    """How many nodes the graph of a checked model has when its functions are put in place; of more than MOST_NODES,
    more than that."""
    bodies = {(each.domain, each.name, each.overload): each for each in model.functions}
    sizes: dict[Key, int] = {}
    for key in bodies:
        _measure(key, bodies, sizes, Path())
    return _size(model.graph.node, sizes)


def in_place(model: onnx.ModelProto, path: str | Path) -> onnx.ModelProto:
    """The checked model with its functions in place."""
    if not model.functions:
        return model
    try:
        return inliner.inline_local_functions(model)
    except Exception as error:  # onnx raises many kinds, by what is wrong
        said = next(iter(str(error).splitlines()), type(error).__name__)
        raise WeightsError("G310", f"{shown(path)}: its functions cannot be put in place: {brief(said)}") from None


def _measure(first: Key, bodies: Mapping[Key, onnx.FunctionProto], sizes: dict[Key, int], path: Path) -> None:
    """Note how many nodes a function is in place, and all that it uses."""
    waiting, open_ones = [first], set[Key]()
    while waiting:
        key = waiting[-1]
        if key in sizes:
            waiting.pop()
            continue
        used = {_key(node) for node in with_inner(bodies[key].node)} & bodies.keys()
        if key in open_ones:
            waiting.pop()
            sizes[key] = min(_size(bodies[key].node, sizes), MOST_NODES + 1)
            continue
        open_ones.add(key)
        if again := used & open_ones - sizes.keys():
            name = brief(min(again)[1])
            raise WeightsError("G310", f"{shown(path)}: expected functions that do not use themselves, found {name}")
        waiting += used - sizes.keys()


def _size(nodes: Iterable[onnx.NodeProto], sizes: Mapping[Key, int]) -> int:
    return sum(sizes.get(_key(node), 1) for node in with_inner(nodes))


def _key(node: onnx.NodeProto) -> Key:
    return node.domain, node.op_type, node.overload


def with_inner(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """The nodes, with those of graphs in their attributes."""
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        yield node
        for each in node.attribute:
            for graph in (each.g, *each.graphs):
                waiting += graph.node
