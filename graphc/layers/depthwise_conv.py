"""Depthwise convolution, alone and followed by a pointwise one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from graphc.dims import Shape
from graphc.initializers import AnyInitializer
from graphc.kernels.conv import (
    AnyConvProblem,
    ConvPart,
    ConvProblem,
    conv2d,
    conv2d_input_gradient,
    conv2d_weight_gradient,
    problem_of,
)
from graphc.kernels.unfold import Grid
from graphc.layers.base import Layer, elements, static
from graphc.layers.conv import Conv, Conv2d, Convolution
from graphc.layers.fields import PositiveInt
from graphc.layers.weighted import product
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.regularizers import Regularizer
from graphc.training_graph.conv import data_gradient, weight_gradient
from graphc.training_graph.step import EmittedGradients, EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor, channels_first, from_channels_first
from graphc.types import Array, Context, Gradients, Params, Step
from graphc.variables import SPATIAL_LETTERS, ParamSpec


class DepthwiseConv(Convolution):
    """Convolution of each channel with its own filters, of any rank."""

    main_weights: ClassVar[str] = "depthwise_weights"
    positional: ClassVar[tuple[str, ...]] = ("kernel", "stride")

    depth_multiplier: PositiveInt = 1
    """Filters a channel."""

    def infer_shape(self, *inputs: Shape) -> Shape:
        return self.depthwise_shape(inputs[0])

    def depthwise_shape(self, shape: Shape) -> Shape:
        _, channels = self.sizes(shape)
        return (*self.window_outputs(shape), channels * self.depth_multiplier)

    def declare_params(self, *inputs: Shape) -> dict[str, ParamSpec]:
        _, channels = self.sizes(inputs[0])
        axes = f"{SPATIAL_LETTERS[self.rank]}CM"
        weights = self.declare_weights(axes, *self.taps, channels, self.depth_multiplier)
        return {"depthwise_weights": weights, **self.declare_biases(channels * self.depth_multiplier)}

    def count_macs(self, *inputs: Shape) -> int:
        return elements(self.depthwise_shape(inputs[0])) * math.prod(self.taps)

    def scaled_weights(self, params: Params, scale: Array, overwrite: bool) -> dict[str, Array]:
        weights = params["depthwise_weights"]
        return {"depthwise_weights": product(weights, scale.reshape(weights.shape[self.rank :]), overwrite)}

    def pixel_weights(self, weights: Array, scale: Array) -> Array | None:
        return scale.reshape(*(1,) * self.rank, -1, 1) if self.depth_multiplier == 1 else None

    def emit_convolution(self, build: OnnxBuilder, x: Value, params: Params) -> Value:
        return self.emit_depthwise(build, x, params, self.emit_biases(build, params))

    def emit_depthwise(self, build: OnnxBuilder, x: Value, params: Params, biases: str | None) -> Value:
        """The depthwise convolution's node; its weights are [..., C, m]."""
        weights = params["depthwise_weights"]
        *taps, channels, _ = weights.shape
        order = self.rank, self.rank + 1, *range(self.rank)
        filters = weights.transpose(*order).reshape(-1, 1, *taps)  # C*m 1 kh kw
        window: dict[str, Any] = {"group": channels, **self.onnx_window(x.shape)}
        constant = build.constant("depthwise_weights", filters)
        return build.op("Conv", x, constant, biases, shape=self.depthwise_shape(x.shape), **window)

    def convolve(self, context: Context, params: Params, x: Array) -> Step:
        y = self.depthwise(context, params, x)
        self.add_biases(params, y)

        def backward(dy: Array) -> Gradients:
            return self.depthwise_gradients(context, params, x, dy, self.bias_gradients(context, dy))

        return Step(y, backward)

    def emit_convolving(self, build: TrainingBuilder, params: Mapping[str, Tensor], x: Tensor) -> EmittedStep:
        y = build.emitted(self, [x], params)

        def backward(dy: Tensor) -> EmittedGradients:
            return self.emit_depthwise_gradients(params, x, dy, self.emit_bias_gradients(dy))

        return EmittedStep(y, backward)

    def emit_depthwise_gradients(
        self, params: Mapping[str, Tensor], x: Tensor, dy: Tensor, others: Mapping[str, Tensor]
    ) -> EmittedGradients:
        """The gradients of x and of the depthwise weights from dy, beside those of the `others`."""
        weights, given, read = params["depthwise_weights"], channels_first(dy), channels_first(x)
        windows, channels = self.windows_of(x), read.shape[1]
        *taps, _, _ = weights.shape
        filters = weights.transpose(self.rank, self.rank + 1, *range(self.rank)).reshape(-1, 1, *taps)
        dx = data_gradient(given, filters, windows, channels, channels)
        dw = weight_gradient(read, given, windows, channels).reshape(*weights.shape)
        return EmittedGradients((from_channels_first(dx),), {**others, "depthwise_weights": dw})

    def depthwise(self, context: Context, params: Params, x: Array) -> Array:
        """Each channel of x [N, …, C] with its own m filters: [N, …, C*m]."""
        weights = grouped(params["depthwise_weights"])
        return self.problem_of(x.shape, x.dtype, context.training).forward(context, x, weights)

    def depthwise_gradients(
        self, context: Context, params: Params, x: Array, dy: Array, others: dict[str, Array]
    ) -> Gradients:
        """The gradients of x [N, …, C] and of the depthwise weights [..., C, m] from dy [N, …, C*m], beside those of
        the `others`."""
        weights = grouped(params["depthwise_weights"])
        problem = self.problem_of(x.shape, x.dtype, context.training)
        dx, dw = problem.gradients(context, x, dy, weights, self.learns(context, "depthwise_weights"))
        if dw is not None:
            others = {**others, "depthwise_weights": dw.reshape(params["depthwise_weights"].shape)}
        return Gradients((dx,), others)

    def problem_of(self, x_shape: tuple[int, ...], dtype: Any, training: bool) -> AnyConvProblem:
        """What there is to compute of arrays of this shape, N H W C: a group for every channel."""
        batch, *sizes, channels = x_shape
        counts = 1, channels * self.depth_multiplier, channels
        return problem_of(self.windows(tuple(sizes)), self.grid(sizes), counts, batch, dtype, training)

    def parts(self, x_shape: tuple[int, ...], dtype: Any, training: bool) -> tuple[ConvPart, ...]:
        return self.problem_of(x_shape, dtype, training).parts()


