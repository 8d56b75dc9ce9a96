"""Parts of a tensor: crop by pixels, slice along an axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from pydantic import model_validator

from graphc.dims import Dim, Shape, bounds, format_shape, spatial_axes
from graphc.errors import RuleError
from graphc.layers.base import Layer, image, static
from graphc.layers.fields import Axis, IntPair, NaturalInt, NaturalPair, PixelPadding, PositiveInt
from graphc.layers.like import SizedLike, check_within, size_of
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.receptive_field import HERE, Reach
from graphc.types import Array, Context, Gradients, Params, Step

_TO_THE_END = 2**63 - 1
"""ONNX's word for it."""


class Crop(SizedLike):
    """An image without some of its border, or a part of it."""

    kind: ClassVar[str] = "crop"
    family: ClassVar[str] = "shape"
    positional: ClassVar[tuple[str, ...]] = ("cut",)

    cut: PixelPadding | None = None
    """Pixels to cut from every side, [vertical, horizontal], or [[top, bottom], [left, right]]."""
    size: IntPair | None = None
    """Or the size to keep."""
    offset: Literal["center"] | NaturalPair = "center"
    """Where the part that is kept begins, with size and like: center (an odd pixel more is cut after than before), or
    [vertical, horizontal] pixels from the top left."""

    @model_validator(mode="after")
    def _consistent(self) -> Crop:
        if sum(each is not None for each in (self.cut, self.size, self.like)) != 1:
            raise ValueError("crop takes either cut or size or like")
        if self.cut is not None and self.offset != "center":
            raise ValueError("offset is for size and like: cut says it for every side")
        return self

    def with_size(self, x: Shape, size: tuple[Any, Any]) -> Layer:
        check_within(self.like, size, x[:2])
        return self.model_copy(update={"size": size, "like": None})

    def infer_shape(self, *inputs: Shape) -> Shape:
        height, width, channels = image(inputs[0], self.kind)
        if self.like is not None:
            self._befores(*inputs)
            return *self.followed_size(*inputs), channels
        (top, bottom), (left, right) = self._cuts(inputs[0])
        return self._left(height, top + bottom), self._left(width, left + right), channels

    def _left(self, size: Dim, cut: int) -> Dim:
        if isinstance(size, int) and size <= cut:
            raise RuleError("G203", f"cutting {cut} of {size} pixels leaves nothing", "cut")
        return size - cut

    def _cuts(self, shape: Shape) -> tuple[tuple[int, int], tuple[int, int]]:
        if self.cut is not None:
            return self.cut
        assert self.size is not None
        height, width, _ = static(shape, self.kind)
        if self.size[0] > height or self.size[1] > width:
            wanted = format_shape(self.size)
            raise RuleError("G203", f"size={wanted} is larger than its input of {height}×{width}", "size")
        spare = height - self.size[0], width - self.size[1]
        befores = (spare[0] // 2, spare[1] // 2) if self.offset == "center" else self.offset
        for before, more, size in zip(befores, spare, (height, width), strict=True):
            if before > more:
                kept = size - more
                raise RuleError(
                    "G203", f"{kept} pixels from {before} on do not lie within the {size} there are", "offset"
                )
        top, left = befores
        return (top, spare[0] - top), (left, spare[1] - left)

    def _befores(self, *inputs: Shape) -> list[tuple[int, bool]]:
        """Of each axis the pixels cut before what is kept, and whether their number is the same for all sizes."""
        found = []
        for axis, (old, new) in enumerate(zip(inputs[0][:2], self.followed_size(*inputs), strict=True)):
            spare = old - new
            before = spare // 2 if self.offset == "center" else self.offset[axis]
            if bounds(spare if self.offset == "center" else spare - before)[0] < 0:
                message = f"like={self.like} has a size of {new}, which may be more than the {old} there are"
                raise RuleError("G205", message if self.offset == "center" else f"{message} from {before} on", "like")
            least, most = bounds(before)
            found.append((int(least), least == most))
        return found

    def reach(self, *inputs: Shape) -> tuple[Reach, ...]:
        if self.like is not None:
            return tuple(Reach(1, 1, (at,), (at,), known) for at, known in self._befores(*inputs))
        (top, _), (left, _) = self._cuts(inputs[0])
        return Reach(1, 1, (top,), (top,)), Reach(1, 1, (left,), (left,))

    def does_nothing(self, *inputs: Shape) -> bool:
        return self.like is None and self.infer_shape(*inputs) == inputs[0]

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        if self.like is not None:
            return self._emit_following(build, *inputs)
        (x,) = inputs
        (top, bottom), (left, right) = self._cuts(x.shape)
        ends = (-bottom or _TO_THE_END, -right or _TO_THE_END)
        return _slice(build, x, (top, left), ends, (2, 3), self.infer_shape(x.shape))

    def _emit_following(self, build: OnnxBuilder, x: Value, followed: Value) -> Value:
        size = size_of(build, followed)
        if self.offset == "center":
            spare = build.op("Sub", size_of(build, x), size)
            start: Value | str = build.op("Div", spare, build.constant("two", np.asarray([2], np.int64)))
            end = build.op("Add", size, start)
        else:
            start = build.constant("offset", np.asarray(self.offset, np.int64))
            end = build.op("Add", size, start) if any(self.offset) else size
        axes = build.constant("axes", np.asarray([2, 3], np.int64))
        return build.op("Slice", x, start, end, axes, shape=self.infer_shape(x.shape, followed.shape))

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        if self.like is not None:
            return self.forward_fitted(context, params, *inputs)
        (top, bottom), (left, right) = self._cuts(inputs[0].shape[1:])
        height, width = inputs[0].shape[1:3]
        return _take(inputs[0], (slice(None), slice(top, height - bottom), slice(left, width - right)))


class Slice(Layer):
    """A range of channels, rows or columns."""

    kind: ClassVar[str] = "slice"
    family: ClassVar[str] = "shape"
    positional: ClassVar[tuple[str, ...]] = ("start", "stop")

    start: NaturalInt = 0
    """The first that is kept, from 0."""
    stop: PositiveInt | None = None
    """The first that is not kept; to the end where left out."""
    axis: Axis = "channels"
    """Along which axis: channels; height or width of an image; depth too of a volume; length of a sequence; or a
    number, 0 the first behind the batch and -1 the last."""

    def infer_shape(self, *inputs: Shape) -> Shape:
        axis = along(inputs[0], self.axis, self.kind)
        size = inputs[0][axis]
        stop = size if self.stop is None else self.stop
        if isinstance(stop, int) and self.start >= stop:
            raise RuleError("G203", f"start={self.start} is not below {stop}, where the slice stops", "start")
        if isinstance(size, int) and isinstance(stop, int) and stop > size:
            raise RuleError("G203", f"stop={stop} is past the end of {self.axis}, which is {size}", "stop")
        return (*inputs[0][:axis], stop - self.start, *inputs[0][axis + 1 :])

    def reach(self, *inputs: Shape) -> tuple[Reach, ...]:
        moved = Reach(1, 1, (self.start,), (self.start,))
        axis = along(inputs[0], self.axis, self.kind)
        return tuple(moved if each == axis else HERE for each in range(len(inputs[0]) - 1))

    def does_nothing(self, *inputs: Shape) -> bool:
        return self.infer_shape(*inputs) == inputs[0]

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        x = build.in_order(inputs[0])
        stop = _TO_THE_END if self.stop is None else self.stop
        axis = x.axis(along(x.shape, self.axis, self.kind))
        return _slice(build, x, (self.start,), (stop,), (axis,), self.infer_shape(x.shape))

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        axis = 1 + along(x.shape[1:], self.axis, self.kind)
        return _take(x, (*(slice(None),) * axis, slice(self.start, self.stop)))


def along(shape: Shape, axis: str | int, kind: str) -> int:
    """The index, from 0, of an axis in one example's shape, by its name or its number from either end."""
    if isinstance(axis, int):
        if -len(shape) <= axis < len(shape):
            return axis % len(shape)
        has = f"{format_shape(shape)}, which has {-len(shape)} to {len(shape) - 1}"
        raise RuleError("G201", f"{kind} expects an axis {axis}, got {has}", "axis")
    if axis == "channels":
        if not shape:
            raise RuleError("G201", f"{kind} expects channels, got {format_shape(shape)}")
        return len(shape) - 1
    names = spatial_axes(shape)
    if axis not in names:
        found = f"{format_shape(shape)}, which has {' and '.join((*names, 'channels')) if names else 'none'}"
        raise RuleError("G201", f"{kind} expects an axis {axis}, got {found}")
    return names.index(axis)


def _slice(
    build: OnnxBuilder, x: Value, starts: Sequence[int], ends: Sequence[int], axes: Sequence[int], shape: Shape
) -> Value:
    ranges = {"starts": starts, "ends": ends, "axes": axes}
    names = [build.constant(name, np.asarray(values, np.int64)) for name, values in ranges.items()]
    return build.op("Slice", x, *names, shape=shape)


def _take(x: Array, part: tuple[slice, ...]) -> Step:
    """x[part]; the way back puts zeros around."""

    def backward(dy: Array) -> Gradients:
        dx = np.zeros_like(x)
        dx[part] = dy
        return Gradients((dx,))

    return Step(x[part], backward)
