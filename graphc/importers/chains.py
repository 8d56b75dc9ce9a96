"""Operators that exporters write as a chain of reshapes: channel shuffle, blocks of pixels as channels, group
normalization, nearest resizing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TypeAlias

import numpy as np

from graphc.importers.onnx_graph import ODD, OnnxGraph, OnnxNode

Chain: TypeAlias = tuple[OnnxNode, ...]
Rule: TypeAlias = Callable[[OnnxGraph, Chain], OnnxNode | None]


def channel_shuffle(graph: OnnxGraph, chain: Chain) -> OnnxNode | None:
    """Channels as groups × each, the two exchanged, and joined again."""
    apart, turned, joined = chain
    x, whole = apart.inputs[0], graph.shapes.get(apart.inputs[0], ())
    split, end = graph.shapes.get(apart.outputs[0], ()), graph.shapes.get(joined.outputs[0], ())
    if len(whole) != 4 or end != whole or len(split) < 3 or split[0] != whole[0] or split[1] * split[2] != whole[1]:
        return None
    if turned.get("perm") != [0, 2, 1, *range(3, len(split))]:
        return None
    return OnnxNode("ChannelShuffle", turned.name, (x,), joined.outputs, {"groups": split[1]})


BLOCKS_TO_DEPTH, DEPTH_TO_BLOCKS = [0, 3, 5, 1, 2, 4], [0, 3, 4, 1, 5, 2]
"""How ONNX's own operators turn axes: C H/b b W/b b, and b b C H W."""


def space_to_depth(graph: OnnxGraph, chain: Chain) -> OnnxNode | None:
    """Blocks of pixels as channels, row and column of the block before the channel; and back."""
    apart, turned, joined = chain
    x, whole = apart.inputs[0], graph.shapes.get(apart.inputs[0], ())
    split, end = graph.shapes.get(apart.outputs[0], ()), graph.shapes.get(joined.outputs[0], ())
    if len(whole) != 4 or len(split) != 6 or split[0] != whole[0]:
        return None
    n, channels, height, width = whole
    block, perm = split[3], turned.get("perm")
    if perm == BLOCKS_TO_DEPTH:
        small = height // block, width // block
        fits = split == (n, channels, small[0], block, small[1], block) and end == (n, channels * block**2, *small)
        op = "SpaceToDepth"
    else:
        block = split[1]
        fewer = channels // block**2
        fits = split == (n, block, block, fewer, height, width) and end == (n, fewer, block * height, block * width)
        fits, op = fits and perm == DEPTH_TO_BLOCKS, "DepthToSpace"
    return OnnxNode(op, turned.name, (x,), joined.outputs, {"blocksize": block}) if fits else None


def group_norm(graph: OnnxGraph, chain: Chain) -> OnnxNode | None:
    """Each group of channels as one channel of an instance normalization with neither scale nor bias of its own."""
    apart, normal, joined, *affine = chain
    x, whole = apart.inputs[0], graph.shapes.get(apart.inputs[0], ())
    split, end = graph.shapes.get(apart.outputs[0], ()), graph.shapes.get(joined.outputs[0], ())
    scale, bias = (graph.constants.get(name) for name in normal.inputs[1:])
    if len(whole) not in (3, 4, 5) or end != whole or len(split) < 3 or split[0] != whole[0] or whole[1] % split[1]:
        return None
    if scale is None or bias is None or not (scale == 1).all() or bias.any():
        return None
    vectors = [next((name for name in node.inputs if name in graph.constants), "") for node in affine]
    if any(not name or graph.constants[name].size not in (1, whole[1]) for name in vectors):
        return None
    attributes = {"num_groups": split[1], "epsilon": normal.get("epsilon", 1e-5)}
    return OnnxNode("GroupNormalization", normal.name, (x, *vectors), chain[-1].outputs, attributes)


