"""Padding by pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import model_validator

from graphc.dims import Shape, bounds, format_shape, spatial_axes
from graphc.errors import RuleError
from graphc.kernels.border import add_border, border_gradient
from graphc.layers.base import Layer, scalar, spatial
from graphc.layers.border import check_border, emit_border
from graphc.layers.crop import along
from graphc.layers.fields import Axis, NaturalInt, Number
from graphc.layers.like import SizedLike, size_of
from graphc.layers.per_axis import SidePadding, both_sides
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.receptive_field import HERE, Reach
from graphc.training_graph.border import emit_border_gradient
from graphc.training_graph.step import EmittedGradients, EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor, axis_of, channels_first, from_channels_first
from graphc.types import Array, Context, Gradients, Params, Step


class Pad(SizedLike):
    """Pixels around an image, a sequence or a volume."""

    kind: ClassVar[str] = "pad"
    family: ClassVar[str] = "shape"
    positional: ClassVar[tuple[str, ...]] = ("padding",)

    padding: SidePadding | None = None
    """Pixels for every side; [vertical, horizontal] or [[top, bottom], [left, right]] of an image, a value or [before,
    after] for each axis of a volume, [before, after] of a sequence."""
    mode: Literal["constant", "reflect", "edge", "symmetric", "circular"] = "constant"
    """constant: every new pixel is `value`. reflect: mirrored at the border pixel, which is not repeated. edge: the
    border pixel again (PyTorch's replicate). symmetric: mirrored, the border pixel too. circular: from the other side
    (NumPy's wrap)."""
    value: Number = 0.0
    """What constant padding puts in."""
    align: Literal["after", "center"] | None = None
    """With `like`. after: all new pixels are below and at the right. center: as many before, and an odd one after.
    Default: after."""
    axis: Axis | None = None
    """Or along one axis of an input of any rank, by `before` and `after`: channels; height, width, depth or length; or
    a number, 0 the first behind the batch and -1 the last."""
    before: NaturalInt | None = None
    """With `axis`: how many numbers come before."""
    after: NaturalInt | None = None
    """With `axis`: how many come after."""

    @model_validator(mode="after")
    def _consistent(self) -> Pad:
        if sum(each is not None for each in (self.padding, self.like, self.axis)) != 1:
            raise ValueError("pad takes either padding or like or axis")
        given = self.before is not None or self.after is not None
        if self.axis is None and given:
            raise ValueError("before and after go with axis")
        if self.axis is not None and not given:
            raise ValueError("pad along an axis takes before or after")
        if self.axis is not None and self.mode != "constant":
            raise ValueError(f"pad along an axis has mode: constant, got {self.mode}")
        if self.align is not None and self.like is None:
            raise ValueError("align is for like: padding says it for every side")
        return self

    def in_force(self, argument: str) -> Any:
        value = getattr(self, argument)
        return "after" if argument == "align" and value is None and self.like is not None else value

    def with_size(self, x: Shape, size: tuple[Any, ...]) -> Layer:
        if any(new < old for new, old in zip(size, x, strict=False)):
            message = (
                f"like={self.like} is {format_shape(size)}, which is smaller than its input of {format_shape(x[:-1])}"
            )
            raise RuleError("G203", message, "like")
        padding = tuple(self._sides(new - old) for new, old in zip(size, x, strict=False))
        return self.model_copy(update={"padding": padding, "like": None, "align": None})

    def _sides(self, more: Any) -> tuple[Any, Any]:
        before = more // 2 if self.align == "center" else 0
        return before, more - before

    def _befores(self, *inputs: Shape) -> list[tuple[int, bool]]:
        """Of each axis the pixels before the image, and whether their number is the same for all sizes."""
        found = []
        for old, new in zip(inputs[0][:-1], self.followed_size(*inputs), strict=True):
            if bounds(new - old)[0] < 0:
                message = f"like={self.like} has a size of {new}, which may be less than the {old} there are"
                raise RuleError("G205", message, "like")
            if self.mode != "constant":
                raise RuleError("G205", f"mode={self.mode} to an open size, {new}: constant alone does that", "mode")
            least, most = bounds(self._sides(new - old)[0])
            found.append((int(least), least == most))
        return found

    def _along(self, shape: Shape) -> tuple[int, int, int]:
        """The axis from 0, and the numbers before and after."""
        assert self.axis is not None
        return along(shape, self.axis, self.kind), self.before or 0, self.after or 0

    def infer_shape(self, *inputs: Shape) -> Shape:
        if self.axis is not None:
            axis, before, after = self._along(inputs[0])
            return (*inputs[0][:axis], inputs[0][axis] + before + after, *inputs[0][axis + 1 :])
        sizes, channels = spatial(inputs[0], self.kind)
        if self.like is not None:
            known = self.fitted(*inputs)
            if known is not self:
                return known.infer_shape(inputs[0])
            self._befores(*inputs)
            return *self.followed_size(*inputs), channels
        sides = self._pixels(inputs[0])
        if self.mode != "constant":
            for size, pixels, name in zip(sizes, sides, spatial_axes(inputs[0]), strict=True):
                check_border(size, pixels, self.mode, name)
        return *(size + sum(pixels) for size, pixels in zip(sizes, sides, strict=True)), channels

    def _pixels(self, shape: Shape) -> tuple[tuple[int, int], ...]:
        """Pixels before and after along each axis of an input of this shape."""
        assert self.padding is not None, "fitted() comes first"
        return both_sides(self.padding, shape, "padding")

    def reach(self, *inputs: Shape) -> tuple[Reach, ...]:
        if self.axis is not None:
            axis, before, _ = self._along(inputs[0])
            moved = Reach(1, 1, (-before,), (-before,))
            return tuple(moved if each == axis else HERE for each in range(len(inputs[0]) - 1))
        sides = (
            [(pixels[0], True) for pixels in self._pixels(inputs[0])] if self.like is None else self._befores(*inputs)
        )
        return tuple(Reach(1, 1, (-before,), (-before,), known) for before, known in sides)

    def does_nothing(self, *inputs: Shape) -> bool:
        if self.axis is not None:
            return not self.before and not self.after
        return self.like is None and self.infer_shape(*inputs) == inputs[0]

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        if self.axis is not None:
            return self._emit_along(build, build.in_order(inputs[0]))
        x = build.channels_first(inputs[0])
        if self.like is not None:
            return self._emit_following(build, x, build.channels_first(inputs[1]))
        sides = self._pixels(x.shape)
        if self.mode != "constant":
            return emit_border(build, x, sides, self.mode)
        ends = [0, 0, *(before for before, _ in sides), 0, 0, *(after for _, after in sides)]
        pads = build.constant("pads", np.asarray(ends, np.int64))
        value = scalar(build, "value", self.value)
        return build.op("Pad", x, pads, value, shape=self.infer_shape(x.shape), mode="constant")

    def _emit_along(self, build: OnnxBuilder, x: Value) -> Value:
        axis, before, after = self._along(x.shape)
        pads = np.zeros((2, len(x.shape) + 1), np.int64)
        pads[:, x.axis(axis)] = before, after
        ends = build.constant("pads", pads.ravel())
        value = scalar(build, "value", self.value)
        return build.op("Pad", x, ends, value, shape=self.infer_shape(x.shape), mode="constant")

    def _emit_following(self, build: OnnxBuilder, x: Value, followed: Value) -> Value:
        more = build.op("Sub", size_of(build, followed), size_of(build, x))
        none = build.constant("none", np.asarray([0, 0], np.int64))
        zeros = build.constant("zeros", np.zeros(len(x.shape) - 1, np.int64))
        count = (2 * (len(x.shape) + 1),)
        if self.align == "center":
            before = build.op("Div", more, build.constant("two", np.asarray([2], np.int64)))
            pads = build.op("Concat", none, before, none, build.op("Sub", more, before), shape=count, axis=0)
        else:
            pads = build.op("Concat", none, zeros, none, more, shape=count, axis=0)
        shape = self.infer_shape(x.shape, followed.shape)
        return build.op("Pad", x, pads, scalar(build, "value", self.value), shape=shape, mode="constant")

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        if self.like is not None:
            return self.forward_fitted(context, params, *inputs)
        (x,) = inputs
        if self.axis is not None:
            return self._forward_along(x)
        mode, pixels = self.mode, self._pixels(x.shape[1:])
        if mode != "constant":
            y = add_border(context, x, pixels, mode)
            return Step(y, lambda dy: Gradients((border_gradient(context, dy, pixels, mode),)))
        y = np.pad(x, ((0, 0), *pixels, (0, 0)), constant_values=self.value)
        inside = (slice(None), *(slice(at, at + size) for (at, _), size in zip(pixels, x.shape[1:-1], strict=True)))
        return Step(y, lambda dy: Gradients((dy[inside],)))

    def _forward_along(self, x: Array) -> Step:
        axis, before, after = self._along(x.shape[1:])
        pads = [(0, 0)] * x.ndim
        pads[axis + 1] = before, after
        kept = (slice(None),) * (axis + 1) + (slice(before, before + x.shape[axis + 1]),)
        return Step(np.pad(x, pads, constant_values=self.value), lambda dy: Gradients((dy[kept],)))

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        if self.like is not None:
            return self.emit_fitted(build, params, *inputs)
        (x,) = inputs
        y = build.emitted(self, inputs)
        if self.mode != "constant":
            sides, mode = self._pixels(x.example), self.mode

            def backward(dy: Tensor) -> EmittedGradients:
                return EmittedGradients((from_channels_first(emit_border_gradient(channels_first(dy), sides, mode)),))

            return EmittedStep(y, backward)
        cuts = [(0, 0)] * x.rank
        if self.axis is not None:
            axis, before, after = self._along(x.example)
            cuts[axis_of(x, axis)] = -before, -after
        else:
            for index, (before, after) in enumerate(self._pixels(x.example)):
                cuts[axis_of(x, index)] = -before, -after
        return EmittedStep(y, lambda dy: EmittedGradients((dy.pad(cuts),)))
