"""Operators that exporters write as several nodes, as trees of operators: one line a form.

A match replaces the nodes by the operator that ONNX has for them in its newest set (HardSwish, Gelu, Mish, Swish,
LayerNormalization), whatever the file's own. Nodes in a match are read by nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, Union

from graphc.importers.onnx_graph import OnnxGraph, OnnxNode
from graphc.types import Array

DEFAULTS: Mapping[str, float] = {"beta": 0.5}
"""Of attributes that trees ask for and exporters leave out."""
COMMUTATIVE = frozenset({"Add", "Mul", "Min", "Max"})


@dataclass(frozen=True, slots=True)
class Given:
    """Any value; the same name is the same value."""

    name: str


@dataclass(frozen=True, slots=True)
class Number:
    """A constant of one number: this one, or any, which is remembered under a name."""

    value: float | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class Vector:
    """Any constant; its value's name is remembered."""

    name: str


@dataclass(frozen=True, slots=True)
class Op:
    """An operator on values."""

    op: str
    inputs: tuple[Tree, ...]
    where: Mapping[str, Any] = field(default_factory=dict)
    """Attributes that it must have."""
    keep: Mapping[str, str] = field(default_factory=dict)
    """Attributes that are remembered, and the names under which; the same name is the same value."""


Tree: TypeAlias = Union[Given, Number, Vector, Op]


@dataclass(frozen=True, slots=True)
class Match:
    """What a tree's names stand for."""

    values: Mapping[str, Any]
    nodes: tuple[OnnxNode, ...]
    """From the root on."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A tree and the operator that it is."""

    op: str
    tree: Op
    inputs: tuple[str, ...] = ("x",)
    """Names in the tree that are the operator's inputs."""
    attributes: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda values: {}


def _op(op: str, *inputs: Tree | float, axes: str = "", **where: Any) -> Op:
    trees = tuple(Number(each) if isinstance(each, (int, float)) else each for each in inputs)
    return Op(op, trees, where, {"axes": axes} if axes else {})


X, Y = Given("x"), Given("y")
EPSILON = Number(name="epsilon")
SQRT_2, STRETCH, BEND = math.sqrt(2), math.sqrt(2 / math.pi), 0.044715
CLIPPED = _op("Clip", _op("Add", X, 3), min=0, max=6)
ERFS = (_op("Erf", _op("Div", X, SQRT_2)), _op("Erf", _op("Mul", X, 1 / SQRT_2)))
CUBES = (_op("Pow", X, 3), _op("Mul", X, _op("Mul", X, X)), _op("Mul", X, _op("Pow", X, 2)))
CENTERED = _op("Sub", X, _op("ReduceMean", X, axes="axes"))
VARIANCES = tuple(
    _op("ReduceMean", square, axes="axes") for square in (_op("Pow", CENTERED, 2), _op("Mul", CENTERED, CENTERED))
)


def _gelus(erf: Op) -> Iterator[Op]:
    yield _op("Mul", _op("Mul", X, _op("Add", erf, 1)), 0.5)
    yield _op("Mul", X, _op("Mul", _op("Add", erf, 1), 0.5))
    yield _op("Mul", _op("Mul", X, 0.5), _op("Add", erf, 1))


def _tanh_gelus(cube: Op) -> Iterator[Op]:
    tanh = _op("Tanh", _op("Mul", _op("Add", X, _op("Mul", cube, BEND)), STRETCH))
    yield _op("Mul", _op("Mul", X, 0.5), _op("Add", tanh, 1))
    yield _op("Mul", X, _op("Mul", _op("Add", tanh, 1), 0.5))


def _axes(values: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"axes": values["axes"], "epsilon": values["epsilon"]}


def _normalized(variance: Op) -> Op:
    return _op("Div", CENTERED, _op("Sqrt", _op("Add", variance, EPSILON)))


def _response_norms() -> Iterator[Op]:
    """ConvNeXt V2's, as timm writes it and as graphc does; lengths along `axes`, their mean along `mean`."""
    gamma, beta = Vector("gamma"), Vector("beta")
    length = _op("ReduceL2", X, axes="axes")
    share = _op("Div", length, _op("Add", _op("ReduceMean", length, axes="mean"), EPSILON))
    yield _op("Add", X, _op("Add", beta, _op("Mul", gamma, _op("Mul", X, share))))
    length = _op("Sqrt", _op("ReduceSum", _op("Mul", X, X), axes="axes"))
    mean = _op("Mul", _op("ReduceSum", length, axes="mean"), Number(name="part"))
    share = _op("Div", length, _op("Add", mean, EPSILON))
    yield _op("Add", _op("Add", _op("Mul", X, _op("Mul", share, gamma)), beta), X)


