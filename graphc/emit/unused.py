"""Nodes that nobody needs, left out."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import onnx


def needed_nodes(nodes: Sequence[onnx.NodeProto], outputs: Collection[str]) -> list[onnx.NodeProto]:
    """The nodes that the outputs depend on, in order."""
    wanted, found = set(outputs), []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            found.append(node)
    return found[::-1]


def without_copies(
    nodes: Sequence[onnx.NodeProto], inputs: Collection[str], tensors: Collection[str]
) -> list[onnx.NodeProto]:
    """Outputs under their own names where they are the only name of what a node makes."""
    names = {name for node in nodes for name in node.output}
    copies = [node for node in nodes if node.op_type == "Identity" and node.input[0] in names]
    renamed: dict[str, str] = {}
    gone = set()
    for copy in copies:
        source = copy.input[0]
        if source not in renamed and source not in inputs and source not in tensors:
            renamed[source] = copy.output[0]
            gone.add(copy.output[0])
    found = []
    for node in nodes:
        if node.op_type == "Identity" and node.output[0] in gone:
            continue
        for names_of in (node.input, node.output):
            for index, name in enumerate(names_of):
                if name in renamed:
                    names_of[index] = renamed[name]
        found.append(node)
    return found
