"""Transposed convolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import model_validator

from graphc.dims import Dim, Shape, bounds
from graphc.errors import RuleError
from graphc.kernels.conv import ConvPart, ConvProblem, conv2d, conv2d_input_gradient, conv2d_weight_gradient
from graphc.kernels.unfold import Grid
from graphc.layers.base import Layer, elements, image
from graphc.layers.fields import IntPair, NaturalPair, Padding, PositiveInt, axis_padding
from graphc.layers.like import SizedLike, size_of
from graphc.layers.weighted import Weighted, check_groups, product
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.receptive_field import Reach
from graphc.types import Array, Context, Gradients, Params, Step
from graphc.variables import ParamSpec
from graphc.window import TransposedWindow


class Conv2dTranspose(SizedLike, Weighted):
    """The transpose of a convolution: each input pixel writes a window of outputs, `stride` apart."""

    kind: ClassVar[str] = "conv2d_transpose"
    family: ClassVar[str] = "convolution"
    donates_output: ClassVar[bool] = True
    positional: ClassVar[tuple[str, ...]] = ("filters", "kernel", "stride")

    filters: PositiveInt
    """Output channels."""
    kernel: IntPair
    """The window's pixels: one number for both axes, or [height, width]."""
    stride: IntPair = (1, 1)
    """Outputs from one window to the next: one number, or [vertical, horizontal]."""
    padding: Padding = "same"
    """same (size*stride outputs), valid (and kernel - stride more), or the pixels that are cut off each side."""
    output_padding: NaturalPair = (0, 0)
    """Outputs added below and at the right, where padding is in pixels; less than the stride. `like` chooses them."""

    dilation: IntPair = (1, 1)
    """Outputs from one tap of the window to the next: one number, or [vertical, horizontal]."""
    groups: PositiveInt = 1
    """Parts into which channels and filters are cut; each part of the channels writes its own filters only."""

    @model_validator(mode="after")
    def _consistent(self) -> Conv2dTranspose:
        if self.like is not None and any(self.output_padding):
            raise ValueError("like chooses output_padding: write one of both")
        return self

    def windows(self, height: Dim, width: Dim) -> tuple[TransposedWindow, TransposedWindow]:
        """The window along both axes; with `like` without the outputs that it adds."""
        more = self.output_padding
        if any(more) and isinstance(self.padding, str):
            message = f"output_padding={_written(more)} goes with padding in pixels, not with {self.padding}"
            raise RuleError("G208", message, "output_padding")
        if any(added >= stride for added, stride in zip(more, self.stride, strict=True) if added):
            message = f"output_padding={_written(more)} must be less than stride={_written(self.stride)}"
            raise RuleError("G208", message, "output_padding")
        rows, columns = (
            TransposedWindow.over(
                size,
                self.kernel[axis],
                self.stride[axis],
                axis_padding(self.padding, axis),
                more[axis],
                self.dilation[axis],
            )
            for axis, size in enumerate((height, width))
        )
        return rows, columns

    def with_size(self, x: Shape, size: tuple[Any, Any]) -> Layer:
        """With padding in pixels, whatever it was: of `same` there is more where the output is smaller."""
        pads, added = [], []
        for axis, (old, new) in enumerate(zip(x[:2], size, strict=True)):
            cut, more = self._fitting(old, new, axis)
            pads.append(cut)
            added.append(more)
        return self.model_copy(update={"padding": tuple(pads), "output_padding": tuple(added), "like": None})

    def _fitting(self, old: Dim, new: int, axis: int) -> tuple[tuple[int, int], int]:
        """Outputs cut off and added along an axis, so that `old` inputs give `new` outputs."""
        window = self.windows(old, old)[axis]
        least, most = self._outputs(window)
        assert isinstance(least, int)
        assert isinstance(most, int)
        if not least <= new <= most:
            raise RuleError("G203", self._no_output_padding(window, new, least, most), "like")
        if self.padding in ("same", "same_fixed"):
            cut = least - 1 + window.extent - new  # TensorFlow's rule
            before = max(cut, 0) // 2
            return (before, max(cut, 0) - before), max(-cut, 0)
        before, after = window.pads
        return (before, max(after, 0)), new - least

    def _outputs(self, window: TransposedWindow) -> tuple[Dim, Dim]:
        """How many outputs there can be at least and at most: of as many sizes as the stride a convolution makes so
        many inputs."""
        least = (window.size - 1) * window.stride + 1
        if self.padding not in ("same", "same_fixed"):
            least = least + window.extent - 1 - window.pads[0] - max(window.pads[1], 0)
        return least, least + window.stride - 1

    def _no_output_padding(self, window: TransposedWindow, wanted: Dim, least: Dim, most: Dim) -> str:
        of = f"stride={window.stride}, kernel={window.extent} and padding={_written(self.padding)}"
        asked = f"like={self.like} asks for {wanted} outputs of {window.size} inputs"
        return f"{asked}, which with {of} give {least} to {most}"

    def _open_pads(self, *inputs: Shape) -> tuple[list[tuple[int, int]], bool]:
        """The outputs cut off along both axes (below 0: added), as few as ever, and whether that gives the size."""
        found, exact = [], True
        for window, new in zip(self.windows(*inputs[0][:2]), self.followed_size(*inputs), strict=True):
            if self.padding in ("same", "same_fixed"):
                if new != window.output:
                    message = f"like={self.like} has a size of {new}: padding={self.padding} of an open size gives"
                    raise RuleError("G205", f"{message} {window.output} alone; write padding in pixels", "like")
                found.append(window.pads)
                continue
            least, most = self._outputs(window)
            few, many = bounds(new - least)
            if few < 0 or many >= window.stride:
                raise RuleError("G205", self._no_output_padding(window, new, least, most), "like")
            found.append((window.pads[0], max(window.pads[1], 0) - int(many)))
            exact = exact and few == many
        return found, exact

    def infer_shape(self, *inputs: Shape) -> Shape:
        height, width, channels = image(inputs[0], self.kind)
        check_groups(self.groups, channels, self.filters)
        if self.like is not None:
            known = self.fitted(*inputs)
            if known is not self:
                return known.infer_shape(inputs[0])
            self._open_pads(*inputs)
            return *self.followed_size(*inputs), self.filters
        rows, columns = self.windows(height, width)
        return rows.output, columns.output, self.filters

    def reach(self, *inputs: Shape) -> tuple[Reach, ...]:
        height, width, _ = image(inputs[0], self.kind)
        rows, columns = self.windows(height, width)
        return Reach.of_transposed(rows), Reach.of_transposed(columns)

    def declare_params(self, *inputs: Shape) -> dict[str, ParamSpec]:
        _, _, channels = image(inputs[0], self.kind)
        weights = self.declare_weights("HWOI", *self.kernel, self.filters // self.groups, channels)
        return {"weights": weights, **self.declare_biases(self.filters)}

    def mixes_channels(self, *inputs: Shape) -> bool:
        """With as many filters as channels it enlarges what there is, as a map of scores."""
        return self.filters != image(inputs[0], self.kind)[2]

    def count_macs(self, *inputs: Shape) -> int:
        return elements(inputs[0]) * self.kernel[0] * self.kernel[1] * self.filters // self.groups

    def count_flops(self, *inputs: Shape) -> int:
        biases = elements(self.infer_shape(*inputs)) if self.has_bias else 0
        return 2 * self.count_macs(*inputs) + biases

    def scaled_weights(self, params: Params, scale: Array, overwrite: bool) -> dict[str, Array]:
        weights = params["weights"]  # kh kw F/groups C
        each = scale.reshape(self.groups, -1).T
        return {"weights": product(weights, np.repeat(each, weights.shape[3] // self.groups, axis=1), overwrite)}

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        if self.like is not None:
            return self._emit_following(build, inputs[0], inputs[1], params)
        (x,) = inputs
        pads = [window.pads for window in self.windows(*x.shape[:2])]
        return self._emit_with(build, x, pads, params, self.infer_shape(x.shape))

    def _emit_following(self, build: OnnxBuilder, x: Value, followed: Value, params: Params) -> Value:
        """As many outputs as are ever added, of which those that are too many are cut off again."""
        pads, exact = self._open_pads(x.shape, followed.shape)
        shape = self.infer_shape(x.shape, followed.shape)
        y = self._emit_with(build, x, pads, params, shape)
        if exact:
            return y
        first, axes = (
            build.constant(name, np.asarray(at, np.int64)) for name, at in (("first", (0, 0)), ("axes", (2, 3)))
        )
        return build.op("Slice", y, first, size_of(build, followed), axes, shape=shape)

    def _emit_with(
        self, build: OnnxBuilder, x: Value, pads: Sequence[tuple[int, int]], params: Params, shape: Shape
    ) -> Value:
        (top, bottom), (left, right) = pads
        attributes: dict[str, Any] = {"kernel_shape": list(self.kernel), "strides": list(self.stride)}
        if self.dilation != (1, 1):
            attributes["dilations"] = list(self.dilation)
        if self.groups > 1:
            attributes["group"] = self.groups
        attributes["pads"] = [top, left, max(bottom, 0), max(right, 0)]
        if bottom < 0 or right < 0:
            attributes["output_padding"] = [max(-bottom, 0), max(-right, 0)]
        weights = build.constant("weights", params["weights"].transpose(3, 2, 0, 1))  # C F/groups kh kw
        biases = self.emit_biases(build, params)
        return build.op("ConvTranspose", x, weights, biases, shape=shape, **attributes)

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        if self.like is not None:
            return self.forward_fitted(context, params, *inputs)
        (x,) = inputs
        weights = params["weights"]
        problem = self.mirror(x.shape, x.dtype, context.training)
        y = conv2d_input_gradient(context, problem, x, weights)
        self.add_biases(params, y)

        def backward(dy: Array) -> Gradients:
            gradients = self.bias_gradients(context, dy)
            if self.learns(context, "weights"):
                gradients["weights"] = conv2d_weight_gradient(context, problem, dy, x)
            return Gradients((conv2d(context, problem, dy, weights) if context.input_gradient else None,), gradients)

        return Step(y, backward)

    def convolutions(self, x_shape: tuple[int, ...], dtype: Any, training: bool) -> tuple[ConvPart, ...]:
        return (ConvPart("", self.mirror(x_shape, dtype, training), backwards=True),)

    def mirror(self, x_shape: tuple[int, ...], dtype: Any, training: bool) -> ConvProblem:
        """The convolution from the output to x, N H W C, whose transpose this is.

        Outputs that were added come after its last window, so that it needs no padding there.
        """
        batch, height, width, channels = x_shape
        rows, columns = self.windows(height, width)
        pads = (rows.pads[0], max(rows.pads[1], 0)), (columns.pads[0], max(columns.pads[1], 0))
        assert isinstance(rows.output, int)
        assert isinstance(columns.output, int)
        grid = Grid.of((rows.output, columns.output), self.kernel, self.stride, pads, self.dilation)
        w_shape = (*self.kernel, self.filters // self.groups, channels)
        return ConvProblem.of(grid, w_shape, self.groups, batch, dtype, training)


def _written(value: Any) -> Any:
    """A pair as one number where both are equal."""
    if isinstance(value, tuple):
        parts = [_written(each) for each in value]
        return parts[0] if parts[0] == parts[1] else parts
    return value