class DepthwiseConv2d(DepthwiseConv):
    """Convolution of each channel with its own filters; output c*depth_multiplier + j is filter j of channel c."""

    kind: ClassVar[str] = "depthwise_conv2d"


class SeparableConv(DepthwiseConv):
    """A depthwise convolution, then a 1×1 convolution, with nothing between, of any rank."""

    positional: ClassVar[tuple[str, ...]] = ("filters", "kernel", "stride")

    pointwise: ClassVar[type[Conv]] = Conv2d
    """The kind of its second part."""

    filters: PositiveInt | None = None
    """Output channels; none: the depthwise part alone."""
    pointwise_initializer: AnyInitializer | None = None
    """How the 1×1 weights start; none: as the depthwise ones."""
    pointwise_regularizer: Regularizer | None = None
    """Penalty on the 1×1 weights; none: the one on the depthwise ones."""

    def infer_shape(self, *inputs: Shape) -> Shape:
        *sizes, channels = self.depthwise_shape(inputs[0])
        return *sizes, channels if self.filters is None else self.filters

    def declare_params(self, *inputs: Shape) -> dict[str, ParamSpec]:
        params = super().declare_params(*inputs)
        if self.filters is None:
            return params
        _, channels = self.sizes(inputs[0])
        pointwise = ParamSpec(
            (*(1,) * self.rank, channels * self.depth_multiplier, self.filters),
            self.pointwise_initializer or self.weights_initializer,
            self.trainable,
            self.pointwise_regularizer or self.weights_regularizer,
            axes=f"{SPATIAL_LETTERS[self.rank]}IO",
        )
        depthwise = params["depthwise_weights"]
        return {"depthwise_weights": depthwise, "pointwise_weights": pointwise, **self.declare_biases(self.filters)}

    def mixes_channels(self, *inputs: Shape) -> bool:
        return self.filters is not None

    def count_macs(self, *inputs: Shape) -> int:
        depthwise = super().count_macs(*inputs)
        return depthwise + elements(self.depthwise_shape(inputs[0])) * (self.filters or 0)

    def scaled_weights(self, params: Params, scale: Array, overwrite: bool) -> dict[str, Array]:
        if self.filters is None:
            return super().scaled_weights(params, scale, overwrite)
        return {"pointwise_weights": product(params["pointwise_weights"], scale, overwrite)}

    def sum_with(
        self, params: Params, other: Layer, others: Params, *inputs: Shape
    ) -> tuple[Layer, dict[str, Array]] | None:
        return None  # its second part is not a window

    def emit_convolution(self, build: OnnxBuilder, x: Value, params: Params) -> Value:
        if self.filters is None:
            return super().emit_convolution(build, x, params)
        middle = self.emit_depthwise(build, x, params, None)
        order = (self.rank + 1, self.rank, *range(self.rank))
        weights = build.constant("pointwise_weights", params["pointwise_weights"].transpose(order))
        shape = self.infer_shape(x.shape)
        return build.op(
            "Conv", middle, weights, self.emit_biases(build, params), shape=shape, kernel_shape=[1] * self.rank
        )

    def emit_convolving(self, build: TrainingBuilder, params: Mapping[str, Tensor], x: Tensor) -> EmittedStep:
        if self.filters is None:
            return super().emit_convolving(build, params, x)
        depthwise = self.model_copy(update={"filters": None, "bias": False})
        middle = build.emitted(depthwise, [x], params)
        pointwise = self.pointwise(filters=self.filters, kernel=(1,) * self.rank, bias=self.bias)
        renamed = {"weights": params["pointwise_weights"], **{k: v for k, v in params.items() if k == "biases"}}
        step = pointwise.emit_convolving(build, renamed, middle)

        def backward(dy: Tensor) -> EmittedGradients:
            found = step.backward(dy)
            (dmiddle,) = found.inputs
            assert dmiddle is not None
            others = {**found.params, "pointwise_weights": found.params["weights"]}
            del others["weights"]
            return self.emit_depthwise_gradients(params, x, dmiddle, others)

        return EmittedStep(step.output, backward)

    def parts(self, x_shape: tuple[int, ...], dtype: Any, training: bool) -> tuple[ConvPart, ...]:
        if self.filters is None:
            return super().parts(x_shape, dtype, training)
        depthwise = super().parts(x_shape, dtype, training)
        named = [ConvPart(f"depthwise {part.name}".strip(), part.problem) for part in depthwise]
        sizes = static(self.depthwise_shape(x_shape[1:]), self.kind)
        pointwise = pointwise_problem((x_shape[0], *sizes), self.filters, dtype, training)
        return *named, ConvPart("pointwise", pointwise, of_input=False)

    def convolve(self, context: Context, params: Params, x: Array) -> Step:
        if self.filters is None:
            return super().convolve(context, params, x)
        weights = params["pointwise_weights"]
        middle = self.depthwise(context, params, x)
        filters = weights.reshape(1, 1, *weights.shape[self.rank :])
        pointwise = pointwise_problem(middle.shape, weights.shape[-1], x.dtype, context.training)
        flat = middle.reshape(pointwise.x_shape)
        y = conv2d(context, pointwise, flat, filters).reshape(*middle.shape[:-1], -1)
        self.add_biases(params, y)

        def backward(dy: Array) -> Gradients:
            gradients = self.bias_gradients(context, dy)
            rows = dy.reshape(pointwise.y_shape)
            if self.learns(context, "pointwise_weights"):
                found = conv2d_weight_gradient(context, pointwise, flat, rows)
                gradients["pointwise_weights"] = found.reshape(weights.shape)
            dmiddle = conv2d_input_gradient(context, pointwise, rows, filters).reshape(middle.shape)
            return self.depthwise_gradients(context, params, x, dmiddle, gradients)

        return Step(y, backward)


class SeparableConv2d(SeparableConv):
    """A depthwise convolution, then a 1×1 convolution, with nothing between."""

    kind: ClassVar[str] = "separable_conv2d"


def pointwise_problem(x_shape: tuple[int, ...], filters: int, dtype: Any, training: bool) -> ConvProblem:
    """That of a 1×1 convolution of arrays of this shape [N, …, C], as images: a sequence as one of one row, a volume as
    its planes one below the other."""
    batch, *sizes, width, channels = x_shape
    height = math.prod(sizes)
    pixels = Grid.of((height, width), (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1))
    return ConvProblem.of(pixels, (1, 1, channels, filters), 1, batch, dtype, training)


def grouped(weights: Array) -> Array:
    """[..., C, m] as the filters of a convolution with a group for every channel: [..., 1, C*m]."""
    return weights.reshape(*weights.shape[:-2], 1, -1)
