"""An ONNX file as a spec and its variables: `graphc import model.onnx`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from graphc.dims import format_shape
from graphc.errors import GraphcError, SpecError, WeightsError, counted
from graphc.files import brief, shown
from graphc.importers.check import Port
from graphc.importers.drafts import Drafts, comments
from graphc.importers.flat import FlatNet
from graphc.importers.imported import Imported
from graphc.importers.names import clean, clean_ports, name_layers
from graphc.importers.onnx_graph import OnnxGraph
from graphc.importers.open_sizes import open_input, same_layers
from graphc.importers.own import own_spec
from graphc.importers.source import Source
from graphc.importers.tidy import tidy
from graphc.importers.translate import Translation, translate

LISTED = 20
"""Nodes that are listed before the others are counted."""
LONGEST_WHY = 300
"""Characters of what is in a node's way."""
KINDS = 10
"""Operators that are named before the others are counted."""
PROPOSED = 3
"""Values that are proposed for --until."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of an import."""

    flat: bool = False
    """Without structure."""
    until: tuple[str, ...] = ()
    """Values or nodes at which the spec ends; none: the file's outputs."""
    sizes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Sizes of inputs by name; of all inputs by the name ""."""
    check: bool = True
    """Whether the spec is compared with the file in onnxruntime."""
    name: str | None = None
    """The model's name; None: the file's."""
    dequantize: bool = False
    """Whether the rounding of a quantized file is left out."""
    graph: bool = False
    """Whether the graph is imported even where the file holds the spec that it was made from."""


def import_onnx(path: str | Path, request: Request = Request()) -> Imported:
    """The file as a spec; a WeightsError that lists every node that no layer says."""
    path = Path(path)
    source = Source(path, request.until, request.dequantize)
    reasons: list[str] = []
    if not (request.graph or request.until) and (own := own_spec(source, reasons)) is not None:
        return own
    graph = source.graph(request.sizes)
    net, inputs, outputs = _net(source, graph, request)
    sizes = _opened(source, graph, net, inputs, request)
    drafts = Drafts(source, net, tuple(comments(source, graph, net)), inputs, outputs, request.check)
    draft = drafts.best(sizes, request.flat)
    if request.dequantize and request.check:
        net.notes.append(
            f"without its rounding it differs from the file by {drafts.rounding(draft):.2g} of the largest output"
        )
    said = f"{counted(len(graph.nodes), 'node')}, {counted(len(net.layers), 'layer')}"
    if request.check:
        said += f", largest difference {draft.error:.1g} of the largest output"
    return Imported(draft.text, draft.variables, (*reasons, said, *net.notes))


def _opened(
    source: Source, graph: OnnxGraph, net: FlatNet, inputs: list[Port], request: Request
) -> dict[int, tuple[int, ...]]:
    """Other sizes of the input for which the file has the same layers, by what they are multiples of."""
    found = open_input(graph, {port.theirs: port.axes for port in inputs}, request.sizes)
    if found is None:
        return {}
    same = {}
    for multiple, sizes in found.sizes.items():
        with suppress(GraphcError):
            other, _, _ = _net(source, source.graph({found.name: sizes}), request)
            if same_layers(net, other):
                same[multiple] = sizes
    if not same:
        net.notes.append("the file leaves height and width open, and its layers depend on them: --input says which")
    return same


def _net(source: Source, graph: OnnxGraph, request: Request) -> tuple[FlatNet, list[Port], list[Port]]:
    """The tidy net, and its inputs and outputs in the file's names and in its own."""
    with np.errstate(all="ignore"):
        found = translate(graph)
    if found.refusals:
        raise refusal(source.path, graph, found)
    net = found.net
    net.name = request.name or clean(source.path.stem) or "model"
    taken: set[str] = set()
    inputs, outputs = clean_ports(net.inputs, taken), clean_ports(net.outputs, taken)
    ports = (
        [Port(name, inputs[name], found.values[name].axes) for name in net.inputs],
        [Port(name, outputs[name], found.values[name].axes) for name in net.outputs],
    )
    net.inputs = {inputs[name]: shape for name, shape in net.inputs.items()}
    net.outputs = {outputs[name]: layer for name, layer in net.outputs.items()}
    for layer in net.layers:
        layer.inputs = tuple(inputs.get(name, name) for name in layer.inputs)
    tidy(net)
    name_layers(net)
    return net, *ports


def refusal(path: Path, graph: OnnxGraph, found: Translation) -> GraphcError:
    """All that no layer says, with counts, and where the spec could end."""
    counts = Counter(refused.node.op for refused in found.refusals)
    common = [f"{brief(op)} ({count})" if count > 1 else brief(op) for op, count in counts.most_common(KINDS)]
    kinds = ", ".join([*common, *([f"and {len(counts) - KINDS:,} others"] if len(counts) > KINDS else [])])
    message = (
        f"{shown(path)}: {counted(len(found.refusals), 'node')} of {len(graph.nodes)} cannot be said as layers: {kinds}"
    )
    if found.behind:
        message += f"; {counted(found.behind, 'node')} behind them"
    notes = [
        f"{brief(each.node.op)} {brief(each.node.label)}: {brief(each.why, LONGEST_WHY)}"
        for each in found.refusals[:LISTED]
    ]
    if len(found.refusals) > LISTED:
        notes.append(f"and {counted(len(found.refusals) - LISTED, 'more node')}")
    for name in found.reached[:PROPOSED]:
        shape = format_shape(found.values[name].shape)
        notes.append(f"what comes before can be imported: --until {brief(name)} ({shape})")
    return WeightsError("G362", message, notes=notes)


def read_sizes(options: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Sizes by input from `224x224` or `image=3x224x224`; of every input by the name ""."""
    sizes: dict[str, tuple[int, ...]] = {}
    for option in options:
        name, _, text = option.rpartition("=")
        parts = text.lower().split("x")
        if not all(part.isascii() and part.isdecimal() and 0 < len(part) < 7 and int(part) for part in parts):
            raise SpecError("G361", f"--input expects [NAME=]SIZE, such as 224x224, got {shown(option)}")
        if name in sizes:
            raise SpecError("G361", f"--input gives {shown(name) or 'the size'} twice")
        sizes[name] = tuple(map(int, parts))
    return sizes
