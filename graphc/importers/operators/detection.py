"""Layers that were recognized as a whole, of detectors' boxes."""

from __future__ import annotations

from graphc.importers.onnx_graph import OnnxNode
from graphc.importers.operators.handler import Build


def recognized(build: Build, node: OnnxNode) -> None:
    """The layer of the kind and the arguments that the node names: of maps N C H W, or of rows."""
    rank = len(build.viewed(0).axes)
    values = [build.image(index) if rank == 4 else build.ordered("nlc", index) for index in range(len(node.inputs))]
    build.give(build.layer(node.get("kind"), values, node.get("arguments"), axes="nlc"))
