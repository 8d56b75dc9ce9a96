"""Convolution and its gradients by their definition, one output pixel and one tap at a time."""

from __future__ import annotations

import itertools

import numpy as np

from graphc.kernels.conv import ConvProblem
from graphc.kernels.unfold import Grid


def problem_of(
    size, kernel, stride, pads, dilation, channels, filters, *, groups=1, batch=3, dtype=float, training=True
):
    grid = Grid.of(size, kernel, stride, pads, dilation)
    return ConvProblem(grid, channels, filters, groups, batch, np.dtype(dtype), training)


def drawn(problem, seed=0):
    """x, w and dy."""
    rng = np.random.default_rng(seed)
    return [
        rng.normal(size=shape).astype(problem.dtype) for shape in (problem.x_shape, problem.w_shape, problem.y_shape)
    ]


def plain(problem, x, w, dy):
    """y, dx and dw, in float64."""
    grid = problem.geometry
    padded = np.pad(x.astype(np.float64), ((0, 0), *grid.pads, (0, 0)))
    dx, y, dw = np.zeros_like(padded), np.zeros(problem.y_shape), np.zeros(problem.w_shape)
    _, _, inputs, filters = problem.w_shape
    height, width = grid.output
    for group, r, c in itertools.product(range(problem.groups), range(height), range(width)):
        read = slice(group * inputs, (group + 1) * inputs)
        written = slice(group * filters // problem.groups, (group + 1) * filters // problem.groups)
        for i, j in itertools.product(*map(range, grid.kernel)):
            row, column = r * grid.stride[0] + i * grid.dilation[0], c * grid.stride[1] + j * grid.dilation[1]
            pixel, slope = padded[:, row, column, read], dy[:, r, c, written].astype(np.float64)
            y[:, r, c, written] += pixel @ w[i, j, :, written]
            dx[:, row, column, read] += slope @ w[i, j, :, written].T
            dw[i, j, :, written] += pixel.T @ slope
    (top, _), (left, _) = grid.pads
    return y, dx[:, top : top + grid.size[0], left : left + grid.size[1]], dw
