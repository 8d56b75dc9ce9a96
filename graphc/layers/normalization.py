"""What the normalizations share: gamma and beta a channel, and standardizing each example by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from graphc.dims import Shape, is_static
from graphc.errors import RuleError
from graphc.initializers import AnyInitializer, Ones, Zeros
from graphc.kernels.channels import product_sums
from graphc.layers.base import Layer, by_channel, channels, elements
from graphc.layers.fields import Bool
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.regularizers import Regularizer
from graphc.training_graph.step import EmittedGradients, EmittedStep
from graphc.training_graph.tensor import Tensor, channels_first, from_channels_first, sum_but_channels
from graphc.training_graph.tensor import by_channel as by_channel_of
from graphc.types import Array, Context, Gradients, Params, Step
from graphc.variables import ParamSpec


class Normalization(Layer):
    """Normalized values times gamma plus beta, one of each a channel (the last axis)."""

    family: ClassVar[str] = "normalization"
    accepts: ClassVar[tuple[str, ...]] = ("activation",)

    center: Bool = True
    """Add a learned beta."""
    scale: Bool = True
    """Multiply by a learned gamma."""
    beta_initializer: AnyInitializer = Zeros()
    """How beta starts."""
    gamma_initializer: AnyInitializer = Ones()
    """How gamma starts."""
    beta_regularizer: Regularizer | None = None
    """Penalty on beta."""
    gamma_regularizer: Regularizer | None = None
    """Penalty on gamma."""
    trainable: Bool = True
    """Whether training changes beta and gamma."""

    def values_a_mean(self, examples: int, *inputs: Shape) -> int | None:
        """How many values one mean is taken of in a batch of so many examples; None where a size is a symbol."""
        raise NotImplementedError(self.kind)

    def check_batch(self, examples: int, *inputs: Shape) -> None:
        if self.values_a_mean(examples, *inputs) == 1:
            raise one_value(self.kind)

    def declare_params(self, *inputs: Shape) -> dict[str, ParamSpec]:
        shape = (channels(inputs[0], self.kind),)
        found: dict[str, ParamSpec] = {}
        if self.center:
            found["beta"] = ParamSpec(shape, self.beta_initializer, self.trainable, self.beta_regularizer)
        if self.scale:
            found["gamma"] = ParamSpec(shape, self.gamma_initializer, self.trainable, self.gamma_regularizer)
        return found

    def standardize(
        self, context: Context, x: Array, positions: int, groups: int, epsilon: float, params: Params
    ) -> Step:
        """x [N, …, C] with mean 0 and variance 1 of each group of channels over `positions` pixels in a row, then gamma
        [C] and beta [C]; a new array."""
        view = (-1, positions, x.shape[-1])
        y, normal = context.empty(x.shape, x.dtype), context.empty(x.shape, x.dtype)
        gamma, beta = (params.get(name) for name in ("gamma", "beta"))

        def forward(part: slice) -> Array:
            standard, inverse = _standardized(x[part].reshape(view), groups, epsilon)
            normal[part] = standard.reshape(normal[part].shape)
            np.multiply(normal[part], 1 if gamma is None else gamma, out=y[part])
            y[part] += 0 if beta is None else beta
            return inverse

        inverses = np.concatenate(context.each_slice(forward, x))
        each = len(inverses) // len(x)

        def backward(dy: Array) -> Gradients:
            dx = context.empty(x.shape, x.dtype)

            def work(part: slice) -> None:
                given = (dy[part] if gamma is None else dy[part] * gamma).reshape(view)
                inverse = inverses[part.start * each : part.stop * each]
                back = _standardized_back(given, normal[part].reshape(view), inverse, groups)
                dx[part] = back.reshape(dx[part].shape)

            context.each_slice(work, x)
            total, along = product_sums(context, dy, normal)
            found = {"beta": total, "gamma": along} if self.trainable else {}
            return Gradients((dx,), {name: found[name] for name in found if name in params})

        return Step(y, backward)

    def emit_standardized(
        self, x: Tensor, groups: int | None, epsilon: float, params: Mapping[str, Tensor]
    ) -> EmittedStep:
        """`standardize` in nodes: each group of channels over an example's positions, or, without groups, the channels
        at each position; then gamma and beta."""
        first = channels_first(x)
        view = first if groups is None else first.reshape(x.shape[0], groups, -1)
        axis = 2 if groups is not None else 1 if x.rank in (3, 4, 5) else x.rank - 1
        centered = view - view.mean(axis, keep=True)
        inverse = 1 / ((centered * centered).mean(axis, keep=True) + epsilon).sqrt()
        standard = centered * inverse
        normal = from_channels_first(standard.reshape(*first.shape))
        y = normal * by_channel_of(params["gamma"], x) if self.scale else normal
        y = y + by_channel_of(params["beta"], x) if self.center else y

        def backward(dy: Tensor) -> EmittedGradients:
            scaled = dy * by_channel_of(params["gamma"], x) if self.scale else dy
            given = channels_first(scaled).reshape(*view.shape)
            dx = given - given.mean(axis, keep=True) - standard * (given * standard).mean(axis, keep=True)
            gradients = {"beta": sum_but_channels(dy)} if self.center else {}
            gradients |= {"gamma": sum_but_channels(dy * normal)} if self.scale else {}
            return EmittedGradients((from_channels_first((dx * inverse).reshape(*first.shape)),), gradients)

        return EmittedStep(y, backward)

    def gamma_and_beta(self, params: Params, count: int) -> tuple[Array, Array]:
        """Both, [C], with ones and zeros (float32) for what is absent."""
        gamma = params["gamma"] if self.scale else np.ones(count, np.float32)
        beta = params["beta"] if self.center else np.zeros(count, np.float32)
        return gamma, beta


def one_value(kind: str) -> RuleError:
    """The error for a mean of one value: standardized it is 0, whatever it was."""
    return RuleError("G614", f"{kind} expects at least 2 values for each mean in training, found 1, which becomes 0")


def _standardized(x: Array, groups: int, epsilon: float) -> tuple[Array, Array]:
    """x with mean 0 and variance 1, and one over its standard deviation."""
    centred = x - _means(x, groups)
    inverse = 1 / np.sqrt(_means(centred * centred, groups) + x.dtype.type(epsilon))
    centred *= inverse
    return centred, inverse


def _standardized_back(dy: Array, normal: Array, inverse: Array, groups: int) -> Array:
    """The gradient of x from that of its standardized form."""
    dx = dy - _means(dy, groups)
    dx -= normal * _means(dy * normal, groups)
    dx *= inverse
    return dx


def _means(x: Array, groups: int) -> Array:
    """Of x, [rows, positions, channels], the mean of each group over the positions, to broadcast against x."""
    rows, positions, count = x.shape
    means = x if positions == 1 else np.matmul(np.full((1, positions), 1 / positions, x.dtype), x)
    if groups == count:
        return means
    means = means.reshape(rows, 1, groups, -1).mean(axis=-1)
    return means if groups == 1 else np.repeat(means, count // groups, axis=-1)


def emit_grouped(
    build: OnnxBuilder, x: Value, groups: int, epsilon: float, gamma: Array | None, beta: Array | None
) -> Value:
    """The channels, which lie first in x, standardized in `groups` equal groups, then gamma [C] and beta [C], as a
    reshaped InstanceNormalization.

    GroupNormalization fails in half of the runtimes tried; this form, with fixed sizes, in none.
    """
    *places, count = x.shape
    assert isinstance(count, int)
    back: Value | str
    if is_static(x.shape):
        size = elements(x.shape) // groups
        there, back = _sizes(build, "grouped", -1, groups, size, 1), _sizes(build, "whole", -1, count, *places)
    else:
        size = -1  # not known before it runs
        there, back = _sizes(build, "grouped", 0, groups, -1, 1), build.op("Shape", x, shape=(len(x.shape) + 1,))
    y = build.op("Reshape", x, there, shape=(size, 1, groups))
    ones, zeros = np.ones(groups, np.float32), np.zeros(groups, np.float32)
    unit = build.constant("unit_scale", ones), build.constant("unit_bias", zeros)
    y = build.op("InstanceNormalization", y, *unit, epsilon=epsilon)
    y = build.op("Reshape", y, back, shape=x.shape, channels_first=True)
    if gamma is not None:
        y = build.op("Mul", y, build.constant("gamma", by_channel(gamma, y)))
    if beta is not None:
        y = build.op("Add", y, build.constant("beta", by_channel(beta, y)))
    return y


def _sizes(build: OnnxBuilder, name: str, *sizes: Any) -> str:
    return build.constant(name, np.asarray(sizes, np.int64))
