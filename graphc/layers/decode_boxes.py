"""Boxes of a detector's maps: what its numbers stand for, in pixels, with the probability of every class."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, TypeAlias

from pydantic import BeforeValidator, Field

from graphc.dims import Dim, Shape, bounds, is_static
from graphc.errors import RuleError
from graphc.expected import Expects
from graphc.kernels.box_coding import (
    MOST_GROWTH,
    BoxCoder,
    DeltaCoder,
    DistanceCoder,
    anchors_at,
    cells,
    class_probabilities,
)
from graphc.layers.base import Layer, image, scalar, static
from graphc.layers.fields import Bool, PositiveInt, PositiveNumber
from graphc.layers.open_places import emit_count, emit_ones
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.training_graph.boxes import emit_probabilities
from graphc.training_graph.step import EmittedGradients, EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor, between_layers, channels_last, concat
from graphc.types import Array, Context, Gradients, Params, Step


def _tuples(value: Any) -> Any:
    """Lists within lists as tuples."""
    return tuple(map(_tuples, value)) if isinstance(value, (list, tuple)) else value


Strides: TypeAlias = Annotated[
    tuple[PositiveInt, ...], Field(min_length=1), BeforeValidator(_tuples), Expects("a list of whole numbers, [8, 16]")
]
Anchors: TypeAlias = Annotated[
    tuple[tuple[tuple[PositiveNumber, PositiveNumber], ...], ...],
    Field(min_length=1),
    BeforeValidator(_tuples),
    Expects("for each map a list of [width, height], such as [[[16, 16], [24, 12]], [[48, 48]]]"),
]


class DecodeBoxes(Layer):
    """Any number of maps, each with the numbers of all boxes at a pixel, and behind them those of all classes."""

    family: ClassVar[str] = "detection"
    inputs_at_most: ClassVar[int | None] = None
    sees_everything: ClassVar[bool] = True
    full_precision: ClassVar[str] = "float16 rounds a pixel's place beyond 512 to half pixels"

    classes: PositiveInt
    """How many classes are told apart, the background not counted."""
    background: Bool = False
    """Whether a score for what is none of the classes stands before theirs: probabilities are then of all together
    (softmax), as in SSD; else of each class for itself (sigmoid)."""
    strides: Strides
    """Pixels of the network's input from one pixel of a map to the next, for each map."""

    @property
    def each(self) -> tuple[int, ...]:
        """Boxes at a pixel, of each map."""
        return (1,) * len(self.strides)

    @property
    def numbers(self) -> int:
        """That stand for a box."""
        return 4

    @property
    def scores(self) -> int:
        """Numbers that stand for classes, and for none of them."""
        return self.classes + self.background

    @property
    def has_background(self) -> bool:
        return self.background

    @property
    def num_classes(self) -> int:
        return self.classes

    @property
    def steps(self) -> tuple[int, ...]:
        return self.strides

    def coder(self, sizes: Sequence[tuple[int, int]]) -> BoxCoder:
        """What the numbers at each place of maps of these sizes (height, width) mean."""
        raise NotImplementedError(self.kind)

    def infer_shape(self, *inputs: Shape) -> Shape:
        count: Dim = 0
        for (h, w), each in zip(self._maps(*inputs), self.each, strict=True):
            count += h * w * each
        return count, 4 + self.classes

    def sizes(self, *inputs: Shape) -> list[tuple[int, int]]:
        """Height and width of each map, of maps whose sizes are known."""
        return [(h, w) for h, w in (static(each, self.kind) for each in self._maps(*inputs))]

    def _maps(self, *shapes: Shape) -> list[tuple[Dim, Dim]]:
        """Height and width of each map; an error where maps, strides and classes do not fit together."""
        for shape in shapes:
            image(shape, self.kind)
        if len(shapes) != len(self.strides):
            found = f"{len(self.strides)} for {len(shapes)} maps"
            raise RuleError("G208", f"strides expects a number for each map, got {found}", "strides")
        for number, ((_, _, channels), each) in enumerate(zip(shapes, self.each, strict=True), start=1):
            if channels != (expected := each * (self.numbers + self.scores)):
                behind = " + 1 of the background" if self.background else ""
                made = f"{each} × ({self.numbers} numbers of a box + {self.classes} classes{behind})"
                message = f"{self.kind} expects {expected} channels in map {number}, {made}, got {channels}"
                raise RuleError("G208", message)
        for axis, what in enumerate(("height", "width")):
            sides = [shape[axis] for shape in shapes]
            ends = [side * stride for side, stride in zip(sides, self.strides, strict=True)]
            starts = [(side - 1) * stride for side, stride in zip(sides, self.strides, strict=True)]
            if any(bounds(end - start)[0] <= 0 for end in ends for start in starts):
                found = f"{' and '.join(map(str, sides))} pixels at strides {' and '.join(map(str, self.strides))}"
                code = "G208" if is_static(tuple(sides)) else "G205"
                raise RuleError(code, f"{self.kind} expects maps of one image: {what} is {found}", "strides")
        return [(shape[0], shape[1]) for shape in shapes]

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        if not all(is_static(value.shape) for value in inputs):
            return self._emit_open(build, inputs)
        sizes = self.sizes(*(value.shape for value in inputs))
        raw, scores = [], []
        for number, (value, (h, w), each) in enumerate(zip(inputs, sizes, self.each, strict=True)):
            last, split = build.channels_last(value), each * self.numbers
            raw.append(self._rows(build, last, 0, split, (h * w * each, self.numbers), f"{number}_boxes"))
            end = split + each * self.scores
            scores.append(self._rows(build, last, split, end, (h * w * each, self.scores), f"{number}_classes"))
        count, columns = self.infer_shape(*(value.shape for value in inputs))
        boxes = self.emit_decoded(build, _joined(build, raw, (count, self.numbers)), sizes)
        probabilities = self._emit_probabilities(build, _joined(build, scores, (count, self.scores)))
        return build.op("Concat", boxes, probabilities, shape=(count, columns), axis=2)

    def _emit_open(self, build: OnnxBuilder, inputs: Sequence[Value]) -> Value:
        """For maps whose sizes are known when it runs: each is decoded by itself."""
        boxes, scores = [], []
        for number, (value, each) in enumerate(zip(inputs, self.each, strict=True)):
            x = build.channels_first(value)
            h, w, _ = x.shape
            count, split = h * w * each, each * self.numbers
            last, end = build.channels_last(x), split + each * self.scores
            raw = self._rows(build, last, 0, split, (count, self.numbers), f"{number}_boxes")
            boxes.append(self.emit_decoded_at(build, raw, self._emit_middles(build, x, number), number))
            scores.append(self._rows(build, last, split, end, (count, self.scores), f"{number}_classes"))
        count, columns = self.infer_shape(*(value.shape for value in inputs))
        probabilities = self._emit_probabilities(build, _joined(build, scores, (count, self.scores)))
        return build.op("Concat", _joined(build, boxes, (count, 4)), probabilities, shape=(count, columns), axis=2)

    def _emit_middles(self, build: OnnxBuilder, x: Value, number: int) -> Value:
        """x and y of the middle of each cell of a map, N C H W, in pixels: [N, H*W, 2]."""
        (h, w, _), ones = x.shape, emit_ones(build, x)
        places = build.op("Concat", *(emit_count(build, ones, axis) for axis in (3, 2)), shape=(h, w, 2), axis=1)
        middles = build.op("Add", build.channels_last(places), scalar(build, "half", 0.5))
        pixels = build.op("Mul", middles, scalar(build, f"stride_{number}", self.strides[number]))
        return build.op("Reshape", pixels, build.constant("pairs", np.array([0, -1, 2], np.int64)), shape=(h * w, 2))

    def _emit_probabilities(self, build: OnnxBuilder, scores: Value) -> Value:
        """Of each class, [N, A, K], of the scores [N, A, K] or, behind the background's, [N, A, 1 + K]."""
        if not self.background:
            return build.op("Sigmoid", scores)
        ends = [build.constant(f"real/{at}", np.array([at], np.int64)) for at in (1, self.scores, 2)]
        return build.op("Slice", build.op("Softmax", scores, axis=2), *ends, shape=(scores.shape[0], self.classes))

    @staticmethod
    def _rows(build: OnnxBuilder, last: Value, start: int, end: int, shape: tuple[Dim, int], name: str) -> Value:
        """Channels from `start` to `end` of a map, N H W C, as one row a place."""
        ends = [
            build.constant(f"{name}/{key}", np.array([at], np.int64)) for key, at in (("start", start), ("end", end))
        ]
        part = build.op("Slice", last, *ends, build.constant("channels", np.array([3], np.int64)))
        count, columns = shape
        rows = (-1, count, columns) if isinstance(count, int) else (0, -1, columns)
        return build.op("Reshape", part, build.constant(f"{name}/shape", np.array(rows, np.int64)), shape=shape)

    def emit_decoded(self, build: OnnxBuilder, raw: Value, sizes: Sequence[tuple[int, int]]) -> Value:
        """Boxes [N, A, 4] of the numbers [N, A, …] of all places."""
        raise NotImplementedError(self.kind)

    def emit_decoded_at(self, build: OnnxBuilder, raw: Value, middles: Value, number: int) -> Value:
        """Boxes [N, a, 4] of the numbers [N, a, …] of the map with this number, whose cells have these middles
        [N, H*W, 2]."""
        raise NotImplementedError(self.kind)

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        coder = self.coder(self.sizes(*(x.shape[1:] for x in inputs)))
        rows = self.rows(*inputs)
        boxes, decode_back = coder.decode(rows[..., : self.numbers])
        probabilities, back = class_probabilities(rows[..., self.numbers :], self.background)

        def backward(dy: Array) -> Gradients:
            slopes = back(dy[..., 4:])
            dx = np.concatenate([decode_back(dy[..., :4]), slopes], axis=-1)
            return Gradients(tuple(self.maps(dx, *(x.shape for x in inputs))))

        return Step(np.concatenate([boxes, probabilities], axis=-1), backward)

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        coder = self.coder(self.sizes(*(x.example for x in inputs)))
        raw, scores = self.emit_rows(*inputs)
        boxes, decode_back = coder.emit(raw)
        probabilities, back = emit_probabilities(scores, self.background)

        def backward(dy: Tensor) -> EmittedGradients:
            given, slopes = dy.split([4, self.classes], 2)
            return EmittedGradients(tuple(self.emit_maps(decode_back(given), back(slopes), *inputs)))

        return EmittedStep(concat([boxes, probabilities], axis=2), backward)

    def emit_rows(self, *maps: Tensor) -> tuple[Tensor, Tensor]:
        boxes, scores = list[Tensor](), list[Tensor]()
        for x, each in zip(maps, self.each, strict=True):
            split = [each * self.numbers, each * self.scores]
            for found, part, width in zip((boxes, scores), channels_last(x).split(split, 3), split, strict=True):
                found.append(part.reshape(x.shape[0], -1, width // each))
        return concat(boxes, axis=1), concat(scores, axis=1)

    def emit_maps(self, boxes: Tensor, scores: Tensor, *maps: Tensor) -> list[Tensor]:
        counts = [math.prod(x.shape[2:]) * each for x, each in zip(maps, self.each, strict=True)]
        pairs = zip(boxes.split(counts, 1), scores.split(counts, 1), strict=True)
        return [
            between_layers(concat([part.reshape(x.shape[0], *x.shape[2:], -1) for part in pair], axis=3))
            for pair, x in zip(pairs, maps, strict=True)
        ]

    def rows(self, *maps: Array) -> Array:
        """The numbers [N, A, width + scores] at each place, box first, of maps [N, h, w, …]."""
        found = []
        for x, each in zip(maps, self.each, strict=True):
            split = each * self.numbers
            boxes = x[..., :split].reshape(len(x), -1, self.numbers)
            found.append(np.concatenate([boxes, x[..., split:].reshape(len(x), -1, self.scores)], axis=-1))
        return np.concatenate(found, axis=1)

    def maps(self, rows: Array, *shapes: tuple[int, ...]) -> list[Array]:
        """The maps, of these shapes [N, h, w, …], whose `rows` [N, A, …] are these."""
        found, start = [], 0
        for shape, each in zip(shapes, self.each, strict=True):
            some = rows[:, start : start + shape[1] * shape[2] * each]
            start += some.shape[1]
            boxes = some[..., : self.numbers].reshape(*shape[:3], -1)
            found.append(np.concatenate([boxes, some[..., self.numbers :].reshape(*shape[:3], -1)], axis=-1))
        return found


class DecodeDistances(DecodeBoxes):
    """Boxes without anchors: each pixel of a map predicts how far left, top, right and bottom are from its middle, in
    strides. Gives left, top, right, bottom in pixels and the probability of every class, a row a pixel."""

    kind: ClassVar[str] = "decode_distances"

    bins: PositiveInt = 1
    """1: a distance is a number; else a distribution over 0 to bins - 1, of which the mean is taken: 16 in YOLOv8."""

    @property
    def numbers(self) -> int:
        return 4 * self.bins

    def coder(self, sizes: Sequence[tuple[int, int]]) -> DistanceCoder:
        return DistanceCoder(*cells(sizes, self.strides, self.each), self.bins)

    def emit_decoded(self, build: OnnxBuilder, raw: Value, sizes: Sequence[tuple[int, int]]) -> Value:
        coder = self.coder(sizes)
        raw = self._emit_expected(build, raw)
        signed = build.constant("signed_strides", coder.signed_strides[None].astype(np.float32))
        middles = build.constant("middles", np.tile(coder.centers, 2)[None].astype(np.float32))
        return build.op("Add", build.op("Mul", raw, signed), middles)

    def emit_decoded_at(self, build: OnnxBuilder, raw: Value, middles: Value, number: int) -> Value:
        stride, (count, _) = float(self.strides[number]), raw.shape
        signed = build.constant(f"signed_{number}", np.array([[[-stride, -stride, stride, stride]]], np.float32))
        corners = build.op("Concat", middles, middles, shape=(count, 4), axis=2)
        return build.op("Add", build.op("Mul", self._emit_expected(build, raw), signed), corners)

    def _emit_expected(self, build: OnnxBuilder, raw: Value) -> Value:
        """The distances [N, A, 4] of the numbers [N, A, 4*bins]."""
        if self.bins == 1:
            return raw
        count, fixed = raw.shape[0], isinstance(raw.shape[0], int)
        each, sides = ((-1, 4 * count), (-1, count)) if fixed else ((0, -1), (0, -1))
        named = [
            build.constant(name, np.array(shape, np.int64))
            for name, shape in (("each", (*each, self.bins)), ("sides", (*sides, 4)))
        ]
        shares = build.op("Softmax", build.op("Reshape", raw, named[0], shape=(4 * count, self.bins)), axis=2)
        places = build.constant("places", np.arange(self.bins, dtype=np.float32)[:, None])
        means = build.op("MatMul", shares, places, shape=(4 * count, 1))
        return build.op("Reshape", means, named[1], shape=(count, 4))


class DecodeDeltas(DecodeBoxes):
    """Boxes from anchors: each pixel of a map predicts for every anchor around it how its middle is shifted and how its
    sides grow. Gives left, top, right, bottom in pixels and the probability of every class, a row an anchor."""

    kind: ClassVar[str] = "decode_deltas"

    anchors: Anchors
    """For each map the [width, height], in pixels, of the anchors at each of its pixels."""
    variances: Annotated[
        tuple[PositiveNumber, PositiveNumber, PositiveNumber, PositiveNumber],
        BeforeValidator(_tuples),
        Expects("four numbers: of x, y, width and height"),
    ] = (1.0, 1.0, 1.0, 1.0)
    """Factors of the shifts and the growths: 0.1, 0.1, 0.2, 0.2 in SSD."""

    @property
    def each(self) -> tuple[int, ...]:
        return tuple(map(len, self.anchors))

    def _maps(self, *shapes: Shape) -> list[tuple[Dim, Dim]]:
        if len(self.anchors) != len(self.strides):
            found = f"{len(self.anchors)} for {len(self.strides)} strides"
            raise RuleError("G208", f"anchors expects a list for each map, got {found}", "anchors")
        if not all(self.anchors):
            raise RuleError("G208", "anchors expects one or more for each map, got none", "anchors")
        return super()._maps(*shapes)

    def coder(self, sizes: Sequence[tuple[int, int]]) -> DeltaCoder:
        anchors = [np.array(some, np.float64) for some in self.anchors]
        return DeltaCoder(anchors_at(sizes, self.strides, anchors), self.variances)

    def emit_decoded(self, build: OnnxBuilder, raw: Value, sizes: Sequence[tuple[int, int]]) -> Value:
        coder = self.coder(sizes)
        middles = build.constant("middles", coder.centers[None].astype(np.float32))
        return self._emit_boxes(build, raw, middles, coder.sides)

    def emit_decoded_at(self, build: OnnxBuilder, raw: Value, middles: Value, number: int) -> Value:
        """As `emit_decoded`, with an axis for the anchors at a cell."""
        (count, _), (cells, _), sides = raw.shape, middles.shape, np.array(self.anchors[number])

        def reshaped(x: Value, *shape: Dim) -> Value:
            named = build.constant(f"shape_{shape[-2]}_{shape[-1]}", np.array([0, -1, *shape[1:]], np.int64))
            return build.op("Reshape", x, named, shape=shape, channels_first=False)

        around = reshaped(raw, cells, len(sides), 4)
        boxes = self._emit_boxes(build, around, reshaped(middles, cells, 1, 2), sides, f"_{number}")
        return build.op("Reshape", boxes, build.constant("rows", np.array([0, -1, 4], np.int64)), shape=(count, 4))

    def _emit_boxes(self, build: OnnxBuilder, raw: Value, middles: str | Value, sides: Array, mark: str = "") -> Value:
        """Boxes [N, …, 4] of the numbers [N, …, 4] around these middles, of anchors with these sides [A, 2]; `mark`
        tells the constants of one map from another's."""
        places, axis = raw.shape[:-1], len(raw.shape)

        def numbers(name: str, values: Array) -> str:
            return build.constant(f"{name}{mark}", np.asarray(values, np.float32))

        def columns(start: int) -> Value:
            ends = [build.constant(f"columns/{at}", np.array([at], np.int64)) for at in (start, start + 2, axis)]
            return build.op("Slice", raw, *ends, shape=(*places, 2))

        scaled = build.op("Mul", columns(0), numbers("shift", sides[None] * self.variances[:2]))
        around = build.op("Add", scaled, middles)
        logarithms = build.op("Mul", columns(2), numbers("growth", np.array([[self.variances[2:]]])))
        bounded = build.op("Min", logarithms, numbers("most_growth", np.array(MOST_GROWTH)))
        halves = build.op("Mul", build.op("Exp", bounded), numbers("halves", sides[None] / 2))
        corners = build.op("Sub", around, halves), build.op("Add", around, halves)
        return build.op("Concat", *corners, shape=(*places, 4), axis=axis)


def _joined(build: OnnxBuilder, parts: Sequence[Value], shape: tuple[Dim, int]) -> Value:
    """Rows one after the other."""
    return parts[0] if len(parts) == 1 else build.op("Concat", *parts, shape=shape, axis=1)
