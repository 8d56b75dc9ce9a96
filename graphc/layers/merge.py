"""Any number of inputs into one, one after the other; and multiplication by a constant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import model_validator

from graphc.dims import Dim, Shape, format_shape
from graphc.errors import RuleError
from graphc.initializers import Constant
from graphc.layers.base import Layer, scalar, static
from graphc.layers.crop import along
from graphc.layers.fields import Axis, Bool, Number
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.training_graph.step import EmittedGradients, EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor, axis_of
from graphc.types import Array, Context, Gradients, Params, Step
from graphc.variables import ParamSpec


class Merge(Layer):
    """Any number of inputs."""

    family: ClassVar[str] = "merge"
    accepts: ClassVar[tuple[str, ...]] = ("activation",)
    inputs_at_most: ClassVar[int | None] = None


class Concat(Merge):
    """Inputs one after the other along an axis."""

    kind: ClassVar[str] = "concat"
    donates_output: ClassVar[bool] = True
    positional: ClassVar[tuple[str, ...]] = ("axis",)

    axis: Axis = "channels"
    """Along which axis (channels; height, width, depth or length; or a number, 0 the first behind the batch and -1 the
    last); the other sizes are equal."""

    def infer_shape(self, *inputs: Shape) -> Shape:
        axis = along(inputs[0], self.axis, self.kind)
        total: Dim = 0
        for shape in inputs:
            if len(shape) != len(inputs[0]) or _without(shape, axis) != _without(inputs[0], axis):
                found = f"{format_shape(inputs[0])} and {format_shape(shape)}"
                raise RuleError("G202", f"concat along {self.axis} expects otherwise equal shapes, got {found}")
            total = total + shape[axis]
        return (*inputs[0][:axis], total, *inputs[0][axis + 1 :])

    def does_nothing(self, *inputs: Shape) -> bool:
        return len(inputs) == 1

    def split_affine(self, scale: Array, offset: Array, *inputs: Shape) -> list[tuple[Array, Array]]:
        if along(inputs[0], self.axis, self.kind) != len(inputs[0]) - 1:
            return [(scale, offset)] * len(inputs)
        ends = np.cumsum([static(shape[-1:], self.kind) for shape in inputs])
        return list(zip(np.split(scale, ends[:-1]), np.split(offset, ends[:-1]), strict=True))

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        if len(inputs) == 1:
            return inputs[0]
        ordered = build.as_first([build.in_order(value) for value in inputs])
        shape = self.infer_shape(*(value.shape for value in inputs))
        return build.op("Concat", *ordered, shape=shape, axis=ordered[0].axis(along(shape, self.axis, self.kind)))

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        axis = 1 + along(inputs[0].shape[1:], self.axis, self.kind)
        ends = np.cumsum([x.shape[axis] for x in inputs])
        shape = (*inputs[0].shape[:axis], int(ends[-1]), *inputs[0].shape[axis + 1 :])
        y = np.concatenate(inputs, axis=axis, out=context.empty(shape, inputs[0].dtype))

        def backward(dy: Array) -> Gradients:
            return Gradients(tuple(np.split(dy, ends[:-1], axis=axis)))

        return Step(y, backward)

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        y = build.emitted(self, inputs)
        axis = axis_of(y, along(y.example, self.axis, self.kind))

        def backward(dy: Tensor) -> EmittedGradients:
            return EmittedGradients(tuple(dy.split([x.shape[axis] for x in inputs], axis)))

        return EmittedStep(y, backward)


class Scale(Layer):
    """The input times a number, such as the 0.17 of Inception-ResNet's residuals, or one that is learned."""

    kind: ClassVar[str] = "scale"
    family: ClassVar[str] = "merge"
    positional: ClassVar[tuple[str, ...]] = ("factor",)
    elementwise: ClassVar[bool] = True

    factor: Number = 1.0
    """The number; where it is learned, what it starts as, 1 if that is left out."""
    learned: Bool = False
    """Whether training changes it: a variable of one number."""

    @model_validator(mode="after")
    def _some_factor(self) -> Scale:
        if not self.learned and "factor" not in self.model_fields_set:
            raise ValueError("scale takes a factor, or learned: true")
        return self

    def declare_params(self, *inputs: Shape) -> dict[str, ParamSpec]:
        return {"factor": ParamSpec((1,), Constant(value=self.factor))} if self.learned else {}

    def as_affine(self, params: Params) -> tuple[Array, Array]:
        factor = params["factor"].reshape(()) if self.learned else np.asarray(self.factor, np.float32)
        return factor, np.zeros((), factor.dtype)

    def does_nothing(self, *inputs: Shape) -> bool:
        return self.factor == 1 and not self.learned

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        known = scalar(build, "factor", self.factor) if not self.learned else build.constant("factor", params["factor"])
        return build.op("Mul", inputs[0], known)

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        factor = params["factor"] if self.learned else self.factor

        def backward(dy: Array) -> Gradients:
            return Gradients((dy * factor,), {"factor": np.vdot(dy, x).reshape(1)} if self.learned else {})

        return Step(x * factor, backward)

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        (x,) = inputs
        factor = params["factor"] if self.learned else self.factor

        def backward(dy: Tensor) -> EmittedGradients:
            return EmittedGradients((dy * factor,), {"factor": (dy * x).sum().reshape(1)} if self.learned else {})

        return EmittedStep(x * factor, backward)


def _without(shape: Shape, axis: int) -> Shape:
    return shape[:axis] + shape[axis + 1 :]
