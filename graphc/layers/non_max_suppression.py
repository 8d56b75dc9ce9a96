"""Of many boxes the best, without those that overlap a better one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

from pydantic import Field

from graphc.dims import Shape, format_shape
from graphc.errors import RuleError
from graphc.kernels.boxes import non_max_suppression
from graphc.layers.base import Layer, channels, scalar
from graphc.layers.fields import Bool, Fraction, PositiveInt
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.training_graph.step import EmittedGradients, EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor
from graphc.types import Array, Context, Gradients, Params, Step

COLUMNS = 6
"""Left, top, right, bottom, score, class."""
NO_CLASS = -1
"""The class of a row that holds nothing."""


class NonMaxSuppression(Layer):
    """The best boxes of an image, best first: left, top, right, bottom, score and class in a row each. Rows that are
    left over are 0 with the class -1. Reads a row with left, top, right, bottom and a score a class for each box.

    It is for inference: in training all rows are left over, and no gradient goes through.
    """

    kind: ClassVar[str] = "non_max_suppression"
    family: ClassVar[str] = "detection"
    sees_everything: ClassVar[bool] = True
    full_precision: ClassVar[str] = "ONNX's NonMaxSuppression reads float32 alone"

    detections: PositiveInt = 100
    """Rows of the output: as many boxes as an image may have."""
    score_threshold: Fraction = 0.05
    """A box whose score is not above it is dropped."""
    iou_threshold: Annotated[float, Field(strict=True, gt=0, lt=1)] = 0.5
    """So is one that overlaps a better box of its class by more (intersection over union). Runtimes differ where both
    are equal."""
    class_agnostic: Bool = False
    """A box has its best class alone, and is dropped for a better one of any class."""

    @property
    def keeps(self) -> int:
        return self.detections

    def infer_shape(self, *inputs: Shape) -> Shape:
        if len(inputs[0]) != 2:
            expected = "rows of a box and its scores, such as decode_distances gives"
            raise RuleError("G208", f"{self.kind} expects {expected}, got {format_shape(inputs[0])}")
        columns = channels(inputs[0], self.kind)
        if columns < 5:
            raise RuleError("G208", f"{self.kind} expects 4 numbers of a box and a score a class, got {columns}")
        return self.detections, COLUMNS

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        """Scores that are kept into an array of -1, of which the best are taken: so there are always as many rows, in
        their order, whatever the runtime's operator gives and in which order."""
        x = build.channels_last(inputs[0])
        count, columns = x.shape[0], channels(x.shape, self.kind)

        def whole(name: str, *values: int) -> str:
            return build.constant(name, np.array(values, np.int64))

        def part(start: int, end: int) -> Value:
            ends = whole(f"column/{start}", start), whole(f"column/{end}", end), whole("axis", 2)
            return build.op("Slice", x, *ends, shape=(count, end - start))

        boxes, scores = part(0, 4), build.op("Transpose", part(4, columns), shape=(columns - 4, count), perm=[0, 2, 1])
        best: Value | None = None
        if self.class_agnostic:
            best = build.op("ArgMax", scores, shape=(count,), axis=1, keepdims=0)
            scores = build.op("ReduceMax", scores, shape=(1, count), axes=[1], keepdims=1)
        kept = build.op(
            "NonMaxSuppression",
            boxes,
            scores,
            whole("most", self.detections),
            build.constant("iou_threshold", np.array([self.iou_threshold], np.float32)),
            build.constant("score_threshold", np.array([self.score_threshold], np.float32)),
        )
        zeros = build.op("Mul", scores, scalar(build, "zero", 0.0))
        none = build.op("Sub", zeros, scalar(build, "one", 1.0))
        found = build.op("ScatterND", none, kept, build.op("GatherND", scores, kept), shape=scores.shape)
        size = count * (1 if self.class_agnostic else columns - 4)
        flat = build.op(
            "Reshape", found, whole("flat", *((-1, size) if isinstance(size, int) else (0, -1))), shape=(size,)
        )
        if not isinstance(size, int) or size < self.detections:  # what there may be less of than rows
            more = whole("more", 0, 0, 0, self.detections)
            nothing = scalar(build, "nothing", -1.0)
            flat = build.op("Pad", flat, more, nothing, shape=(size + self.detections,), mode="constant")
        return self._best(build, boxes, flat, best)

    def _best(self, build: OnnxBuilder, boxes: Value, scores: Value, best: Value | None) -> Value:
        """The rows of the best of scores [N, classes * boxes], behind which there may be more of -1; `best` is each
        box's class where it is agnostic."""
        most, columns = self.detections, (self.detections, 1)
        k = build.constant("most", np.array([most], np.int64))
        found, at = build.op_several("TopK", scores, k, shapes=((most,), (most,)), axis=1, largest=1, sorted=1)
        column = build.constant("column", np.array([-1, most, 1], np.int64))

        def as_column(value: Value) -> Value:
            return build.op("Reshape", value, column, shape=columns)

        boxes_each: str | Value
        if isinstance(count := boxes.shape[0], int):
            boxes_each = build.constant("boxes", np.array(count, np.int64))
        else:
            ends = [build.constant(f"count/{at}", np.array([at], np.int64)) for at in (1, 2)]
            boxes_each = build.op("Slice", build.op("Shape", boxes, shape=(3,)), *ends, shape=(1,))
        kind = build.op("Div", at, boxes_each)
        place = build.op("Sub", at, build.op("Mul", kind, boxes_each))
        if best is not None:
            kind = build.op("GatherND", best, as_column(place), shape=(most,), batch_dims=1)
        corners = build.op("GatherND", boxes, as_column(place), shape=(most, 4), batch_dims=1)
        score = as_column(found)
        to_float = 1  # onnx.TensorProto.FLOAT
        there = build.op("Cast", build.op("Greater", score, scalar(build, "zero", 0.0)), to=to_float)
        one = scalar(build, "one", 1.0)
        numbered = build.op("Add", build.op("Cast", as_column(kind), to=to_float), one)
        kinds = build.op("Sub", build.op("Mul", numbered, there), one)
        parts = build.op("Mul", corners, there), build.op("Mul", score, there), kinds
        return build.op("Concat", *parts, shape=(most, COLUMNS), axis=2)

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        y = np.zeros((len(x), self.detections, COLUMNS), x.dtype)
        y[..., -1] = NO_CLASS
        if not context.training:
            for row, found in zip(y, x, strict=True):
                self._fill(row, found)
        return Step(y, lambda dy: Gradients((np.zeros_like(x),)))

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        (x,) = inputs
        if not build.training:
            return EmittedStep(build.emitted(self, inputs), lambda dy: EmittedGradients((None,)))
        y = np.zeros((build.batch, self.detections, COLUMNS), np.float32)
        y[..., -1] = NO_CLASS
        zeros = np.zeros(x.shape, np.float32)
        return EmittedStep(build.tensor(y), lambda dy: EmittedGradients((build.tensor(zeros),)))

    def _fill(self, y: Array, x: Array) -> None:
        """The rows [detections, 6] of an image, in place, of its boxes and scores [A, 4 + K]."""
        scores = x[:, 4:].T
        best = scores.argmax(axis=0)
        if self.class_agnostic:
            scores = scores.max(axis=0, keepdims=True)
        classes, places = non_max_suppression(
            x[:, :4], scores, self.score_threshold, self.iou_threshold, self.detections
        )
        rows = slice(len(places))
        y[rows, :4], y[rows, 4] = x[places, :4], scores[classes, places]
        y[rows, 5] = best[places] if self.class_agnostic else classes
