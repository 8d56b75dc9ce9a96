"""The file that is imported: its graph for some sizes, and what it computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import onnx

from graphc.emit.functions import in_place, placed_nodes
from graphc.emit.read import open_model, self_contained
from graphc.errors import SpecError, WeightsError, did_you_mean
from graphc.files import shown
from graphc.importers.chains import recognize_chains
from graphc.importers.detection import recognize_detection
from graphc.importers.freeze import MAX_NODES, freeze
from graphc.importers.onnx_graph import OnnxGraph, OnnxNode
from graphc.importers.patterns import drop_idle, recognize
from graphc.importers.quantized import remove_rounding, unrounded, without_rounding
from graphc.importers.well_formed import check_well_formed
from graphc.runtime import Session

EXTERNAL_TOO_LARGE = "its weights have more than 2 GB, which cannot be compared: use --no-check"


@dataclass
class Source:
    """A checked ONNX file."""

    path: Path
    until: tuple[str, ...] = ()
    dequantize: bool = False
    model: onnx.ModelProto = field(init=False)
    _unrounded: dict[str, OnnxNode] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.model = open_model(self.path)
        check_well_formed(self.model, self.path)
        if self.model.functions:
            self.model = self._inlined()
            check_well_formed(self.model, self.path)

    def _inlined(self) -> onnx.ModelProto:
        """The model with its functions in place."""
        if (count := placed_nodes(self.model)) > MAX_NODES:
            message = f"expected at most {MAX_NODES:,} nodes with all functions in place, found {count:,}"
            raise WeightsError("G360", f"{shown(self.path)}: {message}")
        return in_place(self.model, self.path)

    @property
    def facts(self) -> Mapping[str, str]:
        """The file's metadata."""
        return {each.key: each.value for each in self.model.metadata_props}

    def graph(self, sizes: Mapping[str, tuple[int, ...]]) -> OnnxGraph:
        """The graph with its patterns recognized, for these sizes of inputs, up to `until`."""
        graph = freeze(self.model, self.path, sizes)
        if self.until:
            graph = graph.ending_at(find_value(graph, name, self.path) for name in self.until)
        if self.dequantize:
            self._unrounded = unrounded(graph)
            graph = without_rounding(graph, self._unrounded)
        return recognize(recognize_chains(recognize_detection(drop_idle(graph))))

    def session(self, outputs: Sequence[str], *, rounding: bool = False) -> Session:
        """The file in onnxruntime, giving these values; with `dequantize` without its rounding, unless asked for."""
        data = self_contained(self.path)
        if isinstance(data, str):
            raise SpecError("G363", f"{shown(self.path)}: {EXTERNAL_TOO_LARGE}")
        model = onnx.ModelProto.FromString(data)
        if [each.name for each in model.graph.output] != list(outputs):
            model = in_place(model, self.path)
            _end_at(model, outputs)
        if self.dequantize and not rounding:
            remove_rounding(model, self._unrounded)
        return Session(model.SerializeToString())


def find_value(graph: OnnxGraph, name: str, path: Path) -> str:
    """The value of this name, or the first output of the node of this name."""
    makers = graph.makers()
    if name in makers:
        return name
    for node in graph.nodes:
        if node.name == name:
            return node.outputs[0]
    known = [*makers, *(node.name for node in graph.nodes if node.name)]
    raise SpecError(
        "G361", f"{shown(path)}: --until: no node or value is named {shown(name)}{did_you_mean(name, known)}"
    )


def _end_at(model: onnx.ModelProto, outputs: Sequence[str]) -> None:
    """Make these values the outputs, and remove what they do not need."""
    needed, kept = set(outputs), []
    for node in reversed(model.graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            needed.update(name for part in node.attribute if part.HasField("g") for name in _read_inside(part.g))
            kept.append(node)
    inputs = [each for each in model.graph.input if each.name in needed]
    del model.graph.node[:], model.graph.output[:], model.graph.input[:]
    model.graph.node.extend(reversed(kept))
    model.graph.input.extend(inputs)
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs)


def _read_inside(graph: onnx.GraphProto) -> list[str]:
    return [name for node in graph.node for name in node.input]
