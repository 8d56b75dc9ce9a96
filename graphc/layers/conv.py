"""Convolution."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

from graphc.dims import SPATIAL_AXES, Shape
from graphc.errors import RuleError
from graphc.kernels.border import add_border, border_gradient
from graphc.kernels.conv import AnyConvProblem, ConvPart, ConvProblem, problem_of
from graphc.kernels.conv.blank import blank_windows
from graphc.kernels.conv.ranks import leaves_errors
from graphc.kernels.standardize import standardize
from graphc.layers.base import Layer, elements
from graphc.layers.border import check_border, emit_border
from graphc.layers.fields import (
    Bool,
    Ints2d,
    Kernel,
    Padding,
    PositiveInt,
    PositiveNumber,
)
from graphc.layers.parallel_sum import sum_of_both
from graphc.layers.weighted import Weighted, check_groups, given, product
from graphc.layers.windowed import Windowed
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.training_graph.border import emit_border_gradient, with_border
from graphc.training_graph.conv import data_gradient, pads_of, weight_gradient
from graphc.training_graph.dense import standardized
from graphc.training_graph.step import EmittedGradients, EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor, channels_first, from_channels_first
from graphc.types import Array, Context, Gradients, Params, Step
from graphc.variables import SPATIAL_LETTERS, ParamSpec
from graphc.window import Window


class Convolution(Windowed, Weighted):
    """The arguments of every convolution over windows."""

    family: ClassVar[str] = "convolution"
    donates_output: ClassVar[bool] = True
    main_weights: ClassVar[str] = "weights"
    """Local name of the weights of its windows."""

    kernel: Kernel
    """The window's pixels: one number for both axes, or [height, width]; `input`: as many as the input has;
    {at_most: 5}: no more than the input has."""
    stride: Ints2d = (1, 1)
    """Pixels from one window to the next: one number, or [vertical, horizontal]."""
    padding: Padding = "same"
    dilation: Ints2d = (1, 1)
    """Pixels from one tap of the window to the next: one number, or [vertical, horizontal]."""
    padding_mode: Literal["zeros", "reflect", "edge", "symmetric", "circular"] = "zeros"
    """What the pixels of the padding are: zeros, or the image's own, as `pad` has them."""

    def windows(self, sizes: Shape) -> tuple[Window, ...]:
        found = super().windows(sizes)
        if self.padding_mode != "zeros":
            for window, size, name in zip(found, sizes, SPATIAL_AXES[self.rank + 1], strict=True):
                if window.pads is None:
                    message = f"padding_mode={self.padding_mode} with padding=same needs a fixed {name}, got {size}"
                    raise RuleError("G205", f"{message}: use same_fixed, or set one", "padding_mode")
                check_border(size, window.pads, self.padding_mode, name)
        return found

    def unpadded(self) -> Self:
        """This layer for an image that has its border already."""
        return self.model_copy(update={"padding": "valid", "padding_mode": "zeros"})

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        x = build.channels_first(inputs[0])
        if self.padding_mode == "zeros":
            return self.emit_convolution(build, x, params)
        pads = [window.pads or (0, 0) for window in self.windows(self.sizes(x.shape)[0])]
        return self.unpadded().emit_convolution(build, emit_border(build, x, pads, self.padding_mode), params)

    def emit_convolution(self, build: OnnxBuilder, x: Value, params: Params) -> Value:
        """`emit` of a value, channels first, whose padding is zeros; each of the params in its own shape."""
        raise NotImplementedError(self.kind)

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        mode = self.padding_mode
        if mode == "zeros":
            return self.convolve(context, params, x)
        pads = self.pads(x)
        step = self.unpadded().convolve(context, params, add_border(context, x, pads, mode))

        def backward(dy: Array) -> Gradients:
            found = step.backward(dy)
            (dx,) = found.inputs
            return Gradients((None if dx is None else border_gradient(context, dx, pads, mode),), found.params)

        return Step(step.output, backward)

    def convolve(self, context: Context, params: Params, x: Array) -> Step:
        """`forward` of x [N, …, C] whose padding is zeros."""
        raise NotImplementedError(self.kind)

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        (x,) = inputs
        mode = self.padding_mode
        if mode == "zeros":
            return self.emit_convolving(build, params, x)
        pads = pads_of(self.windows_of(x))
        padded = from_channels_first(with_border(channels_first(x), pads, mode))
        step = self.unpadded().emit_convolving(build, params, padded)

        def backward(dy: Tensor) -> EmittedGradients:
            found = step.backward(dy)
            (dx,) = found.inputs
            assert dx is not None
            inside = emit_border_gradient(channels_first(dx), pads, mode)
            return EmittedGradients((from_channels_first(inside),), found.params)

        return EmittedStep(step.output, backward)

    def emit_convolving(self, build: TrainingBuilder, params: Mapping[str, Tensor], x: Tensor) -> EmittedStep:
        """`emit_training` of a tensor whose padding is zeros."""
        raise NotImplementedError(self.kind)

    def windows_of(self, x: Tensor) -> tuple[Window, ...]:
        """The windows over a tensor, as it lies between layers."""
        return self.windows(x.example[:-1])

    def convolutions(self, x_shape: tuple[int, ...], dtype: Any, training: bool) -> tuple[ConvPart, ...]:
        """What there is to compute of arrays of this shape, N H W C, for those who ask by what."""
        if self.padding_mode == "zeros":
            return self.parts(x_shape, dtype, training)
        batch, *sizes, channels = x_shape
        windows = self.windows(tuple(sizes))
        padded = [size + sum(window.pads or (0, 0)) for size, window in zip(sizes, windows, strict=True)]
        return self.unpadded().parts((batch, *padded, channels), dtype, training)

    def parts(self, x_shape: tuple[int, ...], dtype: Any, training: bool) -> tuple[ConvPart, ...]:
        """`convolutions` of arrays whose padding is zeros."""
        raise NotImplementedError(self.kind)

    def sum_with(
        self, params: Params, other: Layer, others: Params, *inputs: Shape
    ) -> tuple[Layer, dict[str, Array]] | None:
        return sum_of_both(self, params, other, others, *inputs) if self.padding_mode == "zeros" else None

    def pixel_weights(self, weights: Array, scale: Array) -> Array | None:
        """Weights [1, 1, …], else of the shape of `weights`, that multiply each channel by `scale` [C]; None where no
        window of one pixel does."""
        raise NotImplementedError(self.kind)

    def step(self) -> tuple[int, ...]:
        return self.stride

    def spread(self) -> tuple[int, ...]:
        return self.dilation

    def count_flops(self, *inputs: Shape) -> int:
        biases = elements(self.infer_shape(*inputs)) if self.has_bias else 0
        return 2 * self.count_macs(*inputs) + biases


