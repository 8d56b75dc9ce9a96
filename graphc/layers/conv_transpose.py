"""Transposed convolution."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

from pydantic import model_validator

from graphc.dims import Dim, Shape, bounds
from graphc.errors import RuleError
from graphc.kernels.conv import AnyConvProblem, ConvPart, problem_of
from graphc.kernels.conv.blank import blank_outputs
from graphc.kernels.conv.ranks import leaves_errors
from graphc.kernels.unfold import Grid
from graphc.layers.base import Layer, check_made, elements
from graphc.layers.fields import Ints2d, Naturals2d, Padding, PositiveInt, axis_padding
from graphc.layers.like import SizedLike, size_of, spatial_axes_of
from graphc.layers.per_axis import written
from graphc.layers.weighted import Weighted, check_groups, product
from graphc.layers.windowed import OF_INPUT, OfRank, both_ends, in_plane
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.receptive_field import Reach
from graphc.training_graph.conv import convolution, weight_gradient
from graphc.training_graph.step import EmittedGradients, EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor, channels_first, from_channels_first
from graphc.types import Array, Context, Gradients, Params, Step
from graphc.variables import SPATIAL_LETTERS, ParamSpec
from graphc.window import TransposedWindow, Window


class ConvTranspose(SizedLike, OfRank, Weighted):
    """The transpose of a convolution, of any rank."""

    family: ClassVar[str] = "convolution"
    donates_output: ClassVar[bool] = True
    positional: ClassVar[tuple[str, ...]] = ("filters", "kernel", "stride")

    filters: PositiveInt
    """Output channels."""
    kernel: Ints2d
    """The window's pixels: one number for both axes, or [height, width]."""
    stride: Ints2d = (1, 1)
    """Outputs from one window to the next: one number, or [vertical, horizontal]."""
    padding: Padding = "same"
    """same (size*stride outputs), valid (and kernel - stride more), or the pixels that are cut off each side."""
    output_padding: Naturals2d = (0, 0)
    """Outputs added below and at the right, where padding is in pixels; less than the stride. `like` chooses them."""

    dilation: Ints2d = (1, 1)
    """Outputs from one tap of the window to the next: one number, or [vertical, horizontal]."""
    groups: PositiveInt = 1
    """Parts into which channels and filters are cut; each part of the channels writes its own filters only."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.like is not None and any(self.output_padding):
            raise ValueError("like chooses output_padding: write one of both")
        return self

    def windows(self, sizes: Shape) -> tuple[TransposedWindow, ...]:
        """The window along each axis; with `like` without the outputs that it adds."""
        more = self.output_padding
        if any(more) and isinstance(self.padding, str):
            message = f"output_padding={written(more)} goes with padding in pixels, not with {self.padding}"
            raise RuleError("G208", message, "output_padding")
        if any(added >= stride for added, stride in zip(more, self.stride, strict=True) if added):
            message = f"output_padding={written(more)} must be less than stride={written(self.stride)}"
            raise RuleError("G208", message, "output_padding")
        return tuple(
            TransposedWindow.over(
                size,
                self.kernel[axis],
                self.stride[axis],
                axis_padding(self.padding, axis),
                more[axis],
                self.dilation[axis],
            )
            for axis, size in enumerate(sizes)
        )

    def with_size(self, x: Shape, size: tuple[Any, ...]) -> Layer:
        """With padding in pixels, whatever it was: of `same` there is more where the output is smaller."""
        pads, added = [], []
        for axis, new in enumerate(size):
            cut, more = self._fitting(x[:-1], new, axis)
            pads.append(cut)
            added.append(more)
        return self.model_copy(update={"padding": tuple(pads), "output_padding": tuple(added), "like": None})

    def _fitting(self, sizes: Shape, new: int, axis: int) -> tuple[tuple[int, int], int]:
        """Outputs cut off and added along an axis, so that inputs of these sizes give `new` outputs there."""
        window = self.windows(sizes)[axis]
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
        of = f"stride={window.stride}, kernel={window.extent} and padding={written(self.padding)}"
        asked = f"like={self.like} asks for {wanted} outputs of {window.size} inputs"
        return f"{asked}, which with {of} give {least} to {most}"

    def _open_pads(self, *inputs: Shape) -> tuple[list[tuple[int, int]], bool]:
        """The outputs cut off along each axis (below 0: added), as few as ever, and whether that gives the size."""
        found, exact = [], True
        for window, new in zip(self.windows(inputs[0][:-1]), self.followed_size(*inputs), strict=True):
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
        sizes, channels = self.sizes(inputs[0])
        check_groups(self.groups, channels, self.filters)
        if self.like is not None:
            known = self.fitted(*inputs)
            if known is not self:
                return known.infer_shape(inputs[0])
            self._open_pads(*inputs)
            return *self.followed_size(*inputs), self.filters
        windows = self.windows(sizes)
        check_made(self.filters * _cut_off(windows), "before its outputs are cut")
        return *(window.output for window in windows), self.filters

    def reach(self, *inputs: Shape) -> tuple[Reach, ...]:
        return tuple(Reach.of_transposed(window) for window in self.windows(self.sizes(inputs[0])[0]))

    def declare_params(self, *inputs: Shape) -> dict[str, ParamSpec]:
        _, channels = self.sizes(inputs[0])
        axes = f"{SPATIAL_LETTERS[self.rank]}OI"
        weights = self.declare_weights(axes, *self.kernel, self.filters // self.groups, channels)
        return {"weights": weights, **self.declare_biases(self.filters)}

    def mixes_channels(self, *inputs: Shape) -> bool:
        """With as many filters as channels it enlarges what there is, as a map of scores."""
        return self.filters != self.sizes(inputs[0])[1]

    def count_macs(self, *inputs: Shape) -> int:
        return elements(inputs[0]) * math.prod(self.kernel) * self.filters // self.groups

    def count_flops(self, *inputs: Shape) -> int:
        biases = elements(self.infer_shape(*inputs)) if self.has_bias else 0
        return 2 * self.count_macs(*inputs) + biases

    def scaled_weights(self, params: Params, scale: Array, overwrite: bool) -> dict[str, Array]:
        weights = params["weights"]  # … F/groups C
        each = scale.reshape(self.groups, -1).T
        return {"weights": product(weights, np.repeat(each, weights.shape[-1] // self.groups, axis=1), overwrite)}

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        x = build.channels_first(inputs[0])
        if self.like is not None:
            return self._emit_following(build, x, build.channels_first(inputs[1]), params)
        pads = [window.pads for window in self.windows(x.shape[:-1])]
        return self._emit_with(build, x, pads, params, self.infer_shape(x.shape))

    def _emit_following(self, build: OnnxBuilder, x: Value, followed: Value, params: Params) -> Value:
        """As many outputs as are ever added, of which those that are too many are cut off again."""
        pads, exact = self._open_pads(x.shape, followed.shape)
        shape = self.infer_shape(x.shape, followed.shape)
        y = self._emit_with(build, x, pads, params, shape)
        if exact:
            return y
        start, axes = (0,) * self.rank, spatial_axes_of(x)
        first, along = (
            build.constant(name, np.asarray(at, np.int64)) for name, at in (("first", start), ("axes", axes))
        )
        return build.op("Slice", y, first, size_of(build, followed), along, shape=shape)

    def _emit_with(
        self, build: OnnxBuilder, x: Value, pads: Sequence[tuple[int, int]], params: Params, shape: Shape
    ) -> Value:
        attributes: dict[str, Any] = {"kernel_shape": list(self.kernel), "strides": list(self.stride)}
        if max(self.dilation) > 1:
            attributes["dilations"] = list(self.dilation)
        if self.groups > 1:
            attributes["group"] = self.groups
        attributes["pads"] = both_ends([(before, max(after, 0)) for before, after in pads])
        if any(after < 0 for _, after in pads):
            attributes["output_padding"] = [max(-after, 0) for _, after in pads]
        order = (self.rank + 1, self.rank, *range(self.rank))
        weights = build.constant("weights", params["weights"].transpose(*order))  # C F/groups …
        biases = self.emit_biases(build, params)
        return build.op("ConvTranspose", x, weights, biases, shape=shape, **attributes)

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        if self.like is not None:
            return self.forward_fitted(context, params, *inputs)
        (x,) = inputs
        weights = params["weights"]
        problem = self.mirror(x.shape, x.dtype, context.training)
        y = problem.input_gradient(context, x, weights)
        if self.has_zero_bias(context, params) and leaves_errors(problem, backwards=True):
            blank = blank_outputs(x, [_mirrored(window) for window in self.windows(x.shape[1:-1])])
            if blank is not None:
                y[blank] = 0
        self.add_biases(params, y)

        def backward(dy: Array) -> Gradients:
            gradients = self.bias_gradients(context, dy)
            if self.learns(context, "weights"):
                gradients["weights"] = problem.weight_gradient(context, dy, x)
            return Gradients((problem.forward(context, dy, weights) if context.input_gradient else None,), gradients)

        return Step(y, backward)

    def convolutions(self, x_shape: tuple[int, ...], dtype: Any, training: bool) -> tuple[ConvPart, ...]:
        return tuple(replace(part, backwards=True) for part in self.mirror(x_shape, dtype, training).parts())

    def mirror(self, x_shape: tuple[int, ...], dtype: Any, training: bool) -> AnyConvProblem:
        """The convolution from the output to x, [N, …, C], whose transpose this is.

        Outputs that were added come after its last window, so that it needs no padding there.
        """
        batch, *sizes, channels = x_shape
        windows = [_mirrored(window) for window in self.windows(tuple(sizes))]
        grid = Grid.of(
            in_plane([_fixed(window.size) for window in windows], 1),
            in_plane(self.kernel, 1),
            in_plane(self.stride, 1),
            in_plane([window.pads or (0, 0) for window in windows], (0, 0)),
            in_plane(self.dilation, 1),
        )
        counts = self.filters // self.groups, channels, self.groups
        return problem_of(windows, grid, counts, batch, dtype, training)

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        if self.like is not None:
            return self.emit_fitted(build, params, *inputs)
        (x,) = inputs
        weights = params["weights"]
        windows = [_mirrored(window) for window in self.windows(x.example[:-1])]

        def backward(dy: Tensor) -> EmittedGradients:
            given, filters = channels_first(dy), weights.transpose(self.rank + 1, self.rank, *range(self.rank))
            dx = convolution(given, filters, windows, self.groups, channels_first(x).shape)
            dw = weight_gradient(given, channels_first(x), windows, self.groups)
            return EmittedGradients((from_channels_first(dx),), {"weights": dw, **self.emit_bias_gradients(dy)})

        return EmittedStep(build.emitted(self, inputs, params), backward)


class Conv2dTranspose(ConvTranspose):
    """The transpose of a convolution: each input pixel writes a window of outputs, `stride` apart."""

    kind: ClassVar[str] = "conv2d_transpose"


def _cut_off(windows: Sequence[TransposedWindow]) -> int:
    """How many more numbers there are before outputs are cut off than may be for those that stay; an open size counts
    as 1."""
    full = made = 1
    for window in windows:
        pixels = (window.size - 1) * window.stride if isinstance(window.size, int) else 0
        full *= pixels + window.extent
        made *= window.output if isinstance(window.output, int) else 1
    return full - OF_INPUT * made


def _mirrored(window: TransposedWindow) -> Window:
    """The window, over the outputs, whose transpose this one is."""
    before, after = window.pads[0], max(window.pads[1], 0)
    return Window(window.output, window.kernel, window.stride, window.dilation, window.size, (before, after), before)


def _fixed(size: Dim) -> int:
    assert isinstance(size, int)
    return size
