"""Sizes that follow another layer's.

`like` is one more input of the layer, of which nothing but the spatial sizes are read (height and width of an image).
Where these are numbers, the layer is fitted to them and reads it no more; what is left is open sizes, which the ONNX
file asks its tensors for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import StrictStr

from graphc.dims import Shape, format_shape, is_spatial, is_static
from graphc.errors import RuleError
from graphc.expected import Expects
from graphc.layers.base import Layer, spatial
from graphc.layers.protocols import EmitsTraining
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.training_graph.step import EmittedGradients, EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor
from graphc.types import Array, Context, Gradients, Params, Step


class SizedLike(Layer):
    """A layer whose output may have the size of another's."""

    like: Annotated[StrictStr | None, Expects("the name of a layer or an input")] = None
    """A layer or input whose height and width (length; depth, height and width) the output has, looked up as `inputs`
    are."""

    @property
    def follows(self) -> str | None:
        return self.like

    def fitted(self, *inputs: Shape) -> Layer:
        if self.like is None or not all(is_spatial(shape) and is_static(shape[:-1]) for shape in inputs):
            return self
        return self.with_size(inputs[0], self.followed_size(*inputs))

    def with_size(self, x: Shape, size: tuple[Any, ...]) -> Layer:
        """This layer with `like` as numbers: of an input of the shape `x`, to these spatial sizes."""
        raise NotImplementedError(self.kind)

    def followed_size(self, *inputs: Shape) -> Shape:
        """The spatial sizes of what it follows."""
        sizes, _ = spatial(inputs[-1], f"{self.kind}: like={self.like}")
        if len(inputs[0]) != len(inputs[-1]):
            message = (
                f"like={self.like} is {format_shape(inputs[-1])}, which has not the axes of {format_shape(inputs[0])}"
            )
            raise RuleError("G201", message, "like")
        return sizes

    def forward_fitted(self, context: Context, params: Params, *inputs: Array) -> Step:
        """`forward` of [N, …, C] and what it follows, which gets no gradient."""
        x, followed = inputs
        step = self.fitted(x.shape[1:], followed.shape[1:]).forward(context, params, x)

        def backward(dy: Array) -> Gradients:
            answer = step.backward(dy)
            return Gradients((*answer.inputs, None), answer.params)

        return Step(step.output, backward, step.updates)

    def emit_fitted(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        """`emit_training` of a tensor and what it follows, which gets no gradient."""
        x, followed = inputs
        fitted = self.fitted(x.example, followed.example)
        assert isinstance(fitted, EmitsTraining)
        step = fitted.emit_training(build, params, x)

        def backward(dy: Tensor) -> EmittedGradients:
            answer = step.backward(dy)
            return EmittedGradients((*answer.inputs, None), answer.params)

        return EmittedStep(step.output, backward, step.updates)


def check_within(like: str | None, size: Sequence[int], whole: Shape) -> None:
    """A RuleError where a size is larger than the whole."""
    if any(small > large for small, large in zip(size, whole, strict=True) if isinstance(large, int)):
        message = f"like={like} is {format_shape(tuple(size))}, which is larger than its input of {format_shape(whole)}"
        raise RuleError("G203", message, "like")


def size_of(build: OnnxBuilder, x: Value) -> Value:
    """The spatial sizes of a value that lies channels first, as int64 [axes], in the file."""
    rank = len(x.shape) + 1
    names = [build.constant(name, np.asarray([at], np.int64)) for name, at in (("first_axis", 2), ("end", rank))]
    return build.op("Slice", build.op("Shape", x, shape=(rank,)), *names, shape=(rank - 2,))


def spatial_axes_of(x: Value) -> list[int]:
    """The tensor's spatial axes, of a value that lies channels first."""
    return list(range(2, len(x.shape) + 1))
