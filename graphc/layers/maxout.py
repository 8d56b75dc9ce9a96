"""Maxout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from graphc.dims import Shape, is_static
from graphc.errors import RuleError
from graphc.layers.base import Layer, channels, elements
from graphc.layers.fields import PositiveInt
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.training_graph.step import EmittedGradients, EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor, channels_first, from_channels_first
from graphc.types import Array, Context, Gradients, Params, Step


class Maxout(Layer):
    """The largest of each group of neighbouring channels: unit u of the channels u*k to u*k + k - 1."""

    kind: ClassVar[str] = "maxout"
    family: ClassVar[str] = "activation"
    positional: ClassVar[tuple[str, ...]] = ("units",)

    units: PositiveInt
    """Output channels; they divide the input's."""

    def infer_shape(self, *inputs: Shape) -> Shape:
        return (*inputs[0][:-1], channels(inputs[0], self.kind) // self.group(inputs[0]))

    def group(self, shape: Shape) -> int:
        """Channels a unit."""
        found = channels(shape, self.kind)
        if found % self.units:
            raise RuleError("G204", f"units={self.units} must divide channels={found}", "units")
        return found // self.units

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        x = build.channels_first(build.in_order(inputs[0]))
        shape, group = self.infer_shape(x.shape), self.group(x.shape)
        if not is_static(shape):
            return self.emit_by_channel(build, x, shape, group)
        pixels = [elements(shape[:-1])]
        split = build.constant("split", np.array([-1, self.units, group, *pixels], np.int64))
        joined = build.constant("joined", np.array([-1, self.units, *shape[:-1]], np.int64))
        table = build.op("Reshape", x, split, shape=(group, *pixels, self.units))
        largest = build.op(
            "MaxPool", table, shape=(1, *pixels, self.units), kernel_shape=[group, 1], strides=[group, 1]
        )
        return build.op("Reshape", largest, joined, shape=shape, channels_first=x.channels_first)

    def emit_by_channel(self, build: OnnxBuilder, x: Value, shape: Shape, group: int) -> Value:
        """Without a reshape, which would need the size: the first channels of all groups, the second, …"""
        members = []
        for index in range(group):
            chosen = build.constant(f"member_{index}", np.arange(self.units, dtype=np.int64) * group + index)
            members.append(build.op("Gather", x, chosen, shape=shape, axis=1))
        return build.op("Max", *members, shape=shape)

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        groups = x.reshape(*x.shape[:-1], self.units, -1)
        where = groups.argmax(axis=-1)[..., None]
        y = np.take_along_axis(groups, where, axis=-1)[..., 0]

        def backward(dy: Array) -> Gradients:
            dx = np.zeros(groups.shape, dy.dtype)
            np.put_along_axis(dx, where, dy[..., None], axis=-1)
            return Gradients((dx.reshape(x.shape),))

        return Step(y, backward)

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        first = channels_first(inputs[0]) if inputs[0].rank in (3, 4, 5) else inputs[0]
        batch, group = first.shape[0], self.group(inputs[0].example)
        members = first.reshape(batch, self.units, group, -1)
        largest = members.max(2, keep=True)
        y = from_channels_first(largest.reshape(batch, self.units, *first.shape[2:]))

        def backward(dy: Tensor) -> EmittedGradients:
            ranked = members.equals(largest) * build.tensor(np.arange(group, 0, -1)[:, None])
            chosen = ranked.equals(ranked.max(2, keep=True))
            dx = chosen * channels_first(dy).reshape(*largest.shape)
            return EmittedGradients((from_channels_first(dx.reshape(*first.shape)),))

        return EmittedStep(y, backward)
