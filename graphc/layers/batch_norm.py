"""Batch normalization, with TF-Slim's names; its moving statistics follow more quickly than TF-Slim's.

The ramp rescues every large decay, so TF-Slim's nets keep theirs. The default is 0.9 with the ramp: where weights still
change much a short memory follows them best, and where they settle a long one gains nothing (benchmarks/README.md has
the accuracies). Without a ramp 0.999 is too slow for short trainings: before there was one, resnet20 on 10,000 images
of CIFAR-10 had 16.6 % on the test set after 1,900 steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from graphc.dims import Shape, is_static
from graphc.initializers import Ones, Zeros
from graphc.kernels.channels import backward_sums, combine, moments, scale_and_shift
from graphc.kernels.moving_average import initial_share, ramped
from graphc.layers.base import channels, elements
from graphc.layers.fields import Bool, Fraction, PositiveNumber
from graphc.layers.normalization import Normalization, one_value
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.training_graph.moving_average import emit_ramped
from graphc.training_graph.step import EmittedGradients, EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor, by_channel, channel_axis, square_sum_but_channels, sum_but_channels
from graphc.types import Array, Context, Gradients, Params, Step
from graphc.variables import ParamSpec

FORGOTTEN = 0.01
"""Weight of what the moving statistics began with, up to which it does no harm."""
FEW = 100
"""Batches before which moving statistics follow weights that still change much."""


class BatchNorm(Normalization):
    """Each channel to mean 0 and variance 1 over the batch; in inference with statistics collected in training."""

    kind: ClassVar[str] = "batch_norm"
    elementwise: ClassVar[bool] = True
    donates_output: ClassVar[bool] = True

    decay: Fraction = 0.9
    """Of the moving statistics: moving*decay + batch*(1 - decay)."""
    ramp: Bool = True
    """Begin with a smaller decay, min(decay, (1 + n)/(10 + n)) after n batches, so that the statistics are right after
    few steps too. Off: `decay` from the first batch on, as in TF-Slim and PyTorch."""
    epsilon: PositiveNumber = 0.001
    """Added to the variance."""
    scale: Bool = False
    """Multiply by a learned gamma. Off as in TF-Slim: a convolution or ReLU that follows makes it redundant."""
    frozen: Bool = False
    """Use the moving statistics in training too, and leave them as they are."""

    def values_a_mean(self, examples: int, *inputs: Shape) -> int | None:
        plane = inputs[0][:-1]
        return examples * elements(plane) if is_static(plane) and not self.frozen else None

    def young(self, batches: int) -> str:
        if self.frozen:
            return ""
        rest = initial_share(self.decay, self.ramp, batches)
        if rest > FORGOTTEN:
            what_to_do = "a smaller `decay`" if self.ramp else "`ramp: true` or a smaller `decay`"
            kept = f"still hold {rest:.0%} of what they began with after {batches:,} batches at decay {self.decay:g}"
            return f"moving statistics of batch norm {kept}; set {what_to_do}"
        if batches < FEW:
            return (
                f"moving statistics of batch norm have seen {batches:,} batches only; train longer, or smaller batches"
            )
        return ""

    def declare_params(self, *inputs: Shape) -> dict[str, ParamSpec]:
        affine = super().declare_params(*inputs)
        shape = (channels(inputs[0], self.kind),)
        return {
            **{name: affine[name] for name in ("gamma", "beta") if name in affine},
            "moving_mean": ParamSpec(shape, Zeros(), trainable=False),
            "moving_variance": ParamSpec(shape, Ones(), trainable=False, smallest=0.0),
        }

    def as_affine(self, params: Params) -> tuple[Array, Array]:
        mean, variance = params["moving_mean"], params["moving_variance"]
        return self._affine(mean, 1 / np.sqrt(variance + variance.dtype.type(self.epsilon)), params)

    def _affine(self, mean: Array, inverse: Array, params: Params) -> tuple[Array, Array]:
        """(factor, offset) a channel, `inverse` being one over the standard deviation."""
        factor = inverse * params["gamma"] if self.scale else inverse
        return factor, params["beta"] - mean * factor if self.center else -mean * factor

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        (x,) = inputs
        if len(x.shape) > 1 and not x.channels_first:  # BatchNormalization takes axis 1 for the channels
            factor, offset = self.as_affine(params)
            return build.op(
                "Add", build.op("Mul", x, build.constant("factor", factor)), build.constant("offset", offset)
            )
        gamma, beta = self.gamma_and_beta(params, len(params["moving_mean"]))
        vectors = {"gamma": gamma, "beta": beta, **{name: params[name] for name in ("moving_mean", "moving_variance")}}
        names = [build.constant(name, build.in_channel_order(vector, x)) for name, vector in vectors.items()]
        return build.op("BatchNormalization", x, *names, epsilon=self.epsilon)

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        return self.normalize(context, params, inputs[0])

    def normalize(self, context: Context, params: Params, x: Array, with_relu: bool = False) -> Step:
        """`forward` of x [N, …, C], with a ReLU behind it in the same passes over memory or without."""
        batch = context.training and not self.frozen
        if batch:
            count, mean, variance = moments(context, x)
            if count == 1:
                raise one_value(self.kind)
        else:
            count, mean, variance = 0, params["moving_mean"], params["moving_variance"]
        inverse = 1 / np.sqrt(variance + x.dtype.type(self.epsilon))
        factor, offset = self._affine(mean, inverse, params)
        y = scale_and_shift(context, x, factor, offset, with_relu)

        def backward(dy: Array) -> Gradients:
            total, along, given = backward_sums(context, dy, x, mean, inverse, y if with_relu else None)
            along *= inverse  # sum of dy times the normalized x
            found = {"beta": total, "gamma": along}
            gradients = {name: found[name] for name in ("beta", "gamma") if name in params and self.trainable}
            sums = context.all_reduce(np.stack([total, along])) if batch else None
            if not context.input_gradient:
                return Gradients((None,), gradients)
            if sums is None:
                zero = np.zeros_like(factor)
                return Gradients((combine(context, given, factor, x, zero, zero),), gradients)
            # factor*(dy - mean of dy - normalized x * mean of dy*normalized x), means over the whole batch
            dy_mean, along_mean = sums / count
            slope = -factor * inverse * along_mean
            shift = -factor * dy_mean - slope * mean
            return Gradients((combine(context, given, factor, x, slope, shift),), gradients)

        return Step(y, backward, self._moved(context, params, count, mean, variance) if batch else {})

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        (x,) = inputs
        mean, count = params["moving_mean"], x.size // x.shape[channel_axis(x)]
        if not self.frozen:
            mean = sum_but_channels(x) / count
        if count == 1 and not self.frozen:
            raise one_value(self.kind)
        centered = x - by_channel(mean, x)  # kept in place of x: nothing cancels, and backward has a pass less
        variance = params["moving_variance"] if self.frozen else square_sum_but_channels(centered) / count
        inverse = 1 / (variance + self.epsilon).sqrt()
        factor = inverse * params["gamma"] if self.scale else inverse
        y = centered * by_channel(factor, x)
        y = y + by_channel(params["beta"], x) if self.center else y

        def backward(dy: Tensor) -> EmittedGradients:
            total, along = sum_but_channels(dy), sum_but_channels(dy * centered) * inverse
            found = {"beta": total, "gamma": along}
            gradients = {name: found[name] for name in ("beta", "gamma") if name in params}
            dx = dy * by_channel(factor, x)
            if not self.frozen:
                slope, shift = factor * inverse * along / -count, factor * total / -count
                dx = dx + (centered * by_channel(slope, x) + by_channel(shift, x))
            return EmittedGradients((dx,), gradients)

        return EmittedStep(y, backward, {} if self.frozen else self._emit_moved(build, params, count, mean, variance))

    def _emit_moved(
        self, build: TrainingBuilder, params: Mapping[str, Tensor], count: int, mean: Tensor, variance: Tensor
    ) -> dict[str, Tensor]:
        """`_moved` in nodes."""
        batch = {"moving_mean": mean, "moving_variance": variance * (count / (count - 1))}
        if not self.ramp:
            return {name: params[name] * self.decay + value * (1 - self.decay) for name, value in batch.items()}
        decay = emit_ramped(self.decay, build.steps_done)
        return {name: params[name] * decay + value * (1 - decay) for name, value in batch.items()}

    def _moved(self, context: Context, params: Params, count: int, mean: Array, variance: Array) -> dict[str, Array]:
        """The moving statistics, one batch further; the moving variance gets the unbiased one."""
        batch = {"moving_mean": mean, "moving_variance": variance * (count / (count - 1))}
        decay = ramped(self.decay, context.step) if self.ramp else self.decay
        return {name: params[name] * decay + value * (1 - decay) for name, value in batch.items()}
