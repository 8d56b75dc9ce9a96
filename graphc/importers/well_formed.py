"""What ONNX asks of every graph, without which onnxruntime refuses it: names are given once, outputs are given by
something, and operators are those of one opset that is known."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx
from onnx import defs

from graphc.emit.functions import OWN
from graphc.errors import WeightsError, twice_in
from graphc.files import brief, shown


def check_well_formed(model: onnx.ModelProto, path: Path) -> None:
    """A WeightsError where the graph of a file is none."""
    for wrong in (*_of_opsets(model), *_of_names(model.graph)):
        raise WeightsError("G360", f"{shown(path)}: {wrong}")


def _of_opsets(model: onnx.ModelProto) -> Iterator[str]:
    versions = sorted({each.version for each in model.opset_import if each.domain in OWN})
    newest = defs.onnx_opset_version()
    if len(versions) != 1 or not 1 <= versions[0] <= newest:
        found = ", ".join(map(str, versions[:5])) or "none"
        yield f"expected one opset of ONNX's own operators, from 1 to {newest}, found {found}"


def _of_names(graph: onnx.GraphProto) -> Iterator[str]:
    inputs = [each.name for each in graph.input]
    constants = [each.name for each in (*graph.initializer, *(each.values for each in graph.sparse_initializer))]
    computed = [name for node in graph.node for name in node.output if name]
    outputs = [each.name for each in graph.output]
    named = {"input": inputs, "initializer": constants, "output": outputs}
    for what, names in named.items():
        if (twice := twice_in(names)) is not None:
            yield f"expected one {what} {brief(twice)}, found two"
    given = {*inputs, *constants}
    if (twice := twice_in([*given, *computed])) is not None:
        yield f"expected one value {brief(twice)}, found another node that gives it"
    if not outputs:
        yield "expected a graph with outputs, found none"
    given.update(computed)
    missing = next((name for name in outputs if name not in given), None)
    if missing is not None:
        yield f"expected a node that gives the output {brief(missing)}, found none"
