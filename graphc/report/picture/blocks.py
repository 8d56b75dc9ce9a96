"""Plan -> blocks: what is drawn as one box. A convolution, its normalization and its activation are one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from graphc.dims import Shape, format_shape
from graphc.graph import GraphInput, Plan, PlannedNode
from graphc.layers.base import Layer
from graphc.receptive_field import ReceptiveField
from graphc.report.tables import short

JOINING = ("normalization", "activation", "regularization")
"""Families that are a line in the block before them, where nobody else reads that one."""


COUNTS = ("filters", "units", "rate", "block")
"""Arguments whose value says enough without a name."""


@dataclass(frozen=True, slots=True)
class Block:
    """One box: a layer with what follows it, an input or an output."""

    name: str
    """Of its first layer; `input image`, `output logits` for the ends."""
    family: str
    title: str
    """`conv2d 3×3, 64`"""
    extras: tuple[str, ...]
    """What joined it: `batch_norm`, `relu`."""
    shape: Shape
    """Of what leaves it."""
    members: tuple[PlannedNode, ...]
    inputs: tuple[str, ...]
    """Names of blocks."""

    @property
    def params(self) -> int:
        return sum(each.param_count for each in self.members)

    @property
    def macs(self) -> int | None:
        values = [each.macs for each in self.members]
        return None if None in values else sum(value or 0 for value in values)

    @property
    def structure(self) -> tuple[str, ...]:
        """Equal for blocks that differ in names and input sizes alone."""
        return tuple(repr(each.node.layer) for each in self.members)


def blocks(plan: Plan) -> list[Block]:
    """Inputs, layers, outputs, each after what it reads."""
    chains: dict[str, list[PlannedNode]] = {}
    owner = {given.name: f"input {given.name}" for given in plan.graph.inputs}
    for each in plan.nodes:
        source = each.node.inputs[0]
        head = owner[source]
        alone = len(each.node.inputs) == 1 and len(plan.readers[source]) == 1 and head in chains
        joins = alone and each.node.layer.family in JOINING and belongs(each.node.name, head)
        head = head if joins else each.node.name
        owner[each.node.name] = head
        chains.setdefault(head, []).append(each)
    found = [input_block(given) for given in plan.graph.inputs]
    found.extend(layer_block(chain, owner) for chain in chains.values())
    found.extend(
        Block(f"output {name}", "input", name, (), plan.shapes[node], (), (owner[node],))
        for name, node in plan.graph.outputs.items()
    )
    return found


def belongs(name: str, head: str) -> bool:
    """Whether a layer stands below another's name (`conv1/Relu`) or in its group."""
    return name.startswith(f"{head}/") or name.rpartition("/")[0] == head.rpartition("/")[0]


def input_block(given: GraphInput) -> Block:
    return Block(f"input {given.name}", "input", given.name, (), given.shape, (), ())


def layer_block(chain: list[PlannedNode], owner: dict[str, str]) -> Block:
    head = chain[0].node
    inputs = tuple(dict.fromkeys(owner[source] for source in head.inputs))
    extras = tuple(each.node.layer.kind for each in chain[1:])
    return Block(head.name, head.layer.family, title(head.layer), extras, chain[-1].shape, tuple(chain), inputs)


def title(layer: Layer) -> str:
    """`conv2d 3×3, 64, stride 2`: a kind with the arguments that one looks for."""
    fields = type(layer).model_fields
    values = {name: getattr(layer, name) for name in fields}
    words = [layer.kind]
    if values.get("kernel") is not None:
        words.append(times(values["kernel"]))
    counts = [
        times(values[name], shorten=True)
        for name in ("filters", "units", "rate", "block")
        if values.get(name) is not None
    ]
    text = ", ".join([" ".join(words), *counts])
    for name, word in (("stride", "/"), ("dilation", "dilated "), ("groups", "groups ")):
        value = values.get(name)
        if value not in (None, 1, "1") and not (isinstance(value, tuple) and set(value) == {1}):
            text += f" {word}{times(value, shorten=True)}"
    return text


def times(value: Any, shorten: bool = False) -> str:
    """(3, 3) -> `3×3`, or `3` where short."""
    if isinstance(value, float):
        return f"{value:g}"
    if not isinstance(value, tuple):
        return str(value) if shorten else f"{value}×{value}"
    return str(value[0]) if shorten and len(set(value)) == 1 else "×".join(str(each) for each in value)


def tooltip(block: Block) -> str:
    """All that is known of a block, line by line."""
    if not block.members:
        return f"{block.name}\n{format_shape(block.shape)}"
    lines = [block.name]
    if block.family != "group":
        lines.extend(f"  {title(each.node.layer)} → {format_shape(each.shape)}" for each in block.members)
    lines.append(f"{block.params:,} parameters, {short(block.macs)} MACs")
    lines.append(f"receptive field {field_text(block.members[-1].receptive_field)}")
    return "\n".join(lines)


def field_text(field: ReceptiveField | None) -> str:
    """`35×35, stride 8`."""
    if field is None:
        return "whole input"
    stride = "×".join(f"{float(each):g}" for each in dict.fromkeys(field.stride))
    return f"{'×'.join(map(str, field.size))}, stride {stride}"
