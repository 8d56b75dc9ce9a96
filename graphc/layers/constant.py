"""Numbers that no input changes: constants, and the coordinates of an input's positions.

Both read a layer: for how many examples there are, and coordinates for its size. ONNX has them as their numbers added
to zeros, which are made of that layer's values: so they have its batch in every runtime.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, TypeAlias, Union

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from graphc.dims import Shape, format_shape, is_static
from graphc.expected import Expects
from graphc.layers.base import Layer, scalar, spatial, static
from graphc.layers.fields import Number, PositiveInt
from graphc.layers.open_places import emit_count, emit_ones
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.training_graph.step import EmittedGradients, EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor
from graphc.types import Array, Context, Gradients, Params, Step

MOST_LEVELS = 4
"""Of lists in lists."""
_Vector: TypeAlias = tuple[Number, ...]
_Matrix: TypeAlias = tuple[_Vector, ...]
_Image: TypeAlias = tuple[_Matrix, ...]
_Volume: TypeAlias = tuple[_Image, ...]


def _nested(value: Any) -> Any:
    """Lists in lists as they are, where they are a box of numbers; a number as a list of one."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return (value,)
    _depths(value)
    return value


def _depths(value: Any) -> tuple[int, ...]:
    """The sizes of nested lists, from the outermost."""
    if not isinstance(value, (list, tuple)):
        return ()
    sizes = {_depths(each) for each in value}
    if len(sizes) != 1:
        lengths = sorted(format_shape(each) if each else "a number" for each in sizes)
        raise ValueError(f"expected lists of equal lengths, found {' and '.join(lengths) or 'an empty one'}")
    return (len(value), *sizes.pop())


def _schema() -> dict[str, Any]:
    """A number, or lists of numbers in up to MOST_LEVELS levels."""
    levels: list[dict[str, Any]] = [{"type": "number"}]
    for _ in range(MOST_LEVELS):
        levels.append({"type": "array", "items": levels[-1], "minItems": 1})
    return {"anyOf": levels}


_Numbers: TypeAlias = Annotated[
    Union[_Vector, _Matrix, _Image, _Volume],
    BeforeValidator(_nested),
    Expects("a number, or lists of numbers in up to 4 levels, of equal lengths"),
    WithJsonSchema(_schema()),
]


_Sizes: TypeAlias = Annotated[
    tuple[PositiveInt, ...], Field(min_length=1, max_length=4), Expects("a list of 1 to 4 sizes, such as [7, 7, 2]")
]


class Unmoved(Layer):
    """What does not depend on the values of its input."""

    family: ClassVar[str] = "arithmetic"
    sees_nothing: ClassVar[bool] = True

    def zeros(self, build: OnnxBuilder, x: Value, rank: int, channels_first: bool) -> Value:
        """[N, …] of a zero with `rank` axes of size 1, whatever x holds: the first of its numbers, clipped to 0."""
        x = build.in_order(x)
        axes = np.arange(1, 1 + len(x.shape))
        ranges = {"starts": np.zeros_like(axes), "ends": np.ones_like(axes), "axes": axes}
        names = [build.constant(name, values.astype(np.int64)) for name, values in ranges.items()]
        first = build.op("Slice", x, *names, shape=(1,) * len(x.shape))
        zero, shape = scalar(build, "zero", 0), (1,) * rank
        if rank == len(x.shape):
            return build.op("Clip", first, zero, zero, shape=shape, channels_first=channels_first)
        sizes = build.constant("ones", np.asarray((-1, *shape), np.int64))
        none = build.op("Clip", first, zero, zero)
        return build.op("Reshape", none, sizes, shape=shape, channels_first=channels_first)


