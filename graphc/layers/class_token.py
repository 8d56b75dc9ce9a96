"""A learned token before a sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from graphc.dims import Shape
from graphc.initializers import AnyInitializer, TruncatedNormal
from graphc.layers.base import Layer, sequence
from graphc.layers.fields import Bool
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.receptive_field import Reach
from graphc.regularizers import Regularizer
from graphc.training_graph.step import EmittedGradients, EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor
from graphc.types import Array, Context, Gradient, Gradients, Params, Step
from graphc.variables import ParamSpec


class ClassToken(Layer):
    """A learned vector, the same for every example, before the first position of a sequence: L×C becomes (L + 1)×C.

    Vision transformers read the class from what becomes of it, at position 0: `slice: {stop: 1, axis: length}`.
    """

    kind: ClassVar[str] = "class_token"
    family: ClassVar[str] = "sequence"
    donates_output: ClassVar[bool] = True

    token_initializer: AnyInitializer = TruncatedNormal(stddev=0.02)
    """How the token starts."""
    token_regularizer: Regularizer | None = None
    """Penalty on the token."""
    trainable: Bool = True
    """Whether training changes the token."""

    def infer_shape(self, *inputs: Shape) -> Shape:
        length, channels = sequence(inputs[0], self.kind)
        return (length + 1, channels)

    def reach(self, *inputs: Shape) -> tuple[Reach, ...]:
        return (Reach(1, 1, (-1,), (-1,)),)

    def declare_params(self, *inputs: Shape) -> dict[str, ParamSpec]:
        _, channels = sequence(inputs[0], self.kind)
        return {"token": ParamSpec((channels,), self.token_initializer, self.trainable, self.token_regularizer)}

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        """The token of each example is 0, as padding makes it, plus the token: it needs no number of examples."""
        x = build.channels_last(inputs[0])
        whole = {"pads": (0, 1, 0, 0, 0, 0), "starts": (0,), "ends": (1,), "axes": (1,)}
        pads, *part = (build.constant(name, np.asarray(values, np.int64)) for name, values in whole.items())
        zeros = build.op("Slice", build.op("Pad", x, pads), *part)
        token = build.op("Add", zeros, build.constant("token", params["token"]))
        return build.op("Concat", token, x, shape=self.infer_shape(x.shape), axis=1)

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        y = context.empty((x.shape[0], x.shape[1] + 1, x.shape[2]), x.dtype)
        y[:, 0] = params["token"]
        y[:, 1:] = x

        def backward(dy: Array) -> Gradients:
            gradients: dict[str, Gradient] = {"token": dy[:, 0].sum(axis=0)} if self.trainable else {}
            return Gradients((dy[:, 1:],), gradients)

        return Step(y, backward)

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        (x,) = inputs
        _, length, channels = x.shape

        def backward(dy: Tensor) -> EmittedGradients:
            token, rest = dy.split([1, length], 1)
            return EmittedGradients((rest,), {"token": token.sum(0).reshape(channels)})

        return EmittedStep(build.emitted(self, inputs, params), backward)
