"""Blurring before every second pixel is taken: anti-aliased pooling."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from graphc.dims import Shape
from graphc.errors import RuleError
from graphc.layers.base import Layer, check_made, elements, image
from graphc.layers.depthwise_conv import DepthwiseConv2d
from graphc.layers.fields import IntPair, PositiveInt
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.receptive_field import Reach
from graphc.training_graph.step import EmittedGradients, EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor
from graphc.types import Array, Context, Params, Step

MOST_PIXELS = 64
"""Of the kernel's side: larger binomial coefficients are no 64-bit numbers."""


class BlurPool2d(Layer):
    """A mean of every window, weighted by binomial coefficients: Zhang, 2019. Behind a max_pool2d of stride 1 it is his
    anti-aliased max pooling."""

    kind: ClassVar[str] = "blur_pool2d"
    family: ClassVar[str] = "pooling"
    donates_output: ClassVar[bool] = True
    positional: ClassVar[tuple[str, ...]] = ("kernel", "stride")

    kernel: PositiveInt = 3
    """The window's pixels, across as down; (kernel - 1) // 2 of them before its middle, as with same_fixed."""
    stride: IntPair = (2, 2)
    """Pixels from one window to the next: one number, or [vertical, horizontal]."""
    padding_mode: Literal["zeros", "reflect", "edge", "symmetric", "circular"] = "reflect"
    """What the pixels around the image are: zeros, or its own, as `pad` has them."""

    def convolution(self) -> DepthwiseConv2d:
        """The convolution that it is."""
        return DepthwiseConv2d(
            kernel=(self.kernel, self.kernel),
            stride=self.stride,
            padding="same_fixed",
            padding_mode=self.padding_mode,
            bias=False,
            trainable=False,
        )

    def weights(self, channels: int) -> Array:
        """The coefficients [kh, kw, C, 1], in float64; they sum up to 1 in every channel."""
        row = np.array([math.comb(self.kernel - 1, place) for place in range(self.kernel)]) / 2.0 ** (self.kernel - 1)
        square = np.multiply.outer(row, row)
        found: Array = np.broadcast_to(square[:, :, None, None], (self.kernel, self.kernel, channels, 1))
        return found

    def infer_shape(self, *inputs: Shape) -> Shape:
        channels = image(inputs[0], self.kind)[2]
        if self.kernel > MOST_PIXELS:
            raise RuleError("G203", f"kernel={self.kernel} is too large: expected at most {MOST_PIXELS}", "kernel")
        check_made(self.kernel**2 * channels, "in its kernel", "kernel")
        return self.convolution().infer_shape(*inputs)

    def reach(self, *inputs: Shape) -> tuple[Reach, ...]:
        return self.convolution().reach(*inputs)

    def count_flops(self, *inputs: Shape) -> int:
        return elements(self.infer_shape(*inputs)) * self.kernel**2

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        weights = self.weights(image(inputs[0].shape, self.kind)[2]).astype(np.float32)
        return self.convolution().emit(build, inputs, {"depthwise_weights": weights})

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        weights = self.weights(inputs[0].shape[3]).astype(inputs[0].dtype)
        return self.convolution().forward(context, {"depthwise_weights": weights}, *inputs)

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        weights = build.tensor(self.weights(inputs[0].example[-1]))
        step = self.convolution().emit_training(build, {"depthwise_weights": weights}, *inputs)
        return EmittedStep(step.output, lambda dy: EmittedGradients(step.backward(dy).inputs))
