"""Blocks of pixels as channels, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from graphc.dims import Dim, Shape, residues
from graphc.errors import RuleError
from graphc.layers.base import Layer, channels, image
from graphc.layers.fields import PositiveInt
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.receptive_field import Reach
from graphc.training_graph.step import EmittedGradients, EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor, between_layers, channels_last
from graphc.types import Array, Context, Gradients, Params, Step


class SpaceToDepth(Layer):
    """Each block of pixels as one pixel: PyTorch's pixel_unshuffle with order: CRD."""

    kind: ClassVar[str] = "space_to_depth"
    family: ClassVar[str] = "shape"
    positional: ClassVar[tuple[str, ...]] = ("block",)

    block: PositiveInt
    """Pixels in a block's height and width."""
    order: Literal["DCR", "CRD"] = "DCR"
    """Of the channels of a block, in ONNX's words. DCR: row, column, channel, as TensorFlow's. CRD: channel, row,
    column, as PyTorch's."""

    def infer_shape(self, *inputs: Shape) -> Shape:
        height, width, channels = image(inputs[0], self.kind)
        return self._blocks(height, "height"), self._blocks(width, "width"), channels * self.block**2

    def _blocks(self, size: Dim, name: str) -> Dim:
        if residues(size, self.block) != range(1):
            message = f"block={self.block} does not divide the {name}, which is {size}"
            if isinstance(size, int):
                raise RuleError("G203", message, "block")
            raise RuleError("G205", f"{message}; write the input's size as {self.block}*H, or set it", "block")
        return size // self.block

    def reach(self, *inputs: Shape) -> tuple[Reach, ...]:
        axis = Reach(1, self.block, (0,), (self.block - 1,))
        return axis, axis

    def does_nothing(self, *inputs: Shape) -> bool:
        return self.block == 1

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        (x,) = inputs
        y = build.op("SpaceToDepth", x, shape=self.infer_shape(x.shape), blocksize=self.block)
        if self.order == "DCR":
            return y
        numbers = np.arange(channels(y.shape, self.kind)).reshape(self.block**2, -1)
        return build.op("Gather", y, build.constant("order", numbers.T.reshape(-1)), axis=1)

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        return Step(
            _gather(inputs[0], self.block, self.order), lambda dy: Gradients((_spread(dy, self.block, self.order),))
        )

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        block, order = self.block, self.order
        back = lambda dy: EmittedGradients((between_layers(_emit_spread(channels_last(dy), block, order)),))  # noqa: E731
        return EmittedStep(between_layers(_emit_gather(channels_last(inputs[0]), block, order)), back)


class DepthToSpace(Layer):
    """Each pixel as a block of pixels, the inverse of space_to_depth: PyTorch's pixel_shuffle with order: CRD."""

    kind: ClassVar[str] = "depth_to_space"
    family: ClassVar[str] = "shape"
    positional: ClassVar[tuple[str, ...]] = ("block",)

    block: PositiveInt
    """Pixels in a block's height and width."""
    order: Literal["DCR", "CRD"] = "DCR"
    """Of the channels of a block, in ONNX's words. DCR: row, column, channel, as TensorFlow's. CRD: channel, row,
    column, as PyTorch's."""

    def infer_shape(self, *inputs: Shape) -> Shape:
        height, width, channels = image(inputs[0], self.kind)
        if channels % self.block**2:
            raise RuleError(
                "G203", f"block={self.block} needs a multiple of {self.block**2} channels, got {channels}", "block"
            )
        return height * self.block, width * self.block, channels // self.block**2

    def reach(self, *inputs: Shape) -> tuple[Reach, ...]:
        axis = Reach(self.block, 1, (0,) * self.block, (0,) * self.block)
        return axis, axis

    def does_nothing(self, *inputs: Shape) -> bool:
        return self.block == 1

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        (x,) = inputs
        return build.op("DepthToSpace", x, shape=self.infer_shape(x.shape), blocksize=self.block, mode=self.order)

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        return Step(
            _spread(inputs[0], self.block, self.order), lambda dy: Gradients((_gather(dy, self.block, self.order),))
        )

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        block, order = self.block, self.order
        back = lambda dy: EmittedGradients((between_layers(_emit_gather(channels_last(dy), block, order)),))  # noqa: E731
        return EmittedStep(build.emitted(self, inputs), back)


def _gather(x: Array, block: int, order: str) -> Array:
    """N H W C to N H/b W/b b*b*C."""
    batch, height, width, channels = x.shape
    blocks = x.reshape(batch, height // block, block, width // block, block, channels)
    axes = (0, 1, 3, 2, 4, 5) if order == "DCR" else (0, 1, 3, 5, 2, 4)
    return blocks.transpose(axes).reshape(batch, height // block, width // block, block**2 * channels)


def _spread(x: Array, block: int, order: str) -> Array:
    """N H W b*b*C to N H*b W*b C."""
    batch, height, width, channels = x.shape
    sizes = (block, block, channels // block**2) if order == "DCR" else (channels // block**2, block, block)
    axes = (0, 1, 3, 2, 4, 5) if order == "DCR" else (0, 1, 4, 2, 5, 3)
    blocks = x.reshape(batch, height, width, *sizes)
    return blocks.transpose(axes).reshape(batch, height * block, width * block, channels // block**2)


def _emit_gather(x: Tensor, block: int, order: str) -> Tensor:
    """`_gather` in nodes."""
    batch, height, width, channels = x.shape
    axes = (0, 1, 3, 2, 4, 5) if order == "DCR" else (0, 1, 3, 5, 2, 4)
    blocks = x.reshape(batch, height // block, block, width // block, block, channels).transpose(*axes)
    return blocks.reshape(batch, height // block, width // block, block**2 * channels)


def _emit_spread(x: Tensor, block: int, order: str) -> Tensor:
    """`_spread` in nodes."""
    batch, height, width, channels = x.shape
    sizes = (block, block, channels // block**2) if order == "DCR" else (channels // block**2, block, block)
    axes = (0, 1, 3, 2, 4, 5) if order == "DCR" else (0, 1, 4, 2, 5, 3)
    blocks = x.reshape(batch, height, width, *sizes).transpose(*axes)
    return blocks.reshape(batch, height * block, width * block, channels // block**2)
