"""Warnings: what is legal, but probably not meant, slower than it looks or not understood everywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from graphc.dims import is_spatial
from graphc.errors import Warn
from graphc.graph import Node, Plan, PlannedNode
from graphc.passes.inputs import seems_channels_first

Lint: TypeAlias = Callable[[Plan], Iterator[Warn]]


def lints(plan: Plan, chosen: Sequence[Lint] | None = None) -> list[Warn]:
    """Every warning, in the order of LINTS (or of the `chosen` ones) and then of the layers."""
    return [warning for lint in (LINTS if chosen is None else chosen) for warning in lint(plan)]


def odd_channels(plan: Plan) -> Iterator[Warn]:
    """Convolutions inside the graph whose filters are not a multiple of 4."""
    inside = _read_by_weights(plan)
    for planned in plan.nodes:
        channels = planned.shape[-1] if is_spatial(planned.shape) else 0
        is_odd = planned.node.layer.family == "convolution" and isinstance(channels, int) and channels % 4
        if is_odd and planned.node.name in inside:
            message = f"{channels} channels: a number that is no multiple of 4 costs 30 to 40 % speed"
            yield _warn("G240", planned, message)


def small_groups(plan: Plan) -> Iterator[Warn]:
    """Grouped convolutions with few channels a group; depthwise ones have kernels of their own."""
    for planned in plan.nodes:
        groups = getattr(planned.node.layer, "groups", 1)
        if planned.node.layer.family != "convolution" or groups == 1:
            continue
        channels = plan.input_shapes(planned.node)[0][-1]
        if isinstance(channels, int) and 1 < channels // groups < 16:
            message = f"{channels // groups} channels a group: fewer than 16 run several times slower for the same work"
            yield _warn("G241", planned, message)


def costly_kinds(plan: Plan) -> Iterator[Warn]:
    """Kinds that cost more than they look; once a kind, at its first layer."""
    seen: set[str] = set()
    for planned in plan.nodes:
        layer = planned.node.layer
        if layer.costly and layer.kind not in seen:
            seen.add(layer.kind)
            yield _warn("G242", planned, layer.costly)


def padding_left_to_the_runtime(plan: Plan) -> Iterator[Warn]:
    """`same` whose pixels depend on a symbolic size: ONNX can only say auto_pad, which some runtimes get wrong."""
    for planned in plan.nodes:
        if getattr(planned.node.layer, "padding", None) != "same":
            continue
        reaches = planned.node.layer.reach(*plan.input_shapes(planned.node))
        if not all(reach.known for reach in reaches):
            message = (
                "same padding of a size that is a symbol is left to the runtime (auto_pad), and OpenCV 5 gets it wrong;"
                " same_fixed, or a symbol with a factor (16*H), fixes it"
            )
            yield _warn("G243", planned, message)


def channels_first(plan: Plan) -> Iterator[Warn]:
    """Inputs such as 3×224×224."""
    for given in plan.graph.inputs:
        message = seems_channels_first(given, plan.graph.batch)
        if message:
            yield Warn("G244", message, given.place)


CURVED = ("activation", "arithmetic", "merge", "sequence")
"""Families of layers behind which two linear ones are no longer one."""


def nothing_between_linear_layers(plan: Plan) -> Iterator[Warn]:
    """Convolutions and dense layers that alone read another, through linear layers only, where no activation is said.

    `activation: none`, on the layer or in a scope, says that none is meant.
    """
    linear: dict[str, Node] = {}
    """By name of a value: the layer whose outputs it has, but for pooling, normalization and the like."""
    outputs = set(plan.graph.outputs.values())
    for planned in plan.nodes:
        node = planned.node
        before = linear.get(node.inputs[0])
        mixes = node.layer.mixes_channels(*plan.input_shapes(node))
        if mixes and before is not None and not _factors(plan, before, node):
            message = (
                f"{before.name}: no activation between it and {node.name}: write activation: relu, or activation: none"
                " where none is meant"
            )
            yield Warn("G245", message, before.place)
        goes_on = len(plan.readers.get(node.name, ())) == 1 and node.name not in outputs
        if not goes_on or "activation" in node.followed_by or node.layer.family in CURVED:
            continue
        if mixes:
            linear[node.name] = node
        elif before is not None:
            linear[node.name] = before


def _factors(plan: Plan, one: Node, other: Node) -> bool:
    """Whether they are the two steps of a larger convolution: 1×7 and 7×1."""
    first, second = (node.layer.reach(*plan.input_shapes(node)) for node in (one, other))
    if len(first) != len(second):
        return False
    return any(a.size == 1 < b.size for a, b in zip(first, second, strict=True)) and any(
        b.size == 1 < a.size for a, b in zip(first, second, strict=True)
    )


def one_channel_added_to_many(plan: Plan) -> Iterator[Warn]:
    """Sums of a map of one channel and one of several, which broadcasts: a residual whose path ended too narrow."""
    for planned in plan.nodes:
        shapes = plan.input_shapes(planned.node)
        if not planned.node.layer.is_sum or not is_spatial(planned.shape):
            continue
        for source, shape in zip(planned.node.inputs, shapes, strict=False):
            if len(shape) == len(planned.shape) and shape[:-1] == planned.shape[:-1] and shape[-1] == 1:
                if planned.shape[-1] == 1 or set(shape[:-1]) == {1}:
                    continue
                message = (
                    f"the one channel of {source} is added to each of {planned.shape[-1]}: a path that ends in"
                    f" {planned.shape[-1]} channels, or multiply, may be meant"
                )
                yield _warn("G248", planned, message)


MEANING: tuple[Lint, ...] = (channels_first, nothing_between_linear_layers, one_channel_added_to_many)
"""What is probably not meant."""
COSTS: tuple[Lint, ...] = (odd_channels, small_groups, costly_kinds, padding_left_to_the_runtime)
LINTS = MEANING + COSTS


def _read_by_weights(plan: Plan) -> set[str]:
    """Layers that a convolution or dense layer reads, directly or through others. The rest are heads, whose width
    the task sets."""
    found: set[str] = set()
    for planned in reversed(plan.nodes):
        if planned.node.layer.family in ("convolution", "dense") or planned.node.name in found:
            found.update(planned.node.inputs)
    return found


def _warn(code: str, planned: PlannedNode, message: str) -> Warn:
    return Warn(code, f"{planned.node.name}: {message}", planned.node.place)
