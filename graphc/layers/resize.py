"""Images, sequences and volumes in another size."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, ClassVar, Literal

from pydantic import model_validator

from graphc.dims import Dim, Shape, growth, is_image, is_static, residues
from graphc.errors import RuleError
from graphc.kernels.sampling import Interpolation, Ratio, Sampling
from graphc.layers.base import Layer, spatial, static
from graphc.layers.factors import exact_fraction
from graphc.layers.fields import Bool, Number
from graphc.layers.like import SizedLike, size_of
from graphc.layers.per_axis import AxisFactors, AxisSizes, per_axis
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.receptive_field import Reach, check_period
from graphc.training_graph.linear import emit_mixed
from graphc.training_graph.step import EmittedGradients, EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor, channels_first, from_channels_first
from graphc.types import Array, Context, Gradients, Params, Step

MOST_DIFFERENT = 100_000
"""Pixels of the output until their places between those of the input repeat: what each sees is kept."""
_MODES = {"nearest": "nearest", "bilinear": "linear", "bicubic": "cubic"}
"""ONNX's words."""


class Resize(SizedLike):
    """Nearest neighbor, linear or cubic interpolation of an image, a sequence or a volume."""

    kind: ClassVar[str] = "resize"
    family: ClassVar[str] = "shape"
    positional: ClassVar[tuple[str, ...]] = ("scale",)

    scale: AxisFactors | None = None
    """How many times as high and as wide (long; deep, high and wide), fractions too: the new size is rounded down. One
    number for all axes, or one for each."""
    size: AxisSizes | None = None
    """Or the new size: [height, width] of an image, the length of a sequence, [depth, height, width] of a volume."""
    method: Literal["nearest", "bilinear", "bicubic"] = "nearest"
    """nearest: one pixel. bilinear: of 2 along each axis, so of 2×2 in an image, linear along a sequence and trilinear
    in a volume. bicubic: of 4 along each axis."""
    coordinates: Literal["half_pixel", "align_corners", "asymmetric"] | None = None
    """half_pixel: (position + 1/2) * old/new - 1/2, as in TensorFlow 2 and PyTorch. align_corners:
    position * (old - 1)/(new - 1), as in DeepLab. asymmetric: position * old/new, as in TensorFlow 1. Default:
    asymmetric for nearest, else half_pixel."""
    rounding: Literal["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"] | None = None
    """Of nearest, to a whole position, in ONNX's words. Default: floor where coordinates are asymmetric, PyTorch's
    nearest; else round_prefer_floor. PyTorch's nearest-exact is half_pixel with round_prefer_ceil."""
    cubic_coeff: Number | None = None
    """Of bicubic. Default: -0.75, with antialias -0.5, as in PyTorch."""
    antialias: Bool = False
    """Whether a smaller image is made of all pixels (bilinear and bicubic), so that nothing is skipped."""

    @model_validator(mode="after")
    def _consistent(self) -> Resize:
        if sum(each is not None for each in (self.scale, self.size, self.like)) != 1:
            raise ValueError("resize takes either scale or size or like")
        if self.rounding is not None and self.method != "nearest":
            raise ValueError("rounding is for method: nearest")
        if self.cubic_coeff is not None and self.method != "bicubic":
            raise ValueError("cubic_coeff is for method: bicubic")
        if self.antialias and (self.method == "nearest" or self.in_force("coordinates") != "half_pixel"):
            raise ValueError("antialias is for bilinear and bicubic with coordinates: half_pixel")
        return self

    def in_force(self, argument: str) -> Any:
        value = getattr(self, argument)
        if argument == "coordinates" and value is None:
            return "asymmetric" if self.method == "nearest" else "half_pixel"
        if argument == "rounding" and value is None and self.method == "nearest":
            return "floor" if self.in_force("coordinates") == "asymmetric" else "round_prefer_floor"
        if argument == "cubic_coeff" and value is None and self.method == "bicubic":
            return -0.5 if self.antialias else -0.75
        return value

    @property
    def _interpolation(self) -> Interpolation:
        rounding, coefficient = self.in_force("rounding") or "floor", self.in_force("cubic_coeff") or 0.0
        return Interpolation(self.method, self.in_force("coordinates"), rounding, coefficient, self.antialias)

    def with_size(self, x: Shape, size: tuple[Any, ...]) -> Layer:
        return self.model_copy(update={"size": size, "like": None})

    def infer_shape(self, *inputs: Shape) -> Shape:
        shape = self._resized(*inputs)
        for axis, (up, down) in zip(shape[:-1], self._ratios(inputs[0], shape), strict=True):
            different = axis if up == 0 and isinstance(axis, int) else down
            if different > MOST_DIFFERENT:
                message = f"expected at most {MOST_DIFFERENT:,} pixels along an axis that lie differently between those"
                raise RuleError("G203", f"{message} of the input, found {different:,}")
        return shape

    def _resized(self, *inputs: Shape) -> Shape:
        sizes, channels = spatial(inputs[0], self.kind)
        if self.antialias or (self.method == "nearest" and self.in_force("coordinates") == "align_corners"):
            static(inputs[0], f"{self.kind} with {'antialias' if self.antialias else 'nearest and align_corners'}")
        if self.method == "bicubic" and len(sizes) != 2:  # runtimes have a cubic Resize of images alone
            static(inputs[0], f"{self.kind} with bicubic of what is no image")
        if self.like is not None:
            new = self.followed_size(*inputs)
            for old, size in zip(sizes, new, strict=True):
                self._check_following(old, size)
            return *new, channels
        if self.size is not None:
            static(inputs[0], self.kind)  # the ratio of old to new is part of the model
            return *per_axis(self.size, inputs[0], "size"), channels
        factors = self._factors(inputs[0])
        return *(self._scaled(size, factor) for size, factor in zip(sizes, factors, strict=True)), channels

    def _factors(self, shape: Shape) -> tuple[float, ...]:
        """`scale` along each axis of an input of this shape."""
        assert self.scale is not None
        return per_axis(self.scale, shape, "scale")

    def _scaled(self, size: Dim, scale: float) -> Dim:
        """floor(size * scale), of an open size only where no runtime can round otherwise."""
        factor = exact_fraction(scale)
        above, below = factor.numerator, factor.denominator
        if isinstance(size, int) or self._may_be_open(size, factor):
            return size * above // below
        size_as = f"{below}*{size}" if str(size).isidentifier() else f"a multiple of {below}"
        message = f"scale={scale} of an open size, {size}, would depend on rounding"
        raise RuleError("G205", f"{message}; write the input's size as {size_as}, or set the resolution", "scale")

    def _may_be_open(self, size: Dim, factor: Fraction) -> bool:
        if factor.denominator == 1:
            return True
        if self.method == "nearest":
            plain = self.in_force("coordinates") == "asymmetric" and self.in_force("rounding") == "floor"
            return plain and factor.denominator.bit_count() == 1
        return residues(size, factor.denominator) == range(1)

    def _check_following(self, old: Dim, new: Dim) -> None:
        """An open size is followed where it has a ratio to the old one, of all sizes."""
        if isinstance(new, int) and isinstance(old, int):
            return
        if old == 1:  # a pooled image, spread out again
            return
        shrink, grow = growth(old), growth(new)
        shares = {shrink[name] / grow[name] for name in shrink.keys() & grow.keys()}
        if shrink.keys() != grow.keys() or len(shares) != 1:
            message = f"like={self.like} has a size of {new}, which has no fixed ratio to {old}"
            raise RuleError("G205", f"{message}; multiples of one symbol have one", "like")
        if self.method == "nearest" and (self.in_force("coordinates"), self.in_force("rounding")) != (
            "asymmetric",
            "floor",
        ):
            message = f"nearest to an open size, {new}, is for coordinates: asymmetric with rounding: floor"
            raise RuleError("G205", message, "coordinates")

    def _ratios(self, old: Shape, new: Shape) -> list[Ratio]:
        """Old over new pixels along each axis of inputs and outputs of these shapes."""
        scales = (None,) * (len(old) - 1) if self.scale is None else self._factors(old)
        return [self._ratio(*each) for each in zip(old[:-1], new[:-1], scales, strict=True)]

    def _ratio(self, old: Dim, new: Dim, scale: float | None) -> Ratio:
        """Old over new pixels along one axis, reduced; of open sizes that of very large ones."""
        corners = self.in_force("coordinates") == "align_corners"
        if scale is not None and not (corners and isinstance(old, int)):
            factor = exact_fraction(scale)
            return factor.denominator, factor.numerator
        if not (isinstance(old, int) and isinstance(new, int)):
            shrink, grow = growth(old), growth(new)
            if not shrink:
                return 0, 1
            share = next(shrink[name] / grow[name] for name in grow)
            return share.numerator, share.denominator
        if corners:
            old, new = (old - 1, new - 1) if new > 1 else (0, 1)
        shared = math.gcd(old, new)
        return old // shared, new // shared

    def reach(self, *inputs: Shape) -> tuple[Reach, ...]:
        old, new = inputs[0], self.infer_shape(*inputs)
        axes = zip(old[:-1], new[:-1], self._ratios(old, new), strict=True)
        return tuple(self._axis_reach(*each) for each in axes)

    def _axis_reach(self, old: Dim, new: Dim, ratio: Ratio) -> Reach:
        fixed = isinstance(old, int) and isinstance(new, int)
        if ratio[0] == 0:  # one pixel, or one output between the corners: all outputs see pixel 0
            if not isinstance(new, int):
                return Reach(1, 0, (0,), (0,))
            check_period(new)
            zeros = (0,) * new
            return Reach(new, 1, zeros, zeros)
        check_period(ratio[1])
        spans = [self._interpolation.span(position, ratio) for position in range(ratio[1])]
        low, high = zip(*spans, strict=True)
        even = self.in_force("coordinates") != "align_corners" and (
            self.scale is not None or new * ratio[0] == old * ratio[1]
        )
        return Reach(ratio[1], ratio[0], low, high, fixed or even)

    def does_nothing(self, *inputs: Shape) -> bool:
        return self.like is None and self.infer_shape(*inputs) == inputs[0] and self._keeps_pixels(inputs[0])

    def _keeps_pixels(self, shape: Shape) -> bool:
        return all(ratio in ((1, 1), (0, 1)) for ratio in self._ratios(shape, self.infer_shape(shape)))

    # -- ONNX ------------------------------------------------------------------------------------------------

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        x = build.channels_first(inputs[0])
        shape = self.infer_shape(*(value.shape for value in inputs))
        if self.like is not None:
            return self._emit_following(build, x, build.channels_first(inputs[1]), shape)
        how = self._words()
        if is_static(x.shape) and not is_image(x.shape):  # OpenCV resizes images alone
            return self._emit_picked(build, x) if self.method == "nearest" else self._emit_products(build, x)
        if self.method == "nearest" and all(map(self._repeats, self._ratios(x.shape, shape))):
            how = {**how, "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        elif self.method == "nearest" and is_static(x.shape):
            return self._emit_picked(build, x)
        elif self._needs_products(x.shape, shape):
            return self._emit_products(build, x)
        sizes = zip(x.shape[:-1], shape[:-1], strict=True)
        factors = self._factors(x.shape) if self.scale is not None else [_factor(old, new) for old, new in sizes]
        scales = build.constant("scales", np.asarray([1, 1, *factors], np.float32))
        return build.op("Resize", x, None, scales, shape=shape, **how)

    def _words(self) -> dict[str, Any]:
        words = {"mode": _MODES[self.method], "coordinate_transformation_mode": self.in_force("coordinates")}
        if self.method == "nearest":
            return {**words, "nearest_mode": self.in_force("rounding")}
        return words if self.method == "bilinear" else {**words, "cubic_coeff_a": self.in_force("cubic_coeff")}

    def _repeats(self, ratio: Ratio) -> bool:
        """Whether every pixel is picked a whole number of times, one after the other."""
        corners = self.in_force("coordinates") == "align_corners"
        return (
            not corners
            and ratio[0] == 1
            and all(self._interpolation.span(at, ratio) == (0, 0) for at in range(ratio[1]))
        )

    def _is_even(self, old: Shape, new: Shape) -> bool:
        """Whether the scale gives whole sizes: where it does not, runtimes differ in what they divide by."""
        if self.scale is None or not is_static(old):
            return True
        pairs = zip(self._factors(old), old[:-1], new[:-1], strict=True)
        return all(exact_fraction(factor) * before == after for factor, before, after in pairs)

    def _needs_products(self, old: Shape, new: Shape) -> bool:
        """Whether Resize would not do: antialias is an attribute from opset 18 on only; of a scale that does not give a
        whole size OpenCV makes another image; and bicubic behind a Transpose fails to load in onnxruntime, which moves
        the channels to where its own kernel refuses them."""
        if self.method == "nearest":
            return False
        return self.antialias or (self.method == "bicubic" and is_static(old)) or not self._is_even(old, new)

    def _emit_picked(self, build: OnnxBuilder, x: Value) -> Value:
        """Nearest by a ratio that is not a whole number: rounded scales would pick other pixels."""
        shape = x.shape
        for axis, sampling in enumerate(self._samplings(static(x.shape, self.kind))):
            picked = build.constant(f"picked{axis}", sampling.taps[0])
            shape = (*shape[:axis], len(sampling.taps[0]), *shape[axis + 1 :])
            x = build.op("Gather", x, picked, shape=shape, axis=2 + axis)
        return x

    def _emit_products(self, build: OnnxBuilder, x: Value) -> Value:
        """One product with a matrix an axis, from the last axis on; of the first of a volume by its planes as rows."""
        shape = static(x.shape, self.kind)
        samplings = self._samplings(shape)
        matrices = [sampling.matrix(size, np.float32) for sampling, size in zip(samplings, shape[:-1], strict=True)]
        *before, last = matrices
        made = [*shape[: len(before)], len(last)]
        x = build.op("MatMul", x, build.constant("columns", last.T), shape=(*made, shape[-1]))
        if before:
            made[-2] = len(before[-1])
            x = build.op("MatMul", build.constant("rows", before[-1]), x, shape=(*made, shape[-1]))
        if len(before) < 2:
            return x
        plane, channels = made[1] * made[2], shape[-1]
        flat = build.constant("flat", np.asarray([0, 0, shape[0], plane], np.int64))
        y = build.op("Reshape", x, flat, shape=(shape[0], plane, channels))
        y = build.op("MatMul", build.constant("planes", before[0]), y, shape=(len(before[0]), plane, channels))
        whole = build.constant("whole", np.asarray([0, 0, len(before[0]), *made[1:]], np.int64))
        return build.op("Reshape", y, whole, shape=(len(before[0]), *made[1:], channels))

    def _emit_following(self, build: OnnxBuilder, x: Value, followed: Value, shape: Shape) -> Value:
        """To an open size: interpolated by sizes; the nearest pixel by whole numbers, since 9 / 1.8 is not always 5."""
        if self.method == "nearest":
            return self._emit_counted(build, x, followed, shape)
        rank = len(x.shape) + 1
        first, end = (build.constant(name, np.asarray([at], np.int64)) for name, at in (("first", 0), ("channels", 2)))
        batch = build.op("Slice", build.op("Shape", x, shape=(rank,)), first, end, shape=(2,))
        sizes = build.op("Concat", batch, size_of(build, followed), shape=(rank,), axis=0)
        return build.op("Resize", x, None, None, sizes, shape=shape, **self._words())

    def _emit_counted(self, build: OnnxBuilder, x: Value, followed: Value, shape: Shape) -> Value:
        """Pixel position*old//new of each position from 0 to new, along each axis."""
        rank = len(x.shape) + 1
        old, new = (build.op("Shape", value, shape=(rank,)) for value in (x, followed))
        zero, one = (build.constant(name, np.asarray(at, np.int64)) for name, at in (("zero", 0), ("one", 1)))
        y, inner = x, x.shape
        for axis in range(rank - 2):
            at = build.constant(f"axis{2 + axis}", np.asarray(2 + axis, np.int64))
            before, after = (build.op("Gather", sizes, at, shape=()) for sizes in (old, new))
            positions = build.op("Range", zero, after, one, shape=())
            picked = build.op("Div", build.op("Mul", positions, before), after)
            inner = (*inner[:axis], *shape[axis : axis + 1], *inner[axis + 1 :])
            y = build.op("Gather", y, picked, shape=inner, axis=2 + axis)
        return y

    # -- arrays ----------------------------------------------------------------------------------------------

    def _samplings(self, shape: tuple[int, ...]) -> list[Sampling]:
        """What each position of the output is made of, along each axis of inputs of this shape."""
        new = static(self.infer_shape(shape), self.kind)
        axes = zip(shape[:-1], new[:-1], self._ratios(shape, new), strict=True)
        return [self._interpolation.sampling(old, size, ratio) for old, size, ratio in axes]

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        if self.like is not None:
            return self.forward_fitted(context, params, *inputs)
        (x,) = inputs
        samplings = list(enumerate(self._samplings(x.shape[1:]), start=1))
        y = context.empty((len(x), *(each.taps.shape[1] for _, each in samplings), x.shape[-1]), x.dtype)

        def fill(part: slice) -> None:
            sampled = x[part]
            for axis, sampling in samplings:
                sampled = sampling.apply(sampled, axis)
            y[part] = sampled

        def backward(dy: Array) -> Gradients:
            dx = context.empty(x.shape, x.dtype)

            def work(part: slice) -> None:
                gradient = dy[part]
                for axis, sampling in reversed(samplings):
                    gradient = sampling.adjoint(gradient, axis, x.shape[axis])
                dx[part] = gradient

            context.each_slice(work, x)
            return Gradients((dx,))

        context.each_slice(fill, x)
        return Step(y, backward)

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        if self.like is not None:
            return self.emit_fitted(build, params, *inputs)
        (x,) = inputs
        pairs = zip(self._samplings(x.example), x.example[:-1], strict=True)
        matrices = [sampling.matrix(size, np.float32) for sampling, size in pairs]

        def backward(dy: Tensor) -> EmittedGradients:
            dx = emit_mixed(channels_first(dy), [matrix.T for matrix in matrices])
            return EmittedGradients((from_channels_first(dx),))

        return EmittedStep(build.emitted(self, inputs), backward)


def _factor(old: Any, new: Any) -> float:
    """The least float32 that makes `new` pixels or more of `old`, so that rounding down gives `new`."""
    factor = np.float32(new / old)
    while float(factor) * old < new:
        factor = np.nextafter(factor, np.float32(np.inf))
    return float(factor)
