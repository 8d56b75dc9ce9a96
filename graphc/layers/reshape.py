"""Flatten and reshape: the same numbers in the same order, channels last."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field, StrictInt

from graphc.dims import Shape, whole
from graphc.errors import RuleError
from graphc.expected import Expects
from graphc.layers.base import Layer, elements, static
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.types import Array, Context, Gradients, Params, Step

_Size = Annotated[StrictInt, Field(ge=-1, le=1_000_000_000), BeforeValidator(whole)]


class Flatten(Layer):
    """All of an example as one axis, in the order height, width, channels."""

    kind: ClassVar[str] = "flatten"
    family: ClassVar[str] = "shape"
    sees_everything: ClassVar[bool] = True
    view: ClassVar[bool] = True

    def infer_shape(self, *inputs: Shape) -> Shape:
        return (elements(static(inputs[0], self.kind)),)

    def does_nothing(self, *inputs: Shape) -> bool:
        return len(inputs[0]) == 1

    def flattens(self, *inputs: Shape) -> bool:
        return len(inputs[0]) > 1

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        return build.flatten(inputs[0])

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        return _reshape(inputs[0], (-1,))


class Reshape(Layer):
    """An example's numbers in another shape, in the order height, width, channels."""

    kind: ClassVar[str] = "reshape"
    family: ClassVar[str] = "shape"
    positional: ClassVar[tuple[str, ...]] = ("shape",)
    sees_everything: ClassVar[bool] = True
    view: ClassVar[bool] = True

    shape: Annotated[
        tuple[_Size, ...],
        Field(min_length=1, max_length=6),
        Expects("one example's sizes without the batch, at most 6, such as [7, 7, -1]"),
    ]
    """One example's new shape, without the batch; one size may be -1, whatever is left."""

    def infer_shape(self, *inputs: Shape) -> Shape:
        count = elements(static(inputs[0], self.kind))
        unknown = self.shape.count(-1)
        known = math.prod(size for size in self.shape if size != -1)
        if unknown > 1:
            raise RuleError("G207", f"shape={list(self.shape)} has {unknown} sizes of -1; one may be", "shape")
        if (unknown and (known == 0 or count % known)) or (not unknown and known != count):
            raise RuleError("G207", f"shape={list(self.shape)} does not fit the {count} numbers of an example", "shape")
        return tuple(count // known if size == -1 else size for size in self.shape)

    def does_nothing(self, *inputs: Shape) -> bool:
        return self.infer_shape(*inputs) == inputs[0]

    def flattens(self, *inputs: Shape) -> bool:
        return len(inputs[0]) > 1 and len(self.infer_shape(*inputs)) == 1

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        (x,) = inputs
        shape = static(self.infer_shape(x.shape), self.kind)
        if len(shape) == 1:
            return build.flatten(x)
        x = build.in_order(x)
        if not _lies_in_order(static(x.shape, self.kind)):
            x = build.channels_last(x)
        if _lies_in_order(shape) and len(shape) in (3, 4):
            inner = (shape[-1], *shape[:-1])
            return build.op("Reshape", x, _batch_of(build, inner), shape=shape, channels_first=True)
        y = build.op("Reshape", x, _batch_of(build, shape), shape=shape, channels_first=False)
        return build.between_layers(y)

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        return _reshape(inputs[0], static(self.infer_shape(inputs[0].shape[1:]), self.kind))


def _reshape(x: Array, shape: tuple[int, ...]) -> Step:
    def backward(dy: Array) -> Gradients:
        return Gradients((dy.reshape(x.shape),))

    return Step(x.reshape(x.shape[0], *shape), backward)


def _lies_in_order(shape: tuple[int, ...]) -> bool:
    """Whether the numbers lie in one order, channels first or last."""
    return math.prod(shape[:-1]) == 1 or shape[-1] == 1


def _batch_of(build: OnnxBuilder, shape: tuple[int, ...]) -> str:
    return build.constant("shape", np.asarray((-1, *shape), np.int64))
