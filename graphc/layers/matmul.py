"""The matrix product of two inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from graphc.dims import Dim, Shape, format_shape, is_static
from graphc.errors import RuleError
from graphc.layers.base import elements, static
from graphc.layers.broadcast import broadcast, summed
from graphc.layers.fields import Bool
from graphc.layers.merge import Merge
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.training_graph.broadcast import emit_summed
from graphc.training_graph.step import EmittedGradients, EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor, between_layers, channels_last, swapped
from graphc.types import Array, Context, Gradients, Params, Step


class Matmul(Merge):
    """The matrix product of the last two axes of two inputs; axes before them are compared as merges compare them."""

    kind: ClassVar[str] = "matmul"
    inputs_at_least: ClassVar[int] = 2
    inputs_at_most: ClassVar[int | None] = 2
    sees_everything: ClassVar[bool] = True
    donates_output: ClassVar[bool] = True

    transpose_a: Bool = False
    """Whether the first input's last two axes are exchanged before."""
    transpose_b: Bool = False
    """Whether the second's are."""

    def infer_shape(self, *inputs: Shape) -> Shape:
        if len(inputs[0]) != len(inputs[1]) or len(inputs[0]) < 2:
            got = " and ".join(format_shape(shape) for shape in inputs)
            raise RuleError("G202", f"{self.kind} expects two inputs of equally many axes, at least 2, got {got}")
        rows, _, columns = self._sizes(*inputs)
        return broadcast(self.kind, [(*shape[:-2], rows, columns) for shape in inputs])

    def _sizes(self, one: Shape, other: Shape) -> tuple[Dim, Dim, Dim]:
        """Rows, what is summed over, and columns."""
        (rows, inner), (same, columns) = one[-2:], other[-2:]
        if self.transpose_a:
            rows, inner = inner, rows
        if self.transpose_b:
            same, columns = columns, same
        if inner != same:
            how = ", ".join(name for name in ("transpose_a", "transpose_b") if getattr(self, name))
            product = f"{format_shape((rows, inner))} times {format_shape((same, columns))}"
            message = f"{self.kind} expects as many columns of the first as rows of the second, got {product}"
            code = "G202" if is_static((inner, same)) else "G205"
            raise RuleError(code, f"{message} (with {how})" if how else message)
        return rows, inner, columns

    def count_macs(self, *inputs: Shape) -> int:
        one, other = (static(shape, self.kind) for shape in inputs)
        return elements(self.infer_shape(one, other)) * elements((self._sizes(one, other)[1],))

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        shape = self.infer_shape(*(value.shape for value in inputs))
        one, other = (
            _transposed(build, build.channels_last(value)) if turned else build.channels_last(value)
            for value, turned in zip(inputs, (self.transpose_a, self.transpose_b), strict=True)
        )
        return build.between_layers(build.op("MatMul", one, other, shape=shape, channels_first=False))

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        one, other = inputs
        a = one.swapaxes(-1, -2) if self.transpose_a else one
        b = other.swapaxes(-1, -2) if self.transpose_b else other

        def backward(dy: Array) -> Gradients:
            da, db = dy @ b.swapaxes(-1, -2), a.swapaxes(-1, -2) @ dy
            da = da.swapaxes(-1, -2) if self.transpose_a else da
            db = db.swapaxes(-1, -2) if self.transpose_b else db
            return Gradients((summed(da, one.shape), summed(db, other.shape)))

        return Step(np.matmul(a, b), backward)

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        one, other = (channels_last(x) for x in inputs)
        a = swapped(one) if self.transpose_a else one
        b = swapped(other) if self.transpose_b else other

        def backward(dy: Tensor) -> EmittedGradients:
            given = channels_last(dy)
            da, db = given @ swapped(b), swapped(a) @ given
            da = swapped(da) if self.transpose_a else da
            db = swapped(db) if self.transpose_b else db
            pairs = zip((da, db), inputs, strict=True)
            return EmittedGradients(tuple(emit_summed(between_layers(each), x) for each, x in pairs))

        return EmittedStep(between_layers(a @ b), backward)


def _transposed(build: OnnxBuilder, x: Value) -> Value:
    *lead, rows, columns = x.shape
    *before, last, end = range(len(x.shape) + 1)
    return build.op("Transpose", x, shape=(*lead, columns, rows), channels_first=False, perm=[*before, end, last])
