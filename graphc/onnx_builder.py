"""What a layer may ask of the emitter of ONNX, and what it gets."""

from __future__ import annotations

from typing import Any, Protocol

from graphc.dims import Shape
from graphc.types import Array


class Value(Protocol):
    """A tensor while ONNX is emitted. Images (rank 3, H W C) are N C H W inside; other ranks are N + shape."""

    @property
    def name(self) -> str: ...

    @property
    def shape(self) -> Shape:
        """One example's shape as the spec sees it: channels last, no batch."""

    @property
    def flat_order(self) -> Shape | None:
        """Of a flattened image (h, w, c) whose elements lie in c h w order; None where they lie as they should."""


class OnnxBuilder(Protocol):
    """What a layer may ask of the emitter; `graphc.emit.builder` implements it."""

    opset: int

    def op(self, kind: str, *inputs: Value | str | None, shape: Shape | None = None, **attributes: Any) -> Value:
        """A node with one output; `shape` is the output's, the first input's where left out.

        Inputs may be values, names from `constant`, or None for an absent optional input.
        """

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
        """An image as N H W C, for a kind that works along the last axis; other ranks as they are.

        The layer may hand the result to `op` without a `shape` and must end with `channels_first`.
        """

    def channels_first(self, value: Value, shape: Shape) -> Value:
        """Back from N H W C to N C H W where `shape`, the spec's, is an image; other ranks take `shape` as it is."""