class Conv(Convolution):
    """Convolution, of any rank."""

    positional: ClassVar[tuple[str, ...]] = ("filters", "kernel", "stride")

    filters: PositiveInt
    """Output channels."""
    groups: PositiveInt = 1
    """Parts into which the channels are cut; each part sees its own only."""
    weight_standardization: Bool = False
    """Whether every filter is moved and scaled to mean 0 and variance 1 before it is used: Qiao et al., 2019."""
    standardization_epsilon: PositiveNumber = 1e-6
    """Added to a filter's variance there."""

    def infer_shape(self, *inputs: Shape) -> Shape:
        _, channels = self.sizes(inputs[0])
        check_groups(self.groups, channels, self.filters)
        return (*self.window_outputs(inputs[0]), self.filters)

    def declare_params(self, *inputs: Shape) -> dict[str, ParamSpec]:
        _, channels = self.sizes(inputs[0])
        axes = f"{SPATIAL_LETTERS[self.rank]}IO"
        weights = self.declare_weights(axes, *self.taps, channels // self.groups, self.filters)
        return {"weights": weights, **self.declare_biases(self.filters)}

    def mixes_channels(self, *inputs: Shape) -> bool:
        return self.groups == 1 or self.groups < self.sizes(inputs[0])[1]

    def count_macs(self, *inputs: Shape) -> int:
        _, channels = self.sizes(inputs[0])
        return elements(self.infer_shape(*inputs)) * math.prod(self.taps) * channels // self.groups

    @property
    def is_plain(self) -> bool:
        """Whether it is the convolution of `problem` alone: zeros around, and the weights as they are."""
        return self.padding_mode == "zeros" and not self.weight_standardization

    def plain_weights(self, params: Params) -> tuple[Self, Params]:
        """The same with weights [..., C, F] as they are used."""
        if not self.weight_standardization:
            return self, params
        weights, _ = standardize(params["weights"], self.standardization_epsilon)
        return self.model_copy(update={"weight_standardization": False}), {**params, "weights": weights}

    def scaled_weights(self, params: Params, scale: Array, overwrite: bool) -> dict[str, Array]:
        return {"weights": product(params["weights"], scale, overwrite)}

    def pixel_weights(self, weights: Array, scale: Array) -> Array | None:
        each, filters = weights.shape[-2:]
        if each * self.groups != filters:
            return None
        pixel = np.zeros((*(1,) * self.rank, each, filters), weights.dtype)
        pixel[..., np.arange(filters) % each, np.arange(filters)] = scale
        return pixel

    def sum_with(
        self, params: Params, other: Layer, others: Params, *inputs: Shape
    ) -> tuple[Layer, dict[str, Array]] | None:
        plain, params = self.plain_weights(params)
        if isinstance(other, Conv):
            other, others = other.plain_weights(others)
        return super(Conv, plain).sum_with(params, other, others, *inputs)

    def absorb_affine(
        self, params: Params, scale: Array, offset: Array, *, overwrite: bool = False
    ) -> tuple[Layer, dict[str, Array]]:
        if self.weight_standardization:
            plain, params = self.plain_weights(params)
            return plain.absorb_affine(params, scale, offset, overwrite=True)
        return super().absorb_affine(params, scale, offset, overwrite=overwrite)

    def absorb_input(
        self, params: Params, scale: Array, offset: Array, shape: Shape
    ) -> tuple[Layer, dict[str, Array]] | None:
        windows = self.windows(self.sizes(shape)[0])
        zeros = self.padding_mode == "zeros" and any(window.pads != (0, 0) for window in windows)
        if self.groups > 1 or (offset.any() and zeros):
            return None
        plain, params = self.plain_weights(params)
        weights = params["weights"]
        found = {**params, "weights": (weights * scale[:, None]).astype(weights.dtype)}
        if not offset.any():
            return plain, found
        biases = np.tensordot(weights.sum(axis=tuple(range(self.rank)), dtype=np.float64), offset, axes=(0, 0))
        biases += params["biases"] if self.has_bias else 0
        return plain.model_copy(update={"bias": True}), {**found, "biases": biases.astype(weights.dtype)}

    def emit_convolution(self, build: OnnxBuilder, x: Value, params: Params) -> Value:
        _, params = self.plain_weights(params)
        weights = build.constant(
            "weights", params["weights"].transpose(self.rank + 1, self.rank, *range(self.rank))
        )  # F C kh kw
        window = self.onnx_window(x.shape)
        biases = self.emit_biases(build, params)
        shape = self.infer_shape(x.shape)
        return build.op("Conv", x, weights, biases, shape=shape, group=self.groups, **window)

    def convolve(self, context: Context, params: Params, x: Array) -> Step:
        weights, back = params["weights"], None
        if self.weight_standardization:
            weights, back = standardize(weights, self.standardization_epsilon)
        problem = self.problem_of(x.shape, x.dtype, context.training)
        y = problem.forward(context, x, weights)
        blank = self.blank_windows(context, params, problem, x)
        if blank is not None:
            y[blank] = 0
        self.add_biases(params, y)

        def backward(dy: Array) -> Gradients:
            dx, dw = problem.gradients(context, x, dy, weights, self.learns(context, "weights"))
            if dw is not None and back is not None:
                dw = back(dw)
            return Gradients((dx,), {**given(weights=dw), **self.bias_gradients(context, dy)})

        return Step(y, backward)

    def blank_windows(self, context: Context, params: Params, problem: AnyConvProblem, x: Array) -> Array | None:
        """[N, …] where windows over x [N, …, C] read zeros alone and the result is not exactly 0, if it matters."""
        if not self.has_zero_bias(context, params) or not leaves_errors(problem):
            return None
        return blank_windows(x, self.windows(x.shape[1:-1]))

    def emit_convolving(self, build: TrainingBuilder, params: Mapping[str, Tensor], x: Tensor) -> EmittedStep:
        weights, back = params["weights"], None
        if self.weight_standardization:
            weights, back = standardized(weights, self.standardization_epsilon)
        plain = self.model_copy(update={"weight_standardization": False})
        y = build.emitted(plain, [x], {**params, "weights": weights})

        def backward(dy: Tensor) -> EmittedGradients:
            given, read = channels_first(dy), channels_first(x)
            windows = self.windows_of(x)
            filters = weights.transpose(self.rank + 1, self.rank, *range(self.rank))
            dx = data_gradient(given, filters, windows, self.groups, read.shape[1])
            dw = weight_gradient(read, given, windows, self.groups)
            found = {"weights": dw if back is None else back(dw), **self.emit_bias_gradients(dy)}
            return EmittedGradients((from_channels_first(dx),), found)

        return EmittedStep(y, backward)

    def problem_of(self, x_shape: tuple[int, ...], dtype: Any, training: bool) -> AnyConvProblem:
        """What there is to compute of arrays of this shape, N H W C."""
        batch, *sizes, channels = x_shape
        counts = channels // self.groups, self.filters, self.groups
        return problem_of(self.windows(tuple(sizes)), self.grid(sizes), counts, batch, dtype, training)

    def parts(self, x_shape: tuple[int, ...], dtype: Any, training: bool) -> tuple[ConvPart, ...]:
        return self.problem_of(x_shape, dtype, training).parts()


class Conv2d(Conv):
    """Convolution: cross-correlation, as every framework has it."""

    kind: ClassVar[str] = "conv2d"

    def problem(self, x_shape: tuple[int, ...], dtype: Any, training: bool) -> ConvProblem:
        """What there is to compute of images of this shape, N H W C."""
        (part,) = self.parts(x_shape, dtype, training)
        return part.problem
