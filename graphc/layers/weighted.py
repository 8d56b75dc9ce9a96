"""What kinds with weights and biases share: their arguments, and the biases' rules."""

from __future__ import annotations

from typing import Any, ClassVar

from graphc.errors import RuleError
from graphc.initializers import AnyInitializer, Xavier, Zeros
from graphc.kernels.channels import add_bias, bias_gradient
from graphc.layers.base import Layer
from graphc.layers.fields import Bool
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder
from graphc.regularizers import Regularizer
from graphc.training_graph.tensor import Tensor, sum_but_channels
from graphc.types import Array, Context, Params
from graphc.variables import ParamSpec


class Weighted(Layer):
    """A layer that multiplies by weights and adds a bias to each output channel."""

    accepts: ClassVar[tuple[str, ...]] = ("normalizer", "activation")

    bias: Bool | None = None
    """Whether a bias is added; left out: yes, unless the layer has a normalizer."""
    weights_initializer: AnyInitializer = Xavier()
    """How the weights start."""
    weights_regularizer: Regularizer | None = None
    """Penalty on the weights."""
    biases_initializer: AnyInitializer = Zeros()
    """How the biases start."""
    biases_regularizer: Regularizer | None = None
    """Penalty on the biases."""
    trainable: Bool = True
    """Whether training changes the variables."""

    @property
    def has_bias(self) -> bool:
        return self.bias is not False

    def in_force(self, argument: str) -> Any:
        return self.has_bias if argument == "bias" else super().in_force(argument)

    def declare_weights(self, axes: str, *shape: int) -> ParamSpec:
        """Weights of this shape; `axes` as in `ParamSpec`."""
        return ParamSpec(shape, self.weights_initializer, self.trainable, self.weights_regularizer, axes=axes)

    def declare_biases(self, outputs: int) -> dict[str, ParamSpec]:
        spec = ParamSpec((outputs,), self.biases_initializer, self.trainable, self.biases_regularizer, axes="O")
        return {"biases": spec} if self.has_bias else {}

    def emit_biases(self, build: OnnxBuilder, params: Params) -> str | None:
        """The name of the biases' initializer, [C]; None where there are none."""
        return build.constant("biases", params["biases"]) if self.has_bias else None

    def scaled_weights(self, params: Params, scale: Array, overwrite: bool) -> dict[str, Array]:
        """The weights for outputs times `scale` ([C]); with `overwrite` in the memory that they have, if it can be."""
        raise NotImplementedError(self.kind)

    def absorb_affine(
        self, params: Params, scale: Array, offset: Array, *, overwrite: bool = False
    ) -> tuple[Layer, dict[str, Array]]:
        weights = self.scaled_weights(params, scale, overwrite)
        biases = params["biases"] * scale + offset if self.has_bias else offset
        return self.model_copy(update={"bias": True}), {**params, **weights, "biases": biases}

    def add_biases(self, params: Params, y: Array) -> None:
        """The biases [C] added to y [N, …, C], which is overwritten."""
        if self.has_bias:
            add_bias(y, params["biases"], out=y)

    def has_zero_bias(self, context: Context, params: Params) -> bool:
        """Whether one of the biases [C] is 0, in training: a ReLU behind it then sees the sums as they are, and it
        matters where these are exactly 0."""
        return context.training and self.has_bias and not params["biases"].all()

    def learns(self, context: Context, variable: str) -> bool:
        """Whether anybody asks for the gradient of a variable, by local name."""
        return self.trainable and variable not in context.frozen

    def bias_gradients(self, context: Context, dy: Array) -> dict[str, Array]:
        """The gradient [C] of the biases by name, if there are any that learn, from dy [N, …, C]."""
        return {"biases": bias_gradient(dy)} if self.has_bias and self.learns(context, "biases") else {}

    def emit_bias_gradients(self, dy: Tensor) -> dict[str, Tensor]:
        """The gradient [C] of the biases by name, if there are any, from dy as it lies between layers."""
        return {"biases": sum_but_channels(dy)} if self.has_bias else {}


def check_groups(groups: int, channels: int, filters: int) -> None:
    """An error where channels or filters cannot be cut into so many parts."""
    if channels % groups:
        raise RuleError("G204", f"groups={groups} must divide channels={channels}", "groups")
    if filters % groups:
        raise RuleError("G204", f"groups={groups} must divide filters={filters}", "groups")


def given(**gradients: Array | None) -> dict[str, Array]:
    """Those gradients of any shape that there are, by name."""
    return {name: gradient for name, gradient in gradients.items() if gradient is not None}


def product(values: Array, factor: Array, overwrite: bool) -> Array:
    """values * factor, of any shape that broadcasts to values' shape; with `overwrite` in place of the values, where
    they can be written in and have the product's type."""
    there = overwrite and values.flags.writeable and np.result_type(values, factor) == values.dtype
    found: Array = np.multiply(values, factor, out=values if there else None)
    return found
