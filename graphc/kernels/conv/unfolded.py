"""Convolution as one matrix product over unfolded windows (im2col), for every geometry.

Each window of kh*kw*C numbers is copied out as the row of a matrix; y is that matrix times the filters, kh*kw*C × F.
(Chellapilla, Puri & Simard, "High Performance Convolutional Neural Networks for Document Processing", 2006.) The copies
are kh*kw times the images, so the batch is walked in chunks of whole images whose windows stay in the cache, and sums
over the batch are taken in the order of the chunks.

At a stride the gradient of the input was also tried phase by phase, as several convolutions of stride 1: slower.
"""

from __future__ import annotations

from typing import ClassVar

from graphc.kernels.conv.algorithm import ConvAlgorithm, Verdict
from graphc.kernels.conv.layout import channel_groups, column_chunks, filter_matrix, pixel_rows
from graphc.kernels.conv.problem import ConvProblem
from graphc.kernels.unfold import Grid, copy_strided, fold, pad_images, windows
from graphc.lazy import np
from graphc.types import Array, Context


class Unfolded(ConvAlgorithm):
    name: ClassVar[str] = "unfolded"

    def supports(self, problem: ConvProblem) -> Verdict:
        return Verdict(True, "every convolution")

    def pays(self, problem: ConvProblem) -> Verdict:
        return Verdict(True, f"{_in_the_way(problem)}: windows as rows of one matrix product")

    def forward(self, context: Context, problem: ConvProblem, x: Array, w: Array) -> Array:
        y = context.empty(problem.y_shape, x.dtype)
        for part in column_chunks(problem, x):
            padded = pad_images(context, x[part], problem.geometry)
            for inputs, outputs in channel_groups(problem):
                columns = _columns(context, padded[..., inputs], problem.geometry)
                np.matmul(columns, filter_matrix(w[..., outputs]), out=pixel_rows(y[part][..., outputs]))
                del columns
        return y

    def input_gradient(self, context: Context, problem: ConvProblem, dy: Array, w: Array) -> Array:
        """Each window's gradient is dy times the transposed filters; windows that overlap are added up."""
        grid = problem.geometry
        dx = context.empty(problem.x_shape, dy.dtype)
        for part in column_chunks(problem, dy):
            for inputs, outputs in channel_groups(problem):
                rows = pixel_rows(dy[part][..., outputs])
                matrix = filter_matrix(w[..., outputs]).T
                columns = context.empty((len(rows), matrix.shape[1]), dy.dtype)
                np.matmul(rows, matrix, out=columns)
                patches = columns.reshape(-1, *grid.output, *w.shape[:3])
                dx[part][..., inputs] = fold(context, patches, grid)
                del columns, patches
        return dx

    def weight_gradient(self, context: Context, problem: ConvProblem, x: Array, dy: Array) -> Array:
        """Windows, transposed, times dy."""
        dw = context.empty(problem.w_shape, x.dtype)
        dw[...] = 0
        for part in column_chunks(problem, x):
            padded = pad_images(context, x[part], problem.geometry)
            for inputs, outputs in channel_groups(problem):
                columns = _columns(context, padded[..., inputs], problem.geometry)
                product = columns.T @ pixel_rows(dy[part][..., outputs])
                dw[..., outputs] += product.reshape(*problem.w_shape[:3], -1)
                del columns
        return dw


def _in_the_way(problem: ConvProblem) -> str:
    """Of what is more special, in a few words."""
    grid = problem.geometry
    if problem.groups > 1:
        return f"{problem.groups} groups"
    for what, (down, along) in (("stride", grid.stride), ("dilation", grid.dilation)):
        if max(down, along) > 1:
            return f"{what} {down}" if down == along else f"{what} {down}×{along}"
    if min(map(min, grid.opposite_pads)) < 0:
        return "padding as wide as the window"
    (kh, kw), (height, width) = grid.kernel, grid.output
    sizes = f"{kh}×{kw} taps, {problem.channels} channels, {problem.filters} filters, {height}×{width} outputs"
    return f"nothing saves enough at {sizes}"


def _columns(context: Context, padded: Array, grid: Grid) -> Array:
    """Windows as rows of a matrix: n*H'*W' × kh*kw*C."""
    shape, strides = windows(padded, grid)
    return copy_strided(context, padded, shape, strides).reshape(-1, shape[3] * shape[4] * shape[5])
