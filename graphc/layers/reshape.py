"""Flatten and reshape: the same numbers in the same order, channels last."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Union

from pydantic import BeforeValidator, Field, StrictInt, StrictStr

from graphc.dims import Dim, Shape, format_shape, is_static, parse_size, residues, whole
from graphc.errors import RuleError
from graphc.expected import MOST, Expects
from graphc.layers.base import Layer, static
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.training_graph.step import EmittedGradients, EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor, between_layers, channels_last
from graphc.types import Array, Context, Gradients, Params, Step


def _size(value: Any) -> Any:
    """A formula as text, with its sizes checked; whole numbers as they are."""
    value = whole(value)
    if isinstance(value, str) and isinstance(parse_size(value), int):
        raise ValueError(f"{value!r} is a number: write it without quotes")
    return value


_Size = Annotated[Union[Annotated[StrictInt, Field(ge=-1, le=MOST)], StrictStr], BeforeValidator(_size)]


class Flatten(Layer):
    """All of an example as one axis, in the order height, width, channels."""

    kind: ClassVar[str] = "flatten"
    family: ClassVar[str] = "shape"
    sees_everything: ClassVar[bool] = True
    view: ClassVar[bool] = True

    def infer_shape(self, *inputs: Shape) -> Shape:
        (given,) = inputs
        if sum(not isinstance(size, int) for size in given) > 1:
            message = f"{self.kind} needs sizes of which one is open at most, got {format_shape(given)}"
            raise RuleError("G205", f"{message}; set the resolution")
        return (math.prod(given),)

    def does_nothing(self, *inputs: Shape) -> bool:
        return len(inputs[0]) == 1

    def flattens(self, *inputs: Shape) -> bool:
        return len(inputs[0]) > 1

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        return build.flatten(inputs[0])

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        return _reshape(inputs[0], (-1,))

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        return _emit_reshape(build.emitted(self, inputs), inputs[0])


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
        Expects("one example's sizes without the batch, at most 6, such as [7, 7, -1] or [W, 512]"),
    ]
    """One example's new shape, without the batch; one size may be -1, whatever is left; 0 is the input's size of that
    axis; open sizes are formulas as in the input, such as W, 2*W or H*W. Those that do not stay where they are become
    one."""

    def fitted(self, *inputs: Shape) -> Layer:
        """With 0 and -1 in place of formulas."""
        if not any(isinstance(size, str) for size in self.shape):
            return self
        wanted = [parse_size(size) if isinstance(size, str) else size for size in self.shape]
        sizes = [
            size if isinstance(size, int) else 0 if inputs[0][axis : axis + 1] == (size,) else -1
            for axis, size in enumerate(wanted)
        ]
        if sizes.count(-1) > 1:
            message = f"shape={self._written} has several sizes of which the file could not tell how they change"
            raise RuleError("G205", f"{message}; open sizes may stay where they are, and one may be another", "shape")
        layer = self.model_copy(update={"shape": tuple(sizes)})
        for size, found in zip(wanted, layer.infer_shape(*inputs), strict=True):
            if not isinstance(size, int) and size != found:
                message = f"shape={self._written} of {format_shape(inputs[0])}: where it says {size}, {found} is left"
                raise RuleError("G207", message, "shape")
        return layer

    @property
    def _written(self) -> str:
        return f"[{', '.join(map(str, self.shape))}]"

    def infer_shape(self, *inputs: Shape) -> Shape:
        (given,) = inputs
        kept, sizes = self._copied(given)
        count = math.prod((size for axis, size in enumerate(given) if axis not in kept), start=1)
        unknown = sizes.count(-1)
        known = math.prod(size for axis, size in enumerate(sizes) if size != -1 and axis not in kept)
        if unknown > 1:
            raise RuleError("G207", f"shape={self._written} has {unknown} sizes of -1; one may be", "shape")
        if unknown and known and not isinstance(count, int) and residues(count, known) == range(1):
            left: Dim = count // known
        elif not isinstance(count, int):
            ways = "one size of -1" if not unknown else "sizes that always divide it"
            raise RuleError("G207", f"shape={self._written} of {count} numbers of an example needs {ways}", "shape")
        elif (unknown and (known == 0 or count % known)) or (not unknown and known != count):
            total = count * math.prod(size for axis in kept if isinstance(size := given[axis], int))
            raise RuleError("G207", f"shape={self._written} does not fit the {total} numbers of an example", "shape")
        else:
            left = count // known if unknown else 0
        return tuple(given[axis] if axis in kept else left if size == -1 else size for axis, size in enumerate(sizes))

    def _copied(self, given: Shape) -> tuple[set[int], list[int]]:
        """The axes whose size stays the input's, and all sizes as numbers."""
        sizes = [size for size in self.shape if isinstance(size, int)]
        assert len(sizes) == len(self.shape), "fitted() comes first"
        kept = {axis for axis, size in enumerate(sizes) if size == 0}
        if any(axis >= len(given) for axis in kept):
            message = f"shape={self._written} has a 0 where {format_shape(given)} has no axis"
            raise RuleError("G207", message, "shape")
        return kept, sizes

    def does_nothing(self, *inputs: Shape) -> bool:
        return self.infer_shape(*inputs) == inputs[0]

    def flattens(self, *inputs: Shape) -> bool:
        return len(inputs[0]) > 1 and len(self.infer_shape(*inputs)) == 1

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        (x,) = inputs
        shape = self.infer_shape(x.shape)
        if len(shape) == 1:
            return build.flatten(x)
        x = build.in_order(x)
        if not is_static(shape):
            sizes = [0 if axis in self._copied(x.shape)[0] else size for axis, size in enumerate(shape)]
            batch_and_sizes = [0, *(size if isinstance(size, int) else -1 for size in sizes)]
            named = build.constant("shape", np.asarray(batch_and_sizes, np.int64))
            y = build.op("Reshape", build.channels_last(x), named, shape=shape, channels_first=False)
            return build.between_layers(y)
        if not _lies_in_order(x.shape):
            x = build.channels_last(x)
        fixed = static(shape, self.kind)
        if _lies_in_order(shape) and len(shape) in (3, 4):
            inner = (fixed[-1], *fixed[:-1])
            return build.op("Reshape", x, _batch_of(build, inner), shape=shape, channels_first=True)
        y = build.op("Reshape", x, _batch_of(build, fixed), shape=shape, channels_first=False)
        return build.between_layers(y)

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        return _reshape(inputs[0], static(self.infer_shape(inputs[0].shape[1:]), self.kind))

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        return _emit_reshape(build.emitted(self, inputs), inputs[0])


def _reshape(x: Array, shape: tuple[int, ...]) -> Step:
    def backward(dy: Array) -> Gradients:
        return Gradients((dy.reshape(x.shape),))

    return Step(x.reshape(x.shape[0], *shape), backward)


def _emit_reshape(y: Tensor, x: Tensor) -> EmittedStep:
    def backward(dy: Tensor) -> EmittedGradients:
        return EmittedGradients((between_layers(channels_last(dy).reshape(x.shape[0], *x.example)),))

    return EmittedStep(y, backward)


def _lies_in_order(shape: Shape) -> bool:
    """Whether the numbers lie in one order, channels first or last."""
    return all(size == 1 for size in shape[:-1]) or shape[-1] == 1


def _batch_of(build: OnnxBuilder, shape: tuple[int, ...]) -> str:
    return build.constant("shape", np.asarray((-1, *shape), np.int64))
