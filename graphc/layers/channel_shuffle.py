"""ShuffleNet's channel shuffle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from graphc.dims import Shape
from graphc.errors import RuleError
from graphc.layers.base import Layer, image
from graphc.layers.fields import PositiveInt
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.training_graph.step import EmittedGradients, EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor
from graphc.types import Array, Context, Gradients, Params, Step


class ChannelShuffle(Layer):
    """The first channel of each group, then the second of each, …"""

    kind: ClassVar[str] = "channel_shuffle"
    family: ClassVar[str] = "shape"
    positional: ClassVar[tuple[str, ...]] = ("groups",)

    groups: PositiveInt
    """Groups of neighbouring channels in the input."""

    def infer_shape(self, *inputs: Shape) -> Shape:
        channels = image(inputs[0], self.kind)[2]
        if channels % self.groups:
            raise RuleError("G204", f"groups={self.groups} does not divide the {channels} channels", "groups")
        return inputs[0]

    def does_nothing(self, *inputs: Shape) -> bool:
        return self.groups in (1, inputs[0][-1])

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        (x,) = inputs
        height, width, channels = image(x.shape, self.kind)
        if not isinstance(height, int) or not isinstance(width, int):
            order = np.arange(channels, dtype=np.int64).reshape(self.groups, -1).T.reshape(-1)
            return build.op("Gather", x, build.constant("order", order), axis=1)
        each, pixels = channels // self.groups, height * width
        # inner shapes N groups each pixels, N each groups pixels, N C H W
        apart = build.constant("apart", np.asarray([-1, self.groups, each, pixels], np.int64))
        y = build.op("Reshape", x, apart, shape=(each, pixels, self.groups))
        y = build.op("Transpose", y, shape=(self.groups, pixels, each), perm=[0, 2, 1, 3])
        together = build.constant("together", np.asarray([-1, channels, height, width], np.int64))
        return build.op("Reshape", y, together, shape=x.shape)

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        each = x.shape[-1] // self.groups
        return Step(_swap(x, self.groups), lambda dy: Gradients((_swap(dy, each),)))

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        (x,) = inputs
        batch, channels, *sizes = x.shape

        def swapped(value: Tensor, groups: int) -> Tensor:
            apart = value.reshape(batch, groups, channels // groups, *sizes)
            return apart.transpose(0, 2, 1, 3, 4).reshape(*x.shape)

        each = channels // self.groups
        return EmittedStep(swapped(x, self.groups), lambda dy: EmittedGradients((swapped(dy, each),)))


def _swap(x: Array, groups: int) -> Array:
    return x.reshape(*x.shape[:-1], groups, -1).swapaxes(-1, -2).reshape(x.shape)
