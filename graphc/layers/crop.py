"""Parts of a tensor: crop by pixels, slice along an axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import model_validator

from graphc.dims import Dim, Shape, bounds, format_shape, spatial_axes
from graphc.errors import RuleError
from graphc.expected import Expects
from graphc.layers.base import Layer, spatial, static
from graphc.layers.fields import Axis, WholeInt
from graphc.layers.like import SizedLike, check_within, size_of, spatial_axes_of
from graphc.layers.per_axis import AxisOffsets, AxisSizes, SidePadding, both_sides, per_axis
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.receptive_field import HERE, Reach
from graphc.training_graph.step import EmittedGradients, EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor, axis_of
from graphc.types import Array, Context, Gradients, Params, Step

_TO_THE_END = 2**63 - 1
"""ONNX's word for it."""


class Crop(SizedLike):
    """An image, a sequence or a volume without some of its border, or a part of it."""

    kind: ClassVar[str] = "crop"
    family: ClassVar[str] = "shape"
    positional: ClassVar[tuple[str, ...]] = ("cut",)

    cut: SidePadding | None = None
    """Pixels to cut from every side; [vertical, horizontal] or [[top, bottom], [left, right]] of an image, a value or
    [before, after] for each axis of a volume, [before, after] of a sequence."""
    size: Annotated[
        AxisSizes | None,
        Expects("a whole number of at least 1 for all axes, or a list of one for each; like: LAYER follows open sizes"),
    ] = None
    """Or the size to keep: one number for all axes, or one for each."""
    offset: Literal["center"] | AxisOffsets = "center"
    """Where the part that is kept begins, with size and like: center (an odd pixel more is cut after than before), or
    pixels from the first on: [vertical, horizontal] from the top left."""

    @model_validator(mode="after")
    def _consistent(self) -> Crop:
        if sum(each is not None for each in (self.cut, self.size, self.like)) != 1:
            raise ValueError("crop takes either cut or size or like")
        if self.cut is not None and self.offset != "center":
            raise ValueError("offset is for size and like: cut says it for every side")
        return self

    def with_size(self, x: Shape, size: tuple[Any, ...]) -> Layer:
        check_within(self.like, size, x[:-1])
        return self.model_copy(update={"size": size, "like": None})

    def infer_shape(self, *inputs: Shape) -> Shape:
        sizes, channels = spatial(inputs[0], self.kind)
        if self.like is not None:
            self._befores(*inputs)
            return *self.followed_size(*inputs), channels
        cuts = self._cuts(inputs[0])
        return *(self._left(size, sum(cut)) for size, cut in zip(sizes, cuts, strict=True)), channels

    def _left(self, size: Dim, cut: int) -> Dim:
        if isinstance(size, int) and size <= cut:
            raise RuleError("G203", f"cutting {cut} of {size} pixels leaves nothing", "cut")
        return size - cut

    def _cuts(self, shape: Shape) -> tuple[tuple[int, int], ...]:
        if self.cut is not None:
            return both_sides(self.cut, shape, "cut")
        assert self.size is not None
        sizes, kept = static(shape, self.kind)[:-1], per_axis(self.size, shape, "size")
        if any(small > large for small, large in zip(kept, sizes, strict=True)):
            message = f"size={format_shape(kept)} is larger than its input of {format_shape(sizes)}"
            raise RuleError("G203", message, "size")
        cuts = []
        for before, size, small in zip(self._offsets(shape), sizes, kept, strict=True):
            spare = size - small
            start = spare // 2 if before is None else before
            if start > spare:
                message = f"{small} pixels from {start} on do not lie within the {size} there are"
                raise RuleError("G203", message, "offset")
            cuts.append((start, spare - start))
        return tuple(cuts)

    def _offsets(self, shape: Shape) -> tuple[int | None, ...]:
        """Where the part begins along each axis; None where it lies in the middle."""
        if self.offset == "center":
            return (None,) * (len(shape) - 1)
        return per_axis(self.offset, shape, "offset")

    def _befores(self, *inputs: Shape) -> list[tuple[int, bool]]:
        """Of each axis the pixels cut before what is kept, and whether their number is the same for all sizes."""
        found = []
        offsets = self._offsets(inputs[0])
        for old, new, offset in zip(inputs[0][:-1], self.followed_size(*inputs), offsets, strict=True):
            spare = old - new
            before = spare // 2 if offset is None else offset
            if bounds(spare if offset is None else spare - before)[0] < 0:
                message = f"like={self.like} has a size of {new}, which may be more than the {old} there are"
                raise RuleError("G205", message if offset is None else f"{message} from {before} on", "like")
            least, most = bounds(before)
            found.append((int(least), least == most))
        return found

    def reach(self, *inputs: Shape) -> tuple[Reach, ...]:
        if self.like is not None:
            return tuple(Reach(1, 1, (at,), (at,), known) for at, known in self._befores(*inputs))
        return tuple(Reach(1, 1, (before,), (before,)) for before, _ in self._cuts(inputs[0]))

    def does_nothing(self, *inputs: Shape) -> bool:
        return self.like is None and self.infer_shape(*inputs) == inputs[0]

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        x = build.channels_first(inputs[0])
        if self.like is not None:
            return self._emit_following(build, x, build.channels_first(inputs[1]))
        cuts = self._cuts(x.shape)
        ends = [-after or _TO_THE_END for _, after in cuts]
        starts = [before for before, _ in cuts]
        return _slice(build, x, starts, ends, spatial_axes_of(x), self.infer_shape(x.shape))

    def _emit_following(self, build: OnnxBuilder, x: Value, followed: Value) -> Value:
        size = size_of(build, followed)
        offsets = self._offsets(x.shape)
        if self.offset == "center":
            spare = build.op("Sub", size_of(build, x), size)
            start: Value | str = build.op("Div", spare, build.constant("two", np.asarray([2], np.int64)))
            end = build.op("Add", size, start)
        else:
            start = build.constant("offset", np.asarray(offsets, np.int64))
            end = build.op("Add", size, start) if any(offsets) else size
        axes = build.constant("axes", np.asarray(spatial_axes_of(x), np.int64))
        return build.op("Slice", x, start, end, axes, shape=self.infer_shape(x.shape, followed.shape))

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        if self.like is not None:
            return self.forward_fitted(context, params, *inputs)
        (x,) = inputs
        kept = [
            slice(before, size - after)
            for size, (before, after) in zip(x.shape[1:-1], self._cuts(x.shape[1:]), strict=True)
        ]
        return _take(x, (slice(None), *kept))

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        if self.like is not None:
            return self.emit_fitted(build, params, *inputs)
        (x,) = inputs
        return _emit_take(build.emitted(self, inputs), x, [*self._cuts(x.example), (0, 0)])


