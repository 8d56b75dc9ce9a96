"""Nodes in a form that works where theirs does not: the same numbers, by other operators."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import helper

from graphc.emit.model import OnnxModel, check
from graphc.emit.targets.seen import Seen, seen_nodes
from graphc.emit.targets.table import TROUBLES
from graphc.emit.targets.trouble import Rewrite, Trouble
from graphc.emit.webgpu import LANES
from graphc.types import Array

OF_INTEGERS: tuple[Rewrite, ...] = ("fuse_sums",)
"""What is written so by `emit.quantize`, which is told of it: `fuses_sums`."""


def wanted_by(targets: Sequence[str]) -> list[Trouble]:
    """The rows of these targets that a rewrite ends."""
    return [each for each in TROUBLES if each.target in targets and each.rewrite is not None]


def fuses_sums(targets: Sequence[str]) -> bool:
    """Whether 8-bit integers for these targets are to be `Quantization.fused_sums`."""
    return any(each.rewrite == "fuse_sums" for each in wanted_by(targets))


def rewrite_for(model: OnnxModel, targets: Sequence[str]) -> OnnxModel:
    """The model in which no node meets a trouble of these targets that a rewrite ends."""
    if not targets:
        return model
    wanted = [each for each in wanted_by(targets) if each.rewrite not in OF_INTEGERS]
    work = _Rewriting(dict(model.tensors))
    for seen in seen_nodes(model):
        kinds = [each.rewrite for each in wanted if each.is_met(seen)]
        work.nodes.extend(work.rewritten(seen, kinds) if kinds else [seen.node])
    if not work.count:
        return _with_metadata(model, targets, model.body.graph.node, model.tensors)
    read = {name for node in work.nodes for name in node.input}
    tensors = {name: array for name, array in work.tensors.items() if name in read}
    found = _with_metadata(model, targets, work.nodes, tensors)
    check(found)
    return found


def _with_metadata(
    model: OnnxModel, targets: Sequence[str], nodes: Sequence[onnx.NodeProto], tensors: Mapping[str, Array]
) -> OnnxModel:
    body = onnx.ModelProto()
    body.CopyFrom(model.body)
    kept = list(nodes)
    del body.graph.node[:]
    body.graph.node.extend(kept)
    known = {each.key: each.value for each in body.metadata_props}
    helper.set_model_props(body, dict(sorted({**known, "graphc.target": ",".join(targets)}.items())))
    return OnnxModel(body, tensors)


@dataclass
class _Rewriting:
    """Nodes and constants of the new model."""

    tensors: dict[str, Array]
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    count: int = 0
    padded: dict[tuple[str, int], str] = field(default_factory=dict)
    """(value, channels) -> its name with channels of zeros behind."""

    def rewritten(self, seen: Seen, kinds: Sequence[Rewrite | None]) -> Iterator[onnx.NodeProto]:
        self.count += 1
        node = onnx.NodeProto()
        node.CopyFrom(seen.node)
        if "pad_filters" in kinds:
            yield from self._with_more_filters(node, seen)
        elif "split_groups" in kinds:
            yield from self._group_by_group(node, seen)
        elif "slice_pixels" in kinds:
            yield self._slice_of(node, seen)
        else:
            yield from self._with_more_channels(node, seen)

    def _with_more_channels(self, node: onnx.NodeProto, seen: Seen) -> Iterator[onnx.NodeProto]:
        """A plain convolution that reads channels of zeros, to a multiple of LANES, with weights of zeros."""
        more = -seen.channels % LANES
        value, rank = node.input[0], len(seen.weights)
        if (value, more) not in self.padded:
            name = f"{node.name}/Pad"
            pads = np.zeros(2 * rank, np.int64)
            pads[rank + 1] = more
            self.tensors[f"{name}/pads"] = pads
            self.padded[value, more] = name
            yield _said(helper.make_node("Pad", [value, f"{name}/pads"], [name], name=name), node)
        node.input[0] = self.padded[value, more]
        weights = self.tensors[node.input[1]]
        width = [(0, more if axis == 1 else 0) for axis in range(rank)]
        node.input[1] = self._constant(f"{node.input[1]}/padded", np.pad(weights, width))
        yield node

    def _with_more_filters(self, node: onnx.NodeProto, seen: Seen) -> Iterator[onnx.NodeProto]:
        """A grouped convolution with filters of zeros in each group, to a multiple of LANES, and a Gather that leaves
        their channels out."""
        groups, each = seen.groups, seen.filters // seen.groups
        whole = each + -each % LANES
        node.input[1] = self._constant(f"{node.input[1]}/padded", _by_group(self.tensors[node.input[1]], groups, whole))
        if len(node.input) > 2:
            biases = _by_group(self.tensors[node.input[2]], groups, whole)
            node.input[2] = self._constant(f"{node.input[2]}/padded", biases)
        (result,) = node.output
        node.output[0] = f"{result}/padded"
        yield node
        kept = (np.arange(groups)[:, None] * whole + np.arange(each)).reshape(-1)
        self.tensors[f"{node.name}/kept"] = kept.astype(np.int64)
        gather = helper.make_node(
            "Gather", [node.output[0], f"{node.name}/kept"], [result], name=f"{node.name}/Gather", axis=1
        )
        yield _said(gather, node)

    def _group_by_group(self, node: onnx.NodeProto, seen: Seen) -> Iterator[onnx.NodeProto]:
        """A grouped convolution as one for each group, of its channels, side by side."""
        groups = seen.groups
        sizes = self._constant(f"{node.name}/groups", np.full(groups, seen.channels // groups, np.int64))
        parts = [f"{node.name}/group_{number}" for number in range(groups)]
        yield _said(helper.make_node("Split", [node.input[0], sizes], parts, name=f"{node.name}/Split", axis=1), node)
        arrays = [np.split(self.tensors[name], groups) for name in node.input[1:]]
        kept = [each for each in node.attribute if each.name != "group"]
        for number, part in enumerate(parts):
            names = [
                self._constant(f"{name}/group_{number}", array[number])
                for name, array in zip(node.input[1:], arrays, strict=True)
            ]
            conv = helper.make_node("Conv", [part, *names], [f"{part}/Conv"], name=f"{part}/Conv")
            conv.attribute.extend(kept)
            yield _said(conv, node)
        made = [f"{part}/Conv" for part in parts]
        yield _said(helper.make_node("Concat", made, list(node.output), name=f"{node.name}/Concat", axis=1), node)

    def _slice_of(self, node: onnx.NodeProto, seen: Seen) -> onnx.NodeProto:
        """The pixels that a pooling of one pixel picks."""
        strides = seen.attributes["strides"]
        bounds = {
            "starts": [0] * len(strides),
            "ends": [np.iinfo(np.int64).max] * len(strides),
            "axes": list(range(2, 2 + len(strides))),
            "steps": strides,
        }
        names = [self._constant(f"{node.name}/{name}", np.asarray(each, np.int64)) for name, each in bounds.items()]
        return _said(helper.make_node("Slice", [node.input[0], *names], list(node.output), name=node.name), node)

    def _constant(self, name: str, array: Array) -> str:
        """Layers that share weights share what is made of them."""
        self.tensors[name] = array
        return name


def _said(node: onnx.NodeProto, of: onnx.NodeProto) -> onnx.NodeProto:
    """The node with the layer and place of another."""
    node.doc_string = of.doc_string
    return node


def _by_group(array: Array, groups: int, whole: int) -> Array:
    """An array [F, ...] of the filters of all groups, with zeros behind each group's, to `whole` ones."""
    parts = array.reshape(groups, len(array) // groups, *array.shape[1:])
    width = [(0, 0), (0, whole - parts.shape[1]), *[(0, 0)] * (array.ndim - 1)]
    return np.pad(parts, width).reshape(groups * whole, *array.shape[1:])