OUR_TANH_GELU = _op(
    "Mul", X, _op("Sigmoid", _op("Mul", X, _op("Add", _op("Mul", _op("Mul", X, X), 2 * STRETCH * BEND), 2 * STRETCH)))
)
UNIT = _op("Div", X, _op("Sqrt", _op("Add", _op("ReduceSum", _op("Mul", X, X), axes="axes"), EPSILON)))

MEANS = Op("AveragePool", (_op("Pow", X, 2),), {}, {name: name for name in ("kernel_shape", "strides", "pads")})
ROOTS = _op("Pow", _op("Mul", _op("Mul", _op("Sign", MEANS), _op("Relu", _op("Abs", MEANS))), Number(name="taps")), 0.5)
"""PyTorch's LPPool2d: the signs and sizes of means of squares, times the pixels of a window."""

PATTERNS: tuple[Pattern, ...] = (
    *(Pattern("HardSigmoid", tree, attributes=lambda _: {"alpha": 1 / 6, "beta": 0.5})
      for tree in (_op("Div", CLIPPED, 6), _op("Mul", CLIPPED, 1 / 6))),
    *(Pattern("HardSwish", tree) for tree in (
        _op("Mul", X, _op("HardSigmoid", X, alpha=1 / 6, beta=0.5)),
        _op("Div", _op("Mul", X, CLIPPED), 6),
        _op("Mul", _op("Mul", X, CLIPPED), 1 / 6),
    )),
    *(Pattern("Clip", tree, attributes=lambda _: {"min": 0, "max": 6}) for tree in (
        _op("Min", _op("Relu", X), 6), _op("Min", _op("Max", X, 0), 6), _op("Max", _op("Min", X, 6), 0),
    )),
    *(Pattern("Gelu", tree) for erf in ERFS for tree in _gelus(erf)),
    *(Pattern("Gelu", tree, attributes=lambda _: {"approximate": "tanh"})
      for tree in (OUR_TANH_GELU, *(each for cube in CUBES for each in _tanh_gelus(cube)))),
    Pattern("Mish", _op("Mul", X, _op("Tanh", _op("Softplus", X)))),
    Pattern("Swish", _op("Mul", X, _op("Sigmoid", X))),
    *(Pattern("LayerNormalization",
              _op("Add", _op("Mul", _normalized(variance), Vector("gamma")), Vector("beta")),
              ("x", "gamma", "beta"), _axes) for variance in VARIANCES),
    *(Pattern("LayerNormalization", _normalized(variance), attributes=_axes) for variance in VARIANCES),
    Pattern("UnitNormalization", UNIT, attributes=_axes),
    *(Pattern("GlobalResponseNormalization", tree, ("x", "gamma", "beta"), dict) for tree in _response_norms()),
    Pattern("LpPool", ROOTS, attributes=lambda values: {name: each for name, each in values.items() if name != "x"}),
    Pattern("PRelu", _op("Add", _op("Relu", X), _op("Mul", _op("Min", X, 0), Vector("slope"))), ("x", "slope")),
)  # fmt: skip
"""A longer form stands before the shorter one that it holds."""


NEUTRAL: Mapping[str, float] = {"Mul": 1, "Div": 1, "Add": 0, "Sub": 0}
"""Operators that do nothing with this number as their second input (of the first two, as either)."""
IDLE = frozenset({"Identity", "Dropout"})
BROADCASTING = frozenset({"Add", "Sub", "Mul", "Div"})


def drop_idle(graph: OnnxGraph) -> OnnxGraph:
    """The graph without nodes that give their input back, but for outputs."""
    instead: dict[str, str] = {}
    nodes = []
    readers = graph.readers()
    for node in graph.nodes:
        inputs = tuple(instead.get(name, name) for name in node.inputs)
        source = _passed_on(graph, replace(node, inputs=inputs))
        if node.op == "Expand" and _is_spread_anyway(graph, node.outputs[0], readers.get(node.outputs[0], ())):
            source = inputs[0]
        if source and node.outputs[0] not in graph.kept:
            instead[node.outputs[0]] = source
        else:
            nodes.append(replace(node, inputs=inputs))
    return graph.with_nodes(nodes)


def _is_spread_anyway(graph: OnnxGraph, name: str, readers: Sequence[OnnxNode]) -> bool:
    """Whether all that read a value meet it with another of their output's shape, to which it would be spread."""
    return bool(readers) and all(
        reader.op in BROADCASTING
        and any(
            other != name and graph.shapes.get(other, ()) == graph.shapes.get(reader.outputs[0])
            for other in reader.inputs
        )
        for reader in readers
    )


def _passed_on(graph: OnnxGraph, node: OnnxNode) -> str:
    """The input that the node gives back; empty where it computes."""
    if node.op in IDLE:
        return "" if is_training(graph, node) else node.inputs[0]
    if node.op not in NEUTRAL or len(node.inputs) != 2:
        return ""
    for index in (1, 0) if node.op in COMMUTATIVE else (1,):
        other = node.inputs[1 - index]
        number = scalar_of(graph.constants.get(node.inputs[index]))
        if number == NEUTRAL[node.op] and graph.shapes.get(other, ()) == graph.shapes.get(node.outputs[0]):
            return other
    return ""


