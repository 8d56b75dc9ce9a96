"""Nodes of ONNX files that somebody else may have made, of which onnx or onnxruntime end the process, or do not end."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import onnx

from graphc.emit.functions import OWN, with_inner
from graphc.errors import WeightsError
from graphc.files import brief, shown

EQUATION = re.compile(r"[A-Za-z.,> -]*")
"""Characters of an Einsum's."""


def _split(node: onnx.NodeProto, found: Mapping[str, Any]) -> str:
    if found.get("num_outputs", len(node.output)) == len(node.output):
        return ""
    return f"expected as many outputs as num_outputs={found['num_outputs']} says, found {len(node.output)}"


def _gather(node: onnx.NodeProto, found: Mapping[str, Any]) -> str:
    batches = found.get("batch_dims", 0)
    return "" if batches >= 0 else f"expected batch_dims of 0 or more, found {batches}"


def _einsum(node: onnx.NodeProto, found: Mapping[str, Any]) -> str:
    text = found.get("equation", b"").decode("utf-8", "replace")
    return "" if EQUATION.fullmatch(text) else f"expected an equation of letters, found {brief(repr(text))}"


ODD: Mapping[str, Callable[[onnx.NodeProto, Mapping[str, Any]], str]] = {
    "Split": _split,
    "GatherND": _gather,
    "Einsum": _einsum,
}
"""Operator -> what is said of a node and its numbers and texts; nothing where all is well."""


def check_nodes(model: onnx.ModelProto, path: Path) -> None:
    """A WeightsError where a node, wherever one may stand, would end the process."""
    for node in _nodes(model):
        if node.op_type in ODD and node.domain in OWN:
            found = {each.name: each.s if each.type == each.STRING else each.i for each in node.attribute}
            if wrong := ODD[node.op_type](node, found):
                raise WeightsError("G310", f"{shown(path)}: {brief(node.name or node.op_type)}: {wrong}")


def _nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    yield from with_inner(model.graph.node)
    for function in model.functions:
        yield from with_inner(function.node)
