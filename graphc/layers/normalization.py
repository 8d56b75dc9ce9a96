"""What the normalizations share: gamma and beta a channel, and standardizing each example by itself."""

from __future__ import annotations

from typing import ClassVar

from graphc.dims import Shape
from graphc.initializers import AnyInitializer, Ones, Zeros
from graphc.layers.base import Layer, channels
from graphc.layers.fields import Bool
from graphc.lazy import np
from graphc.regularizers import Regularizer
from graphc.types import Array, Gradients, OnnxBuilder, Params, ParamSpec, Step, Value


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

    def declare_params(self, *inputs: Shape) -> dict[str, ParamSpec]:
        shape = (channels(inputs[0], self.kind),)
        found: dict[str, ParamSpec] = {}
        if self.center:
            found["beta"] = ParamSpec(shape, self.beta_initializer, self.trainable, self.beta_regularizer)
        if self.scale:
            found["gamma"] = ParamSpec(shape, self.gamma_initializer, self.trainable, self.gamma_regularizer)
        return found

    def standardize(
        self, x: Array, view: tuple[int, ...], axes: tuple[int, ...], epsilon: float, params: Params
    ) -> Step:
        """Mean 0 and variance 1 over `axes` of x seen in the shape `view`, then gamma and beta."""
        normal = x.reshape(view)
        normal = normal - normal.mean(axis=axes, keepdims=True)
        inverse = 1 / np.sqrt(np.mean(normal * normal, axis=axes, keepdims=True) + epsilon)
        normal *= inverse
        y = normal.reshape(x.shape)
        y = y * params["gamma"] if self.scale else y
        y = y + params["beta"] if self.center else y

        def backward(dy: Array) -> Gradients:
            given = (dy * params["gamma"] if self.scale else dy).reshape(view)
            along = np.mean(given * normal, axis=axes, keepdims=True)
            dx = inverse * (given - given.mean(axis=axes, keepdims=True) - normal * along)
            return Gradients((dx.reshape(x.shape),), self.affine_gradients(dy, normal.reshape(x.shape)))

        return Step(y, backward)

    def affine_gradients(self, dy: Array, normal: Array) -> dict[str, Array]:
        """Gradients of beta and gamma where the output is normal*gamma + beta."""
        if not self.trainable:
            return {}
        axes = tuple(range(dy.ndim - 1))
        found = {}
        if self.center:
            found["beta"] = dy.sum(axis=axes)
        if self.scale:
            found["gamma"] = np.sum(dy * normal, axis=axes)
        return found

    def gamma_and_beta(self, params: Params, count: int) -> tuple[Array, Array]:
        """Both, with ones and zeros for what is absent."""
        gamma = params["gamma"] if self.scale else np.ones(count, np.float32)
        beta = params["beta"] if self.center else np.zeros(count, np.float32)
        return gamma, beta


def emit_grouped(
    build: OnnxBuilder, x: Value, groups: int, epsilon: float, gamma: Array | None, beta: Array | None
) -> Value:
    """An image's channels standardized in `groups` equal groups, as a reshaped InstanceNormalization.

    GroupNormalization fails in half of the runtimes tried; this form, with fixed sizes, in none.
    """
    height, width, count = x.shape
    assert isinstance(count, int)
    back: Value | str
    if isinstance(height, int) and isinstance(width, int):
        size = height * width * count // groups
        there, back = _sizes(build, "grouped", -1, groups, size, 1), _sizes(build, "whole", -1, count, height, width)
    else:
        size = -1  # not known before it runs
        there, back = _sizes(build, "grouped", 0, groups, -1, 1), build.op("Shape", x, shape=(4,))
    y = build.op("Reshape", x, there, shape=(size, 1, groups))
    ones, zeros = np.ones(groups, np.float32), np.zeros(groups, np.float32)
    unit = build.constant("unit_scale", ones), build.constant("unit_bias", zeros)
    y = build.op("InstanceNormalization", y, *unit, epsilon=epsilon)
    y = build.op("Reshape", y, back, shape=x.shape)
    if gamma is not None:
        y = build.op("Mul", y, build.constant("gamma", gamma.reshape(-1, 1, 1)))
    if beta is not None:
        y = build.op("Add", y, build.constant("beta", beta.reshape(-1, 1, 1)))
    return y


def _sizes(build: OnnxBuilder, name: str, *sizes: int) -> str:
    return build.constant(name, np.asarray(sizes, np.int64))
