"""1×1 convolution of stride 1: the images are the matrix already, and nothing is unfolded or copied."""

from __future__ import annotations

from typing import ClassVar

from graphc.kernels.conv.algorithm import ConvAlgorithm, Verdict
from graphc.kernels.conv.layout import channel_groups, column_chunks, filter_matrix, pixel_rows
from graphc.kernels.conv.problem import ConvProblem
from graphc.lazy import np
from graphc.types import Array, Context


class Pointwise(ConvAlgorithm):
    name: ClassVar[str] = "pointwise"

    def supports(self, problem: ConvProblem) -> Verdict:
        return Verdict(problem.geometry.is_identity, "1×1 windows of stride 1 without padding only")

    def pays(self, problem: ConvProblem) -> Verdict:
        return Verdict(True, "1×1 windows of stride 1: pixels are the rows of a matrix as they lie")

    def forward(self, context: Context, problem: ConvProblem, x: Array, w: Array) -> Array:
        y = context.empty(problem.y_shape, x.dtype)
        for part in column_chunks(problem, x):
            for inputs, outputs in channel_groups(problem):
                rows = pixel_rows(np.ascontiguousarray(x[part])[..., inputs])
                np.matmul(rows, filter_matrix(w[..., outputs]), out=pixel_rows(y[part][..., outputs]))
        return y

    def input_gradient(self, context: Context, problem: ConvProblem, dy: Array, w: Array) -> Array:
        """dy times the transposed filters."""
        dx = context.empty(problem.x_shape, dy.dtype)
        for part in column_chunks(problem, dy):
            for inputs, outputs in channel_groups(problem):
                rows = pixel_rows(dy[part][..., outputs])
                np.matmul(rows, filter_matrix(w[..., outputs]).T, out=pixel_rows(dx[part][..., inputs]))
        return dx

    def weight_gradient(self, context: Context, problem: ConvProblem, x: Array, dy: Array) -> Array:
        """x, transposed, times dy."""
        dw = context.empty(problem.w_shape, x.dtype)
        dw[...] = 0
        for part in column_chunks(problem, x):
            for inputs, outputs in channel_groups(problem):
                rows = pixel_rows(np.ascontiguousarray(x[part])[..., inputs])
                product = rows.T @ pixel_rows(dy[part][..., outputs])
                dw[..., outputs] += product.reshape(*problem.w_shape[:3], -1)
        return dw