class Slice(Layer):
    """A range of channels, rows or columns."""

    kind: ClassVar[str] = "slice"
    family: ClassVar[str] = "shape"
    positional: ClassVar[tuple[str, ...]] = ("start", "stop")

    start: WholeInt = 0
    """The first that is kept, from 0; below 0 counted from the end, as in Python: -1 is the last."""
    stop: WholeInt | None = None
    """The first that is not kept, from 0 or, below 0, from the end; to the end where left out."""
    axis: Axis = "channels"
    """Along which axis: channels; height or width of an image; depth too of a volume; length of a sequence; or a
    number, 0 the first behind the batch and -1 the last."""

    def _bounds(self, size: Dim) -> tuple[Dim, Dim]:
        """The first that is kept and the first that is not, both from 0."""
        start = self.start if self.start >= 0 else size + self.start
        stop = size if self.stop is None else self.stop if self.stop >= 0 else size + self.stop
        for name, place in (("start", start), ("stop", stop)):
            if isinstance(place, int) and place < 0:
                message = f"{name}={getattr(self, name)} is before the first of {self.axis}, which is {size}"
                raise RuleError("G203", message, name)
        if isinstance(size, int) and isinstance(stop, int) and stop > size:
            raise RuleError("G203", f"stop={stop} is past the end of {self.axis}, which is {size}", "stop")
        if bounds(stop - start)[1] <= 0:
            end = size if self.stop is None else self.stop
            raise RuleError("G203", f"start={self.start} is not below {end}, where the slice stops", "start")
        return start, stop

    def infer_shape(self, *inputs: Shape) -> Shape:
        axis = along(inputs[0], self.axis, self.kind)
        start, stop = self._bounds(inputs[0][axis])
        return (*inputs[0][:axis], stop - start, *inputs[0][axis + 1 :])

    def reach(self, *inputs: Shape) -> tuple[Reach, ...]:
        axis = along(inputs[0], self.axis, self.kind)
        start, _ = self._bounds(inputs[0][axis])
        least = max(int(bounds(start)[0]), 0)
        moved = Reach(1, 1, (least,), (least,), isinstance(start, int))
        return tuple(moved if each == axis else HERE for each in range(len(inputs[0]) - 1))

    def does_nothing(self, *inputs: Shape) -> bool:
        return self.infer_shape(*inputs) == inputs[0]

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        x = build.in_order(inputs[0])
        index = along(x.shape, self.axis, self.kind)
        start, stop = self._bounds(x.shape[index])
        starts = (start if isinstance(start, int) else self.start,)
        ends = (_TO_THE_END if self.stop is None else stop if isinstance(stop, int) else self.stop,)
        return _slice(build, x, starts, ends, (x.axis(index),), self.infer_shape(x.shape))

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        axis = 1 + along(x.shape[1:], self.axis, self.kind)
        return _take(x, (*(slice(None),) * axis, slice(self.start, self.stop)))

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        (x,) = inputs
        index = along(x.example, self.axis, self.kind)
        start, stop = self._bounds(x.example[index])
        assert isinstance(start, int)
        assert isinstance(stop, int)
        cuts = [(0, 0)] * len(x.example)
        cuts[index] = start, x.example[index] - stop
        return _emit_take(build.emitted(self, inputs), x, cuts)


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


def _emit_take(y: Tensor, x: Tensor, cuts: Sequence[tuple[int, int]]) -> EmittedStep:
    """y is x without `cuts` along each axis of an example; the way back puts zeros around."""
    pads = [(0, 0)] * x.rank
    for index, cut in enumerate(cuts):
        pads[axis_of(x, index)] = cut
    return EmittedStep(y, lambda dy: EmittedGradients((dy.pad(pads),)))
