"""Training with the rounding of the compiled file in the network: quantization-aware training.

The plan gets a `FakeQuantize` behind every value that `graphc compile --int8` gives a pair, and the weights that are
integers there are rounded before every step; the variables move by the gradients of what they are rounded to. Which
values and weights these are says the emitter itself, on the network with random weights: there is no second rule. That
folding a batch norm changes no integer (it multiplies an output channel's weights by a number, and their scale with
them) is tried on the same weights; a layer for which it does not hold is an error.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from graphc.emit.model import OnnxModel, emit
from graphc.emit.quantize import integer_weights, rounded_tensors
from graphc.errors import SpecError, WeightsError
from graphc.graph import LayerGraph, Node, Plan
from graphc.kernels.integers import Range, rounded_weights
from graphc.passes.kept_in_float import kept_in_float
from graphc.passes.plan import plan as planned
from graphc.train.fake_quantize import FakeQuantize
from graphc.train.recipe import FakeQuantization
from graphc.types import Array
from graphc.weights.file import WeightsFile

SUFFIX = "/FakeQuantize"
CHANNELS = {"HWCM": (2, 3)}
"""Axes of a variable -> those along which it has scales; of others the output channels, O."""


Scales: TypeAlias = Mapping[str, tuple[int, ...]]
"""Full name of a variable that is rounded -> the axes along which it has scales."""


def fake_quantized(plan: Plan, settings: FakeQuantization) -> tuple[Plan, Scales]:
    """The plan with what `graphc compile --int8` will round, and the weights that it will; a SpecError where these are
    none, or are rounded to other integers in the file."""
    stays = kept_in_float(plan, settings.in_float)
    params = _random_weights(plan)
    model, first = _emitted(plan, params)
    whole = integer_weights(model, stays)
    behind = {first[name]: name for name in rounded_tensors(model, stays) if name in first}
    graph = _with_rounding(plan.graph, behind, FakeQuantize(form=settings.form, decay=settings.decay))
    scales = dict(_rounded_variables(plan, whole))
    if not scales:
        raise SpecError("G351", "no layer can be computed in 8-bit integers", plan.graph.inputs[0].place)
    again = integer_weights(_emitted(plan, rounded(params, scales))[0], stays)
    for name, integers in whole.items():
        if not np.array_equal(integers, again[name]):
            message = f"{name}: fake_quantize expects weights that only get a factor a channel in the file"
            raise SpecError("G351", f"{message}, found others", plan.by_name[name].node.place)
    return planned(graph), scales


def rounded(params: Mapping[str, Array], scales: Scales) -> dict[str, Array]:
    """Variables by full name, each in its own shape; those that are integers in the file as what these stand for."""
    return {**params, **{name: rounded_weights(params[name], kept) for name, kept in scales.items()}}


def learned_ranges(file: WeightsFile, plan: Plan) -> dict[str, Range]:
    """By tensor, the ranges that a training with `fake_quantize` has left in its weights; empty of other files."""
    start, end = plan.graph.scoped(""), f"{SUFFIX}/min"
    tensors = [name.removeprefix(start).removesuffix(end) for name in file.names if name.endswith(end)]
    ends = {tensor: [_number(file, f"{start}{tensor}{SUFFIX}/{key}") for key in ("min", "max")] for tensor in tensors}
    return {tensor: Range(low, high) for tensor, (low, high) in ends.items()}


def _number(file: WeightsFile, name: str) -> float:
    found = file.read(name) if name in file.names and file.entry(name).shape == () else np.array(np.nan)
    if not np.isfinite(found):
        raise WeightsError("G351", f"{file.path}: expected {name} to be a number, the end of a range, found another")
    return float(found)


def _random_weights(plan: Plan) -> dict[str, Array]:
    """Weights that make every folding visible; vectors are 1."""
    rng = np.random.default_rng(0)
    return {
        name: rng.standard_normal(spec.shape, np.float32) if len(spec.shape) > 1 else np.ones(spec.shape, np.float32)
        for name, spec in plan.variables.items()
    }


def _emitted(plan: Plan, params: Mapping[str, Array]) -> tuple[OnnxModel, dict[str, str]]:
    """(the plan as it is compiled, the first node or input that gives each of its tensors)."""
    everything = replace(plan.graph, end_points={node.name: node.name for node in plan.graph.nodes})
    model = emit(replace(plan, graph=everything), params, output_layout="nhwc")
    facts = {each.key: each.value for each in model.body.metadata_props}
    first: dict[str, str] = {}
    for given in plan.graph.inputs:
        first |= {given.name: given.name, f"{given.name}/Transpose": given.name}
    for node, tensor in json.loads(facts["graphc.end_points"]).items():
        first.setdefault(tensor, node)
    return model, first


def _rounded_variables(plan: Plan, whole: Mapping[str, Array]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The variables of layers with these weights in integers, with the axes along which they have scales."""
    for layer in whole:
        owner = plan.by_name[plan.by_name[layer].node.variables]
        for local, spec in owner.params.items():
            if len(spec.shape) > 1:
                axes = spec.axes
                yield plan.graph.variable(owner.node, local), CHANNELS.get(axes) or (axes.index("O"),)


def _with_rounding(graph: LayerGraph, behind: Mapping[str, str], layer: FakeQuantize) -> LayerGraph:
    """The graph with the layer behind these values (node or input -> tensor, by which the layer is called)."""
    names = {source: f"{tensor}{SUFFIX}" for source, tensor in behind.items()}

    def added(source: str, like: Node) -> list[Node]:
        return [Node(names[source], layer, (source,), like.place, names[source])] if source in names else []

    nodes = [node for given in graph.inputs for node in added(given.name, graph.nodes[0])]
    for node in graph.nodes:
        nodes += [replace(node, inputs=tuple(names.get(name, name) for name in node.inputs)), *added(node.name, node)]
    outputs, end_points = (
        {name: names.get(node, node) for name, node in values.items()} for values in (graph.outputs, graph.end_points)
    )
    return replace(graph, nodes=tuple(nodes), outputs=outputs, end_points=end_points)
