"""Layers that run as one, where that takes fewer passes over memory. `graphc.execution.fusion` says which.

Outputs are those that the layers give one after the other: the same bits, or, where a convolution is made block by
block, the same up to the order of a block's sums. Gradients too, but where biases come after the pooling in place of
before it: pixels that are equal once the bias is added and rounded are not equal yet, and the gradient goes to the
larger one, not to the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from graphc.execution.operation import Operation
from graphc.kernels.conv_pool import conv_max_pool2d, conv_max_pool2d_gradients, pooling_algorithm
from graphc.kernels.relu import relu, relu_grad
from graphc.layers.batch_norm import BatchNorm
from graphc.layers.conv import Conv2d
from graphc.layers.elementwise_merge import Add
from graphc.layers.pool import MaxPool2d
from graphc.layers.windowed import in_plane
from graphc.types import Array, Context, Gradients, Params, Step


@dataclass(frozen=True, slots=True)
class ConvMaxPool:
    """A convolution and the largest of every window of its outputs, block by block: the outputs are never whole in
    memory."""

    conv: Conv2d
    pool: MaxPool2d
    donates_output: ClassVar[bool] = False

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        """[N, H, W, C] to [N, H', W', F]."""
        (x,) = inputs
        conv, weights = self.conv, params["weights"]
        if self.pool.output_size is not None or not conv.is_plain:  # its windows differ in size
            return self._one_after_the_other(context, params, x)
        window = in_plane(self.pool.taps, 1)
        whole = conv.problem_of(x.shape, x.dtype, context.training)
        problem = conv.problem(x.shape, x.dtype, context.training)
        algorithm = pooling_algorithm(context, problem, self.pool.grid(problem.geometry.output))
        if algorithm is None or not conv.learns(context, "weights"):
            return self._one_after_the_other(context, params, x)

        blank = conv.blank_windows(context, params, whole, x)
        y, images, argmax = conv_max_pool2d(context, algorithm, problem, x, weights, window, blank)
        conv.add_biases(params, y)  # the same for all pixels of a window: the largest stays a largest

        def backward(dy: Array) -> Gradients:
            dx, dw = conv_max_pool2d_gradients(context, algorithm, problem, images, dy, weights, argmax, window)
            return Gradients((dx,), {"weights": dw, **conv.bias_gradients(context, dy)})

        return Step(y, backward)

    def _one_after_the_other(self, context: Context, params: Params, x: Array) -> Step:
        convolved = self.conv.forward(context, params, x)
        pooled = self.pool.forward(context, {}, convolved.output)
        convolution_back, pooling_back = convolved.backward, pooled.backward  # not what is between

        def backward(dy: Array) -> Gradients:
            (between,) = pooling_back(dy).inputs
            assert between is not None
            return convolution_back(between)

        return Step(pooled.output, backward)


@dataclass(frozen=True, slots=True)
class MaxPoolRelu:
    """A ReLU behind an operation that ends in max pooling, in place of before the pooling: fewer numbers for the ReLU,
    the same result. The operation's backward must not read its output."""

    pooling: Operation
    donates_output: ClassVar[bool] = False  # backward looks where it is positive

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        """The pooling's shapes."""
        pooled = self.pooling.forward(context, params, *inputs)
        y, pooling_back = pooled.output, pooled.backward
        context.each_slice(lambda part: relu(y[part], y[part]), y)

        def backward(dy: Array) -> Gradients:
            return pooling_back(relu_grad(context, dy, y))

        return Step(y, backward)


@dataclass(frozen=True, slots=True)
class BatchNormRelu:
    """Batch normalization and ReLU in the same passes over memory, there and back."""

    norm: BatchNorm
    donates_output: ClassVar[bool] = False  # backward looks where it is positive

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        """Any shape, channels last; the output has it too."""
        return self.norm.normalize(context, params, inputs[0], with_relu=True)


@dataclass(frozen=True, slots=True)
class AddRelu:
    """Addition and ReLU in the same passes over memory."""

    add: Add
    donates_output: ClassVar[bool] = False  # backward looks where it is positive

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        """Equal shapes, or gates of 1×1 pixels beside images; the output has the largest."""
        return self.add.sum(context, inputs, with_relu=True)