def is_training(graph: OnnxGraph, node: OnnxNode) -> bool:
    """Whether a Dropout drops numbers: its third input is true, or computed."""
    mode = node.inputs[2] if node.op == "Dropout" and len(node.inputs) > 2 else ""
    return bool(mode) and (mode not in graph.constants or bool(graph.constants[mode].any()))


def recognize(graph: OnnxGraph) -> OnnxGraph:
    """The graph with every match of PATTERNS as one node, where the last of its nodes was."""
    for pattern in PATTERNS:
        matcher = _Matcher(graph)
        found = {}
        for node in graph.nodes:
            if node.op == pattern.tree.op and (match := matcher.match(pattern.tree, node)) is not None:
                found[id(node)] = match
        if found:
            nodes = [_replaced(node, pattern, found.get(id(node))) for node in graph.nodes]
            graph = graph.with_nodes(nodes)
    return graph


def _replaced(node: OnnxNode, pattern: Pattern, match: Match | None) -> OnnxNode:
    if match is None:
        return node
    inputs = tuple(match.values[name] for name in pattern.inputs)
    return OnnxNode(pattern.op, node.name, inputs, node.outputs, pattern.attributes(match.values))


class _Matcher:
    """Trees compared with the nodes above a value."""

    def __init__(self, graph: OnnxGraph) -> None:
        self.graph = graph
        self.makers = graph.makers()
        self.counts = {name: len(nodes) for name, nodes in graph.readers().items()}

    def match(self, tree: Op, root: OnnxNode) -> Match | None:
        for values, nodes in self.of_node(tree, root, {}, ()):
            inner = {output for node in nodes if node is not root for output in node.outputs}
            read = [name for node in nodes for name in node.inputs if name in inner]
            if inner.isdisjoint(self.graph.kept) and all(read.count(n) == self.counts.get(n, 0) for n in inner):
                return Match(values, nodes)
        return None

    def of_node(
        self, tree: Op, node: OnnxNode, values: Mapping[str, Any], nodes: tuple[OnnxNode, ...]
    ) -> Iterator[tuple[Mapping[str, Any], tuple[OnnxNode, ...]]]:
        if node.op != tree.op or len(node.inputs) != len(tree.inputs):
            return
        if any(not _same(node.get(name, DEFAULTS.get(name)), value) for name, value in tree.where.items()):
            return
        kept = {name: node.get(each) for each, name in tree.keep.items()}
        if any(values.get(name, value) != value for name, value in kept.items()):
            return
        values = {**values, **kept}
        nodes = nodes if any(each is node for each in nodes) else (*nodes, node)
        orders = [node.inputs]
        if node.op in COMMUTATIVE and len(node.inputs) == 2 and node.inputs[0] != node.inputs[1]:
            orders.append(node.inputs[::-1])
        for order in orders:
            yield from self.of_inputs(tree.inputs, order, values, nodes)

    def of_inputs(
        self, trees: tuple[Tree, ...], names: tuple[str, ...], values: Mapping[str, Any], nodes: tuple[OnnxNode, ...]
    ) -> Iterator[tuple[Mapping[str, Any], tuple[OnnxNode, ...]]]:
        if not trees:
            yield values, nodes
            return
        for found, seen in self.of_value(trees[0], names[0], values, nodes):
            yield from self.of_inputs(trees[1:], names[1:], found, seen)

    def of_value(
        self, tree: Tree, name: str, values: Mapping[str, Any], nodes: tuple[OnnxNode, ...]
    ) -> Iterator[tuple[Mapping[str, Any], tuple[OnnxNode, ...]]]:
        if isinstance(tree, Op):
            if name in self.makers:
                yield from self.of_node(tree, self.makers[name], values, nodes)
        elif isinstance(tree, Number):
            number = scalar_of(self.graph.constants.get(name))
            if number is not None and (tree.value is None or _same(number, tree.value)):
                yield ({**values, tree.name: number} if tree.name else values), nodes
        elif isinstance(tree, Vector):
            if name in self.graph.constants:
                yield {**values, tree.name: name}, nodes
        elif name not in self.graph.constants and values.get(tree.name, name) == name:
            yield {**values, tree.name: name}, nodes


def scalar_of(array: Array | None) -> float | None:
    """The number of an array of any shape that holds just one; None of others."""
    if array is None or array.size != 1 or array.dtype.kind not in "fiub":
        return None
    return float(array.reshape(-1)[0])


def _same(found: Any, wanted: Any) -> bool:
    if isinstance(found, (int, float)) and isinstance(wanted, (int, float)):
        return math.isclose(found, wanted, rel_tol=1e-5, abs_tol=1e-9)
    return bool(found == wanted)