def nearest(graph: OnnxGraph, chain: Chain) -> OnnxNode | None:
    """Rows and columns picked at floor(position * old/new)."""
    rows, columns = chain
    shape = graph.shapes.get(rows.inputs[0], ())
    picked = [graph.constants.get(node.inputs[1]) for node in chain]
    if len(shape) != 4 or (rows.get("axis"), columns.get("axis")) != (2, 3):
        return None
    for old, indices in zip(shape[2:], picked, strict=True):
        if indices is None or indices.ndim != 1:
            return None
        if not np.array_equal(indices, np.arange(len(indices)) * old // len(indices)):
            return None
    sizes = [*shape[:2], *(len(indices) for indices in picked if indices is not None)]
    how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return OnnxNode("Resize", columns.name, rows.inputs[:1], columns.outputs, {**how, "sizes": sizes})


def padded_max_pool(graph: OnnxGraph, chain: Chain) -> OnnxNode | None:
    """A border that is less than every number, and the largest of every window: what a pooling's own padding does."""
    border, pool = chain
    value, pads = border.get("value", 0.0), border.get("pads")
    value = value[0] if isinstance(value, list) else value
    if value > LOWEST or not pads or len(pads) != 8 or len(border.inputs) > 1 or any(pads[:2] + pads[4:6]):
        return None
    if pool.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID") or border.get("axes") or pool.get("ceil_mode"):
        return None
    own = pool.get("pads") or [0, 0, 0, 0]
    total = [here + there for here, there in zip(own, (*pads[2:4], *pads[6:8]), strict=True)]
    kept = {name: value for name, value in pool.attributes.items() if name != "auto_pad"}
    return OnnxNode("MaxPool", pool.name, border.inputs[:1], pool.outputs, {**kept, "pads": total})


def strided(graph: OnnxGraph, chain: Chain) -> OnnxNode | None:
    """All numbers in a row, picked in their order: PyTorch's `as_strided` of what is in order already."""
    row, picked = chain
    indices = graph.constants.get(picked.inputs[1])
    size = graph.shapes.get(row.outputs[0], ())
    if (
        indices is None
        or len(size) != 1
        or indices.size != size[0]
        or not np.array_equal(indices.reshape(-1), np.arange(size[0]))
    ):
        return None
    return OnnxNode("Reshape", picked.name, row.inputs[:1], picked.outputs)


LOWEST = -1e30
"""A border of at most this never is the largest."""

CHAINS: tuple[tuple[tuple[str, ...], Rule], ...] = (
    (("Reshape", "Transpose", "Reshape"), channel_shuffle),
    (("Reshape", "Transpose", "Reshape"), space_to_depth),
    (("Reshape", "InstanceNormalization", "Reshape", "Mul", "Add"), group_norm),
    (("Reshape", "InstanceNormalization", "Reshape"), group_norm),
    (("Gather", "Gather"), nearest),
    (("Pad", "MaxPool"), padded_max_pool),
    (("Reshape", "Gather"), strided),
)
"""Operators, each the only reader of the one before, and what they may be."""


def recognize_chains(graph: OnnxGraph) -> OnnxGraph:
    """The graph with every chain that a rule knows as one node, where the last of its nodes was."""
    for ops, rule in CHAINS:
        makers, reads = graph.makers(), {name: len(nodes) for name, nodes in graph.readers().items()}
        found: dict[int, OnnxNode] = {}
        for node in graph.nodes:
            chain = _chain(graph, ops, node, makers, reads)
            with suppress(*ODD):  # what is not as exporters write it is no such chain
                if chain is not None and (one := rule(graph, chain)) is not None:
                    found[id(node)] = one
        if found:
            graph = graph.with_nodes(found.get(id(node), node) for node in graph.nodes)
    return graph


def _chain(
    graph: OnnxGraph, ops: tuple[str, ...], last: OnnxNode, makers: Mapping[str, OnnxNode], reads: Mapping[str, int]
) -> Chain | None:
    """The nodes that end at `last`, if they are these operators."""
    chain = [last]
    for op in reversed(ops[:-1]):
        if chain[0].op != ops[len(ops) - len(chain)]:
            return None
        sources = [name for name in chain[0].inputs if name in makers]
        if len(sources) != 1 or reads.get(sources[0]) != 1 or sources[0] in graph.kept:
            return None
        if makers[sources[0]].op != op:
            return None
        chain.insert(0, makers[sources[0]])
    return tuple(chain) if chain[-1].op == ops[-1] else None
