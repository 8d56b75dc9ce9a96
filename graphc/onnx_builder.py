"""What a layer may ask of the emitter of ONNX, and what it gets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from graphc.dims import Shape
from graphc.types import Array


class Value(Protocol):
    """A tensor while ONNX is emitted.

    Between layers images (H W C) are N C H W and volumes (D H W C) are N C D H W. A sequence (L C) is N L C or N C L,
    whatever the layer that made it prefers: `channels_first` says which, and a reader asks for what it needs. Vectors,
    and what has five axes or more, are N + shape.
    """

    @property
    def name(self) -> str: ...

    @property
    def shape(self) -> Shape:
        """One example's shape as the spec sees it: channels last, no batch."""

    @property
    def flat_order(self) -> Shape | None:
        """Of a flattened image (h, w, c) whose elements lie in c h w order, or of a volume or sequence; None where they
        lie as they should."""

    @property
    def channels_first(self) -> bool:
        """Whether the channels come right behind the batch, before the spatial axes."""

    def axis(self, index: int) -> int:
        """The tensor's axis for the axis `index` of the example's shape, counted from 0 (or from -1, the channels)."""


class OnnxBuilder(Protocol):
    """What a layer may ask of the emitter; `graphc.emit.builder` implements it."""

    opset: int

    def op(
        self,
        kind: str,
        *inputs: Value | str | None,
        shape: Shape | None = None,
        channels_first: bool | None = None,
        **attributes: Any,
    ) -> Value:
        """A node with one output; `shape` is the output's, the first input's where left out.

        Inputs may be values, names from `constant`, or None for an absent optional input. Where `channels_first` is
        left out, the output lies as the first input does if it has as many axes, otherwise as values do between layers
        (a sequence N L C).
        """

    def op_several(
        self, kind: str, *inputs: Value | str | None, shapes: Sequence[Shape], **attributes: Any
    ) -> Sequence[Value]:
        """A node with an output of each of these shapes."""

    def constant(self, name: str, array: Array) -> str:
        """An initializer of any shape; `name` is local to the layer (`weights`), full names are the builder's. Same
        name and layer, same initializer."""

    def in_channel_order(self, vector: Array, value: Value) -> Array:
        """A per-channel array [..., C], permuted where `value.flat_order` says its channels are."""

    def flatten(self, value: Value) -> Value:
        """All of an example as one axis, in the spec's (channels-last) order or, where the builder can absorb it
        in the next weights, in the inner order with `flat_order` set."""

    def in_order(self, value: Value) -> Value:
        """The value with its elements where the spec has them: `flat_order` resolved, by a Transpose if need be."""

    def channels_last(self, value: Value) -> Value:
        """The value with the channels as its last axis: N L C, N H W C, N D H W C; what lies so as it is. A layer must
        not end with an image or a volume that lies so: it ends with `between_layers`."""

    def channels_first(self, value: Value) -> Value:
        """The value with the channels right behind the batch: N C L, N C H W, N C D H W; what lies so as it is."""

    def between_layers(self, value: Value) -> Value:
        """The value as a layer may give it: images and volumes channels first, all else as it lies."""

    def as_first(self, values: Sequence[Value]) -> list[Value]:
        """Values of one kind that are computed with each other, in order, all lying as the first sequence among them
        does."""
