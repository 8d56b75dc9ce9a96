"""Detectors' boxes, decoded and chosen by dozens of operators: recognized as the layers that graphc emits so.

The graph says what the layer's arguments would be. What graphc emits for a layer with these is then compared with the
file, operator by operator and constant by constant: nothing is recognized that would compute anything else.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import onnx

from graphc.emit.model import emit
from graphc.errors import GraphcError, Place, RuleError
from graphc.graph import GraphInput, LayerGraph, Node
from graphc.importers.float32 import short
from graphc.importers.freeze import freeze
from graphc.importers.onnx_graph import ODD as NOT_AS_THOUGHT
from graphc.importers.onnx_graph import OnnxGraph, OnnxNode
from graphc.importers.patterns import drop_idle, scalar_of
from graphc.layers import CATALOGUE
from graphc.layers.base import Layer
from graphc.passes.plan import plan
from graphc.types import Array

HERE = Place("recognized", 1, 1)
ODD = (RuleError, GraphcError, *NOT_AS_THOUGHT)
"""What a guess raises where the graph is not as it was thought to be."""
MOST_GUESSES = 256
"""Layers with which a graph is compared; each is planned and emitted for that."""
MOST_EMITTED = 16
"""Different layers among those."""
MOST_POSITIONS = 2**18
"""Pixels of all maps of all different guesses, for each of which what is emitted has constants."""
MOST_ANCHORS = 64
"""Of a pixel."""
MOST_ABOVE = 256
"""Nodes that cut maps and put their parts together."""


@dataclass(frozen=True, slots=True)
class Guess:
    """A layer that a part of the graph may be."""

    kind: str
    arguments: Mapping[str, Any]
    inputs: tuple[str, ...]
    """What it reads: of maps, N C H W."""
    root: OnnxNode
    """The node that gives its output."""


def recognize_detection(graph: OnnxGraph) -> OnnxGraph:
    """The graph with boxes that are decoded or chosen as one node each, LAYER, of the kind and arguments it names."""
    for guesses in (_suppressions, _decodings):
        emitted = _Emitted()
        for guess in list(islice(guesses(graph), MOST_GUESSES)):
            if emitted.gives(graph, guess):
                node = OnnxNode(
                    "LAYER",
                    guess.root.name,
                    guess.inputs,
                    guess.root.outputs,
                    {"kind": guess.kind, "arguments": guess.arguments},
                )
                graph = graph.with_nodes(node if each is guess.root else each for each in graph.nodes)
    return graph


def _suppressions(graph: OnnxGraph) -> Iterator[Guess]:
    makers = graph.makers()
    ends = [node for node in graph.nodes if node.op == "Concat" and node.get("axis") == 2]
    for node in graph.nodes:
        numbers = [scalar_of(graph.constants.get(name)) for name in node.inputs[2:]]
        boxes = makers.get(node.inputs[0])
        if node.op != "NonMaxSuppression" or len(numbers) != 3 or boxes is None or not boxes.inputs:
            continue
        most, iou, score = numbers
        if most is None or iou is None or score is None or not math.isfinite(most):
            continue
        for root in ends:
            arguments = {"detections": int(most), "score_threshold": short(score), "iou_threshold": short(iou)}
            for agnostic in (False, True):
                more = {"class_agnostic": True} if agnostic else {}
                yield Guess("non_max_suppression", {**arguments, **more}, (boxes.inputs[0],), root)


def _decodings(graph: OnnxGraph) -> Iterator[Guess]:
    above = _Above(graph)
    for root in graph.nodes:
        if root.op == "Concat" and root.get("axis") == 2 and len(root.inputs) == 2:
            for decoding in (_distances, _deltas):
                try:
                    yield decoding(above, root)
                except ODD:
                    continue


class _Above:
    """What gives the values of a graph."""

    def __init__(self, graph: OnnxGraph) -> None:
        self.graph = graph
        self.makers = graph.makers()

    def node(self, name: str, op: str) -> OnnxNode:
        """The node that gives a value; a ValueError where it is none of this operator."""
        node = self.makers[name]
        if node.op != op:
            raise ValueError(node.op)
        return node

    def with_constant(self, name: str, op: str) -> tuple[str, Array]:
        """The input and the constant of the node that gives a value."""
        node = self.node(name, op)
        return node.inputs[0], self.graph.constants[node.inputs[1]]

    def slices(self, name: str) -> list[OnnxNode]:
        """The nodes that cut what a value is put together of from maps N H W C."""
        found, waiting, seen = list[OnnxNode](), [name], set[str]()
        while waiting:
            node = self.makers[waiting.pop()]
            if node.outputs[0] in seen:
                continue
            seen.add(node.outputs[0])
            if len(seen) > MOST_ABOVE:
                raise ValueError(name)
            if node.op == "Slice":
                found.append(node)
            elif node.op in ("Concat", "MatMul", "Reshape", "Softmax"):
                waiting += [source for source in reversed(node.inputs) if source in self.makers]
            else:
                raise ValueError(node.op)
        return found

    def maps(self, cut: Sequence[OnnxNode]) -> tuple[tuple[str, ...], list[tuple[int, ...]], list[int]]:
        """The maps N C H W that are cut, their shapes C, H, W, and the channels that are taken of each."""
        names = tuple(self.node(each.inputs[0], "Transpose").inputs[0] for each in cut)
        return names, [self.graph.shapes[name][1:] for name in names], [each.get("ends")[0] for each in cut]

    def classes(self, name: str, scores: int) -> dict[str, Any]:
        """The arguments that say how many classes the last of so many scores are."""
        background = self.makers[name].op == "Slice"
        return {"classes": scores - background, **({"background": True} if background else {})}


def _distances(above: _Above, root: OnnxNode) -> Guess:
    scaled, _ = above.with_constant(root.inputs[0], "Add")
    raw, signed = above.with_constant(scaled, "Mul")
    names, shapes, ends = above.maps(above.slices(raw))
    strides, first = [], 0
    for _, height, width in shapes:
        strides.append(int(signed[0, first, 2]))
        first += height * width
    bins = ends[0] // 4
    arguments = above.classes(root.inputs[1], shapes[0][0] - ends[0])
    more = {"bins": bins} if bins > 1 else {}
    return Guess("decode_distances", {**arguments, "strides": strides, **more}, names, root)


def _deltas(above: _Above, root: OnnxNode) -> Guess:
    low = above.node(above.node(root.inputs[0], "Concat").inputs[0], "Sub")
    scaled, middles = above.with_constant(low.inputs[0], "Add")
    columns, shift = above.with_constant(scaled, "Mul")
    grown, halves = above.with_constant(low.inputs[1], "Mul")
    bounded = above.node(above.node(grown, "Exp").inputs[0], "Min").inputs[0]
    _, growth = above.with_constant(bounded, "Mul")
    names, shapes, ends = above.maps(above.slices(above.node(columns, "Slice").inputs[0]))
    sides, strides, anchors, first = 2 * halves[0], [], [], 0
    for (_, height, width), end in zip(shapes, ends, strict=True):
        if end // 4 > MOST_ANCHORS:
            raise ValueError(end)
        strides.append(round(2 * float(middles[0, first, 0])))
        anchors.append([[short(size) for size in pair] for pair in sides[first : first + end // 4]])
        first += height * width * end // 4
    factors = [float(f"{number:.6g}") for number in (*(shift[0, 0] / sides[0]), *growth.reshape(-1))]
    arguments = above.classes(root.inputs[1], shapes[0][0] // (ends[0] // 4) - 4)
    more = {} if factors == [1, 1, 1, 1] else {"variances": factors}
    return Guess("decode_deltas", {**arguments, "strides": strides, "anchors": anchors, **more}, names, root)


@dataclass(slots=True)
class _Emitted:
    """What graphc emits for layers that were guessed, each made once."""

    graphs: dict[str, OnnxGraph | None] = field(default_factory=dict)
    """By kind, arguments and shapes; None where there is no such layer."""
    positions: int = 0

    def gives(self, graph: OnnxGraph, guess: Guess) -> bool:
        """Whether this part of the graph is what graphc emits for the layer."""
        shapes = [graph.shapes.get(name) for name in guess.inputs]
        key = repr((guess.kind, guess.arguments, shapes))
        if key not in self.graphs:
            if len(self.graphs) >= MOST_EMITTED:
                return False
            self.graphs[key] = self._made(guess, [shape for shape in shapes if shape is not None])
        expected = self.graphs[key]
        if expected is None or None in shapes:
            return False
        inputs = {f"x{number}": name for number, name in enumerate(guess.inputs)}
        return _Comparison(expected, graph, inputs).same(expected.outputs[0], guess.root.outputs[0])

    def _made(self, guess: Guess, shapes: Sequence[tuple[int, ...]]) -> OnnxGraph | None:
        self.positions += sum(math.prod(shape[2:]) for shape in shapes)
        if self.positions > MOST_POSITIONS:
            return None
        try:
            return _emitted(CATALOGUE[guess.kind](**guess.arguments), shapes)
        except ODD:
            return None


def _emitted(layer: Layer, shapes: Sequence[tuple[int, ...]]) -> OnnxGraph:
    """A graph of one layer that reads tensors of these shapes, images N C H W."""
    inputs = tuple(
        GraphInput(f"x{number}", shape[1:] if len(shape) != 4 else (*shape[2:], shape[1]), HERE)
        for number, shape in enumerate(shapes)
    )
    node = Node("layer", layer, tuple(each.name for each in inputs), HERE, "layer")
    planned = plan(LayerGraph("recognized", "N", inputs, (node,), {"y": "layer"}, {}))
    model = onnx.load_from_string(emit(planned, {}, layout="nchw").serialize())
    return drop_idle(freeze(model, Path("recognized.onnx"), {}))


@dataclass(slots=True)
class _Comparison:
    """Two graphs, value by value, from the outputs up."""

    expected: OnnxGraph
    graph: OnnxGraph
    inputs: Mapping[str, str]
    """The first graph's inputs and what they are in the second."""
    makers: tuple[Mapping[str, OnnxNode], Mapping[str, OnnxNode]] = field(init=False)
    """Of the values of both."""
    equal: set[tuple[str, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.makers = self.expected.makers(), self.graph.makers()

    def same(self, expected: str, found: str) -> bool:
        """Whether both values are computed alike."""
        if (expected, found) in self.equal:
            return True
        constants = self.expected.constants, self.graph.constants
        if expected in self.inputs:
            same = self.inputs[expected] == found
        elif expected in constants[0]:
            same = found in constants[1] and _same_numbers(constants[0][expected], constants[1][found])
        else:
            same = self._same_nodes(expected, found)
        if same:
            self.equal.add((expected, found))
        return same

    def _same_nodes(self, expected: str, found: str) -> bool:
        one, other = self.makers[0].get(expected), self.makers[1].get(found)
        if one is None or other is None or (one.op, len(one.inputs)) != (other.op, len(other.inputs)):
            return False
        if one.outputs.index(expected) != other.outputs.index(found) or dict(one.attributes) != dict(other.attributes):
            return False
        return all(self.same(*pair) for pair in zip(one.inputs, other.inputs, strict=True))


def _same_numbers(one: Array, other: Array) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and bool((one == other).all())
