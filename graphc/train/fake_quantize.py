"""Rounding to what 8-bit integers can hold, while a network trains: fake quantization.

The gradient goes through as if nothing were rounded, where the value is within the range (the straight-through
estimator: Bengio, Léonard and Courville 2013), and stops beyond it. The range is a moving average of the batches'
least and largest values; evaluation uses it as it stands. Nobody writes this layer in a spec: `fake_quantize` in a
recipe puts it where the compiled file has integers (`graphc.train.fake_quantization`), and the file is written without.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

from graphc.dims import Shape
from graphc.errors import DivergedError
from graphc.initializers import Zeros
from graphc.kernels.integers import Form, Range, integers_of
from graphc.layers.base import Layer
from graphc.layers.fields import Bool, Fraction
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.train.rounding_nodes import emit_rounded
from graphc.training_graph.step import EmittedGradients, EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor
from graphc.types import Array, Context, Gradients, Params, Step
from graphc.variables import ParamSpec


class FakeQuantize(Layer):
    """Every number as the nearest one that an 8-bit integer stands for."""

    kind: ClassVar[str] = "fake_quantize"
    family: ClassVar[str] = "regularization"
    elementwise: ClassVar[bool] = True
    donates_output: ClassVar[bool] = True

    form: Form = "asymmetric"
    """Unsigned integers with a zero point, or signed ones with zero point 0."""
    decay: Fraction = 0.99
    """Of the range: range*decay + the batch's*(1 - decay); smaller in the beginning."""
    frozen: Bool = False
    """Use the range in training too, and leave it as it is."""

    def declare_params(self, *inputs: Shape) -> dict[str, ParamSpec]:
        return {name: ParamSpec((), Zeros(), trainable=False, measured=True) for name in ("min", "max")}

    def does_nothing(self, *inputs: Shape) -> bool:
        return True

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        return inputs[0]

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        updates = self._moved(context, params, x) if context.training and not self.frozen else {}
        now = {**params, **updates}
        if not math.isfinite(now["max"] - now["min"]):
            raise DivergedError(
                "G620", "the range of what is rounded is not finite: numbers of the weights are too large"
            )
        scale, zero, integer = integers_of(Range(float(now["min"]), float(now["max"])), self.form)
        limits = np.iinfo(integer)
        least, most = limits.min - zero, limits.max - zero
        y = np.rint(np.divide(x, x.dtype.type(scale), out=context.empty(x.shape, x.dtype)))
        inside = (y >= least) & (y <= most)
        np.multiply(np.clip(y, least, most, out=y), x.dtype.type(scale), out=y)
        return Step(y, lambda dy: Gradients((dy * inside if context.input_gradient else None,)), updates)

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        (x,) = inputs
        updates = {}
        if build.training and not self.frozen:
            done = build.steps_done
            decay = (done / (done + 10)).clip(most=self.decay)
            batch = {"min": x.min(), "max": x.max()}
            updates = {name: params[name] * decay + value * (1 - decay) for name, value in batch.items()}
        now = {**params, **updates}
        y, inside = emit_rounded(x, now["min"], now["max"], self.form)
        return EmittedStep(y, lambda dy: EmittedGradients((dy * inside,)), updates)

    def _moved(self, context: Context, params: Params, x: Array) -> dict[str, Array]:
        """The range, one batch further: the first batch's own in the beginning, then an average."""
        ranges = np.array(context.all_gather(np.array([x.min(), x.max()])))
        batch = {"min": ranges[:, 0].min(), "max": ranges[:, 1].max()}
        decay = min(self.decay, context.step / (10 + context.step))
        return {name: np.asarray(params[name] * decay + batch[name] * (1 - decay), x.dtype) for name in batch}