class ConstantLayer(Unmoved):
    """The same numbers for every example: of one number a vector of one, of lists in lists their shape.

    Merges broadcast it: `add` of an image and `constant: 0.5` adds 0.5 everywhere.
    """

    kind: ClassVar[str] = "constant"
    positional: ClassVar[tuple[str, ...]] = ("value",)

    value: _Numbers
    """The numbers."""
    shape: _Sizes | None = None
    """The shape that they are repeated to; left out: as they are."""

    @model_validator(mode="after")
    def _fits(self) -> ConstantLayer:
        found = _depths(self.value)
        if self.shape is not None:
            pairs = zip(reversed(found), reversed(self.shape), strict=False)
            if len(found) > len(self.shape) or any(size not in (1, wanted) for size, wanted in pairs):
                message = f"expected a value of shape={list(self.shape)}, or one to be repeated to it"
                raise ValueError(f"{message}, found {format_shape(found)}")
        return self

    def infer_shape(self, *inputs: Shape) -> Shape:
        return _depths(self.value) if self.shape is None else self.shape

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        shape = self.infer_shape()
        array = np.broadcast_to(np.asarray(self.value, np.float32), static(shape, self.kind))[None]
        zeros = self.zeros(build, inputs[0], len(shape), channels_first=False)
        made = build.op("Add", zeros, build.constant("value", array), shape=shape, channels_first=False)
        return build.between_layers(made)

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        y = context.empty((len(x), *static(self.infer_shape(), self.kind)), x.dtype)
        y[...] = np.asarray(self.value)
        return Step(y, lambda dy: Gradients((None,)))

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        return EmittedStep(build.emitted(self, inputs), lambda dy: EmittedGradients((None,)))


class Coordinates(Unmoved):
    """Where each position of the input is, a channel an axis: y and x of an image, as CoordConv adds them."""

    kind: ClassVar[str] = "coordinates"
    positional: ClassVar[tuple[str, ...]] = ("range",)

    range: Literal["signed", "unit", "pixels"] = "signed"
    """signed: from -1 at the first position to 1 at the last; unit: from 0 to 1; pixels: from 0, one a position. Of a
    single position it is the first number."""

    def infer_shape(self, *inputs: Shape) -> Shape:
        sizes, _ = spatial(inputs[0], self.kind)
        return (*sizes, len(sizes))

    def _along(self, size: int) -> Array:
        """One axis's coordinates, [size]."""
        if self.range == "pixels":
            return np.arange(size, dtype=np.float64)
        return np.linspace(-1 if self.range == "signed" else 0, 1, size)

    def _grid(self, sizes: tuple[int, ...]) -> Array:
        """[…, axes], the sizes first."""
        return np.stack(np.meshgrid(*map(self._along, sizes), indexing="ij"), axis=-1)

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        (x,) = inputs
        shape = self.infer_shape(x.shape)
        if is_static(shape):
            grid = np.moveaxis(self._grid(static(shape[:-1], self.kind)), -1, 0)[None]
            zeros = self.zeros(build, x, len(shape), channels_first=True)
            grid_name = build.constant("grid", grid.astype(np.float32))
            return build.op("Add", zeros, grid_name, shape=shape, channels_first=True)
        return self._emit_open(build, build.channels_first(x), shape)

    def _emit_open(self, build: OnnxBuilder, x: Value, shape: Shape) -> Value:
        """For sizes that are known when it runs: ones, summed up along each axis."""
        ones, one = emit_ones(build, x), scalar(build, "one", 1)
        found = []
        for axis in range(2, 1 + len(shape)):
            place = emit_count(build, ones, axis)
            if self.range != "pixels":
                place = build.op("Div", place, self._steps(build, ones, axis))
            if self.range == "signed":
                place = build.op("Sub", build.op("Mul", place, scalar(build, "two", 2)), one)
            found.append(place)
        return build.op("Concat", *found, shape=shape, axis=1) if len(found) > 1 else found[0]

    @staticmethod
    def _steps(build: OnnxBuilder, ones: Value, axis: int) -> Value:
        """How many positions there are along one of the tensor's axes, less one; of one position 1."""
        name = build.constant(f"axes_{axis}", np.asarray([axis], np.int64))
        shape = tuple(1 if place == axis - 2 else size for place, size in enumerate(ones.shape))
        count = build.op("ReduceSum", ones, name, shape=shape, keepdims=1)
        one = scalar(build, "one", 1)
        return build.op("Max", build.op("Sub", count, one), one)

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        y = context.empty((*x.shape[:-1], x.ndim - 2), x.dtype)
        y[...] = self._grid(x.shape[1:-1])
        return Step(y, lambda dy: Gradients((None,)))

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        return EmittedStep(build.emitted(self, inputs), lambda dy: EmittedGradients((None,)))
