"""An ONNX graph as the importer reads it: nodes with attributes as Python values, constants as arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from graphc.types import Array


class RefusedError(Exception):
    """A node that no layer says; the text is what is in the way."""


ODD = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)
"""What is raised of attributes and constants that ONNX's checker lets pass and no exporter writes."""


@dataclass(frozen=True, slots=True)
class OnnxNode:
    """One operator."""

    op: str
    """`Conv`; with its domain where that is not ONNX's own: `com.microsoft.FusedConv`."""
    name: str
    """As in the file; may be empty."""
    inputs: tuple[str, ...]
    """Names of values; empty where an optional input is left out."""
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """What messages call the node."""
        return self.name or f"the node of {self.outputs[0]}"

    def get(self, attribute: str, default: Any = None) -> Any:
        return self.attributes.get(attribute, default)


@dataclass(frozen=True, slots=True)
class OnnxInput:
    """An input that is no constant."""

    name: str
    shape: tuple[int, ...]
    """With the batch, every size fixed."""
    written: tuple[int | str | None, ...]
    """The sizes as the file has them: a number, a symbol, or None."""
    is_float: bool


@dataclass(frozen=True)
class OnnxGraph:
    """Nodes in topological order; every size is a number."""

    name: str
    producer: str
    nodes: tuple[OnnxNode, ...]
    constants: Mapping[str, Array]
    inputs: tuple[OnnxInput, ...]
    outputs: tuple[str, ...]
    shapes: Mapping[str, tuple[int, ...]]
    """Of values, with the batch; a value whose shape could not be found is missing."""
    opset: int
    wrong: Mapping[str, str] = field(default_factory=dict)
    """Values of nodes that ONNX itself says are not right -> what it says."""

    @cached_property
    def kept(self) -> frozenset[str]:
        """The outputs, for those who ask whether a value is one."""
        return frozenset(self.outputs)

    def with_nodes(self, nodes: Iterable[OnnxNode]) -> OnnxGraph:
        """The graph with these nodes, without those that nobody needs."""
        needed, kept = set(self.outputs), []
        for node in reversed(tuple(nodes)):
            if needed.intersection(node.outputs):
                needed.update(node.inputs)
                kept.append(node)
        constants = {name: array for name, array in self.constants.items() if name in needed}
        return replace(self, nodes=tuple(reversed(kept)), constants=constants)

    def ending_at(self, outputs: Iterable[str]) -> OnnxGraph:
        """The part of the graph that these values need."""
        return replace(self, outputs=tuple(outputs)).with_nodes(self.nodes)

    def makers(self) -> dict[str, OnnxNode]:
        """Value -> the node that gives it."""
        return {output: node for node in self.nodes for output in node.outputs if output}

    def readers(self) -> dict[str, list[OnnxNode]]:
        """Value -> the nodes that read it, once for each time."""
        found: dict[str, list[OnnxNode]] = {}
        for node in self.nodes:
            for name in node.inputs:
                found.setdefault(name, []).append(node)
        return found
