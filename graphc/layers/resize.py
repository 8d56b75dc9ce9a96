"""Images in another size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import model_validator

from graphc.dims import Shape
from graphc.expected import Expects
from graphc.kernels.sampling import Sampling
from graphc.layers.base import Layer, image, static
from graphc.layers.fields import IntPair
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.receptive_field import Reach
from graphc.types import Array, Context, Gradients, Params, Step


class Resize(Layer):
    """Nearest neighbour or bilinear interpolation (not smoothed first where the image shrinks)."""

    kind: ClassVar[str] = "resize"
    family: ClassVar[str] = "shape"
    positional: ClassVar[tuple[str, ...]] = ("scale",)

    scale: Annotated[
        IntPair | None,
        Expects("a whole number of at least 1 or [height, width] (for other factors write size, the new one)"),
    ] = None
    """How many times as high and as wide."""
    size: IntPair | None = None
    """Or the new size, [height, width]."""
    method: Literal["nearest", "bilinear"] = "nearest"
    """nearest: the pixel at floor(position * old/new)."""
    coordinates: Literal["half_pixel", "align_corners", "asymmetric"] = "half_pixel"
    """Of bilinear. half_pixel: (position + 1/2) * old/new - 1/2, as in TensorFlow 2 and PyTorch. align_corners:
    position * (old - 1)/(new - 1), as in DeepLab. asymmetric: position * old/new, as in TensorFlow 1."""

    @model_validator(mode="after")
    def _consistent(self) -> Resize:
        if (self.scale is None) == (self.size is None):
            raise ValueError("resize takes either scale or size")
        if self.method == "nearest" and self.coordinates != "half_pixel":
            raise ValueError("coordinates is for method: bilinear")
        return self

    def infer_shape(self, *inputs: Shape) -> Shape:
        height, width, channels = image(inputs[0], self.kind)
        if self.size is not None or self.coordinates == "align_corners":
            static(inputs[0], self.kind)  # the ratio of old to new is part of the model
        if self.size is not None:
            return (*self.size, channels)
        assert self.scale is not None
        return height * self.scale[0], width * self.scale[1], channels

    def _ratio(self, shape: Shape, axis: int) -> tuple[int, int]:
        """Old over new pixels along one axis, reduced; over distances for align_corners."""
        if self.scale is not None and self.coordinates != "align_corners":
            return 1, self.scale[axis]
        old, new = (static(sizes, self.kind)[axis] for sizes in (shape, self.infer_shape(shape)))
        if self.coordinates == "align_corners":
            old, new = (old - 1, new - 1) if new > 1 else (0, 1)
        shared = math.gcd(old, new)
        return old // shared, new // shared

    def _source(self, position: Any, ratio: tuple[int, int]) -> tuple[Any, int]:
        """Where an output position lies on the input, as a numerator and a denominator: exact."""
        old, new = ratio
        if self.method == "bilinear" and self.coordinates == "half_pixel":
            return (2 * position + 1) * old - new, 2 * new
        return position * old, new

    def reach(self, *inputs: Shape) -> tuple[Reach, Reach]:
        return self._axis_reach(inputs[0], 0), self._axis_reach(inputs[0], 1)

    def _axis_reach(self, shape: Shape, axis: int) -> Reach:
        old, new = ratio = self._ratio(shape, axis)
        if old == 0:  # one pixel, or one output, between the corners: all outputs see pixel 0
            zeros = (0,) * static(self.infer_shape(shape), self.kind)[axis]
            return Reach(len(zeros), 1, zeros, zeros)
        sources = [self._source(position, ratio) for position in range(new)]
        low = tuple(above // below for above, below in sources)
        high = low if self.method == "nearest" else tuple(-(-above // below) for above, below in sources)
        return Reach(new, old, low, high)

    def does_nothing(self, *inputs: Shape) -> bool:
        return self.infer_shape(*inputs) == inputs[0]

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        (x,) = inputs
        shape = self.infer_shape(x.shape)
        if self.method == "nearest" and any(self._ratio(x.shape, axis)[0] != 1 for axis in (0, 1)):
            return self._emit_picked(build, x)
        factors = self.scale or tuple(map(_factor, static(x.shape, self.kind)[:2], static(shape, self.kind)[:2]))
        scales = build.constant("scales", np.asarray([1, 1, *factors], np.float32))
        if self.method == "nearest":
            how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        else:
            how = {"mode": "linear", "coordinate_transformation_mode": self.coordinates}
        return build.op("Resize", x, None, scales, shape=shape, **how)

    def _emit_picked(self, build: OnnxBuilder, x: Value) -> Value:
        """Nearest by a ratio that is not a whole number: rounded scales would pick other pixels."""
        shape = static(x.shape, self.kind)
        new = static(self.infer_shape(shape), self.kind)
        rows = build.constant("rows", self._sampling(shape, 0).low)
        columns = build.constant("columns", self._sampling(shape, 1).low)
        y = build.op("Gather", x, rows, shape=(new[0], shape[1], shape[2]), axis=2)
        return build.op("Gather", y, columns, shape=new, axis=3)

    def _sampling(self, shape: tuple[int, ...], axis: int) -> Sampling:
        new = static(self.infer_shape(shape), self.kind)[axis]
        above, below = self._source(np.arange(new, dtype=np.int64), self._ratio(shape, axis))
        last = shape[axis] - 1
        low = np.clip(above // below, 0, last)
        if self.method == "nearest":
            return Sampling(low, low, None)
        return Sampling(low, np.clip(above // below + 1, 0, last), above % below / below)

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        rows, columns = (self._sampling(x.shape[1:], axis) for axis in (0, 1))
        _, height, width, channels = x.shape
        y = context.empty((len(x), len(rows.low), len(columns.low), channels), x.dtype)

        def fill(part: slice) -> None:
            y[part] = columns.apply(rows.apply(x[part], 1), 2)

        def backward(dy: Array) -> Gradients:
            dx = context.empty(x.shape, x.dtype)

            def work(part: slice) -> None:
                dx[part] = rows.adjoint(columns.adjoint(dy[part], 2, width), 1, height)

            context.each_slice(work, x)
            return Gradients((dx,))

        context.each_slice(fill, x)
        return Step(y, backward)


def _factor(old: int, new: int) -> float:
    """The least float32 that makes `new` pixels or more of `old`, so that rounding down gives `new`."""
    factor = np.float32(new / old)
    while float(factor) * old < new:
        factor = np.nextafter(factor, np.float32(np.inf))
    return float(factor)
