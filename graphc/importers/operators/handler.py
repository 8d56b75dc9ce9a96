"""What handlers of operators see of the translation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from graphc.importers.flat import LETTERS, FlatLayer, Value
from graphc.importers.onnx_graph import OnnxGraph, OnnxNode
from graphc.types import Array

AXES = {"c": "channels", "h": "height", "w": "width", "l": "length", "d": "depth"}
"""What layers call the axes of a tensor."""


def axis_of(letter: str, rank: int) -> str | int:
    """The axis of an example of this rank as layers call it: by its name, where it has one."""
    return AXES[letter] if letter in AXES and rank <= 4 else LETTERS[rank].index(letter)


class Build(Protocol):
    """The translation, while one node is handled; see `Translator`."""

    graph: OnnxGraph
    readers: dict[str, list[OnnxNode]]
    by_name: dict[str, FlatLayer]
    batch: int
    """How many examples the graph is frozen for."""
    pooled: dict[str, tuple[Value, Mapping[str, Any]]]
    """By the name of a pooling's second output what was pooled, and its window."""

    def viewed(self, index: int = 0) -> Value:
        """What the node reads as its input of this number, in any view."""

    def value(self, index: int = 0) -> Value:
        """The same with a letter for every axis."""

    def ordered(self, axes: str, index: int = 0) -> Value:
        """An input with these letters, laid out anew where it has others."""

    def is_constant(self, index: int) -> bool:
        """Whether that is a constant."""

    def constant(self, index: int, what: str) -> Array:
        """A constant input of any shape, float32."""

    def image(self, index: int = 0) -> Value:
        """An input that is an image N C H W."""

    def letters(self, value: Value, axes: Sequence[int]) -> list[str]:
        """The letters of axes: n, c, h or w."""

    def output_shape(self, index: int = 0) -> tuple[int, ...]:
        """The shape of the node's output, with the batch."""

    def spread(self, array: Array, shape: Sequence[int]) -> Array:
        """The array, which may be smaller, in this shape; a RefusedError where that makes too many numbers of few."""

    def in_order(self, vector: Array, value: Value) -> Array:
        """[..., C] of the tensor's channels as the layer's lie."""

    def layer(
        self,
        kind: str,
        inputs: Sequence[Value],
        arguments: Mapping[str, Any] | None = None,
        params: Mapping[str, Array] | None = None,
        axes: str | None = None,
    ) -> Value:
        """A new layer of this node, with variables of any shape."""

    def give(self, value: Value, index: int = 0) -> None:
        """The node's output."""


Handler: TypeAlias = Callable[[Build, OnnxNode], None]
