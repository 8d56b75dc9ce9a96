"""Convolution of sequences and volumes by that of images, whichever algorithm computes it.

A sequence is an image of one row. A volume's window is a stack of planar ones: for each tap along the depth, the planes
that it reads are images of a batch, and the results are summed, in the order of the taps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from graphc.kernels.conv.problem import ConvPart, ConvProblem
from graphc.kernels.unfold import Grid
from graphc.lazy import lazy_import, np
from graphc.types import Array, Context
from graphc.window import Window

if TYPE_CHECKING:
    from graphc.kernels.conv import choose, operations
else:
    choose = lazy_import("graphc.kernels.conv.choose")
    operations = lazy_import("graphc.kernels.conv.operations")  # with all algorithms, which planning asks for nothing


@dataclass(frozen=True, slots=True)
class ImageProblem:
    """A convolution of images, as it is."""

    plane: ConvProblem

    def parts(self) -> tuple[ConvPart, ...]:
        return (ConvPart("", self.plane),)

    def forward(self, context: Context, x: Array, w: Array) -> Array:
        """y [N, H', W', F] of x [N, H, W, C] and w [kh, kw, C/groups, F]."""
        return operations.conv2d(context, self.plane, x, w)

    def gradients(
        self, context: Context, x: Array, dy: Array, w: Array, of_weights: bool
    ) -> tuple[Array | None, Array | None]:
        """dx [N, H, W, C], if the context asks for it, and dw [kh, kw, C/groups, F], if it is asked for."""
        return operations.conv2d_gradients(context, self.plane, x, dy, w, of_weights)

    def input_gradient(self, context: Context, dy: Array, w: Array) -> Array:
        """dx [N, H, W, C] of dy [N, H', W', F] and w [kh, kw, C/groups, F]."""
        return operations.conv2d_input_gradient(context, self.plane, dy, w)

    def weight_gradient(self, context: Context, x: Array, dy: Array) -> Array:
        """dw [kh, kw, C/groups, F] of x [N, H, W, C] and dy [N, H', W', F]."""
        return operations.conv2d_weight_gradient(context, self.plane, x, dy)


@dataclass(frozen=True, slots=True)
class SequenceProblem:
    """A convolution of sequences: x is [N, L, C], w [k, C/groups, F], y [N, L', F]."""

    row: ConvProblem
    """The same of images of one row."""

    def parts(self) -> tuple[ConvPart, ...]:
        return (ConvPart("", self.row),)

    def forward(self, context: Context, x: Array, w: Array) -> Array:
        """y [N, L', F] of x [N, L, C] and w [k, C/groups, F]."""
        return operations.conv2d(context, self.row, x[:, None], w[None])[:, 0]

    def gradients(
        self, context: Context, x: Array, dy: Array, w: Array, of_weights: bool
    ) -> tuple[Array | None, Array | None]:
        """dx [N, L, C], if the context asks for it, and dw [k, C/groups, F], if it is asked for."""
        dx, dw = operations.conv2d_gradients(context, self.row, x[:, None], dy[:, None], w[None], of_weights)
        return None if dx is None else dx[:, 0], None if dw is None else dw[0]

    def input_gradient(self, context: Context, dy: Array, w: Array) -> Array:
        """dx [N, L, C] of dy [N, L', F] and w [k, C/groups, F]."""
        return operations.conv2d_input_gradient(context, self.row, dy[:, None], w[None])[:, 0]

    def weight_gradient(self, context: Context, x: Array, dy: Array) -> Array:
        """dw [k, C/groups, F] of x [N, L, C] and dy [N, L', F]."""
        dw: Array = operations.conv2d_weight_gradient(context, self.row, x[:, None], dy[:, None])[0]
        return dw


@dataclass(frozen=True, slots=True)
class _Tap:
    """What one tap along the depth computes."""

    index: int
    inputs: slice
    """The planes that it reads, of windows where it lies in the volume."""
    outputs: slice
    """Those that it adds to."""
    problem: ConvProblem
    """Of these planes as a batch of images."""


@dataclass(frozen=True, slots=True)
class VolumeProblem:
    """A convolution of volumes: x is [N, D, H, W, C], w [kd, kh, kw, C/groups, F], y [N, D', H', W', F]."""

    x_shape: tuple[int, ...]
    w_shape: tuple[int, ...]
    y_shape: tuple[int, ...]
    taps: tuple[_Tap, ...]
    """Those that read the volume anywhere."""

    @staticmethod
    def of(depth: Window, batch: int, plane: Callable[[int], ConvProblem]) -> VolumeProblem:
        """`depth` is the window along the depth, `plane` the convolution of so many images."""
        size, output, before = depth.size, depth.output, depth.before
        assert isinstance(size, int)
        assert isinstance(output, int)
        assert before is not None
        taps = []
        for index in range(depth.kernel):
            first = index * depth.dilation - before  # what the first window reads here
            low = max(-(first // depth.stride), 0)  # the first window that reads a plane of the volume
            high = min((size - 1 - first) // depth.stride + 1, output)
            if low < high:
                start = first + low * depth.stride
                inputs = slice(start, start + (high - low - 1) * depth.stride + 1, depth.stride)
                taps.append(_Tap(index, inputs, slice(low, high), plane(batch * (high - low))))
        whole = plane(batch)
        x_shape, y_shape = (batch, size, *whole.x_shape[1:]), (batch, output, *whole.y_shape[1:])
        return VolumeProblem(x_shape, (depth.kernel, *whole.w_shape), y_shape, tuple(taps))

    def parts(self) -> tuple[ConvPart, ...]:
        return tuple(ConvPart(f"depth {tap.index}", tap.problem) for tap in self.taps)

    def forward(self, context: Context, x: Array, w: Array) -> Array:
        """y [N, D', H', W', F] of x [N, D, H, W, C] and w [kd, kh, kw, C/groups, F]."""
        y = context.empty(self.y_shape, x.dtype)
        y[...] = 0
        for tap in self.taps:
            target = y[:, tap.outputs]
            target += _volumes(operations.conv2d(context, tap.problem, _planes(x[:, tap.inputs]), w[tap.index]), target)
        return y

    def gradients(
        self, context: Context, x: Array, dy: Array, w: Array, of_weights: bool
    ) -> tuple[Array | None, Array | None]:
        """dx [N, D, H, W, C], if the context asks for it, and dw [kd, kh, kw, C/groups, F], if it is asked for."""
        dw = self.weight_gradient(context, x, dy) if of_weights else None
        return self.input_gradient(context, dy, w) if context.input_gradient else None, dw

    def input_gradient(self, context: Context, dy: Array, w: Array) -> Array:
        """dx [N, D, H, W, C] of dy [N, D', H', W', F] and w [kd, kh, kw, C/groups, F]."""
        dx = context.empty(self.x_shape, dy.dtype)
        dx[...] = 0
        for tap in self.taps:
            target = dx[:, tap.inputs]
            back = operations.conv2d_input_gradient(context, tap.problem, _planes(dy[:, tap.outputs]), w[tap.index])
            target += _volumes(back, target)
        return dx

    def weight_gradient(self, context: Context, x: Array, dy: Array) -> Array:
        """dw [kd, kh, kw, C/groups, F] of x [N, D, H, W, C] and dy [N, D', H', W', F]."""
        dw = np.zeros(self.w_shape, x.dtype)
        for tap in self.taps:
            planes = _planes(x[:, tap.inputs]), _planes(dy[:, tap.outputs])
            dw[tap.index] = operations.conv2d_weight_gradient(context, tap.problem, *planes)
        return dw


AnyConvProblem: TypeAlias = SequenceProblem | ImageProblem | VolumeProblem


def problem_of(
    windows: Sequence[Window], grid: Grid, channels: tuple[int, int, int], batch: int, dtype: Any, training: bool
) -> AnyConvProblem:
    """That of windows along each axis, of which `grid` has the planar ones; `channels` are those of w, in and out, and
    the groups."""
    taken, given, groups = channels

    def plane(images: int) -> ConvProblem:
        return ConvProblem.of(grid, (*grid.kernel, taken, given), groups, images, dtype, training)

    if len(windows) == 1:
        return SequenceProblem(plane(batch))
    return ImageProblem(plane(batch)) if len(windows) == 2 else VolumeProblem.of(windows[0], batch, plane)


def leaves_errors(problem: AnyConvProblem, backwards: bool = False) -> bool:
    """Whether an algorithm that is chosen makes of zeros alone what is not exactly 0; `backwards`: as the gradient of
    the input."""
    chosen = choose.choose_input_gradient_algorithm if backwards else choose.choose_conv_algorithm
    return any(chosen(part.problem).algorithm.transforms for part in problem.parts())


def _planes(volumes: Array) -> Array:
    """[N, D, H, W, C] as images [N*D, H, W, C]."""
    return volumes.reshape(-1, *volumes.shape[2:])


def _volumes(images: Array, like: Array) -> Array:
    """Images [N*D, H, W, C] as volumes of the shape of `like`, [N, D, H, W, C]."""
    return images.reshape(like.shape)
