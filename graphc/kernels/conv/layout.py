"""Images and filters as matrices, group by group."""

from __future__ import annotations

from collections.abc import Iterator

from graphc.kernels.chunks import chunks
from graphc.kernels.conv.problem import ConvProblem
from graphc.types import Array

CHUNK_BYTES = 1 << 20
"""Windows of one chunk of images and one group, as rows: half of the second-level cache of one core."""


def column_chunks(problem: ConvProblem, images: Array) -> Iterator[slice]:
    """Runs of images [N, H, W, C] whose windows fit the cache."""
    (rows, columns), (kh, kw, inputs, _) = problem.geometry.output, problem.w_shape
    return chunks(images, CHUNK_BYTES, rows * columns * kh * kw * inputs * images.itemsize)


def channel_groups(problem: ConvProblem) -> Iterator[tuple[slice, slice]]:
    """Channels that each group reads and writes."""
    inputs, outputs = problem.channels // problem.groups, problem.filters // problem.groups
    for g in range(problem.groups):
        yield slice(g * inputs, (g + 1) * inputs), slice(g * outputs, (g + 1) * outputs)


def pixel_rows(images: Array) -> Array:
    """[N, H, W, C] as a matrix [pixels, C]: a view where each pixel's channels are next to another."""
    return images.reshape(-1, images.shape[-1])


def filter_matrix(w: Array) -> Array:
    """Filters [kh, kw, C, F] as a matrix [kh*kw*C, F]."""
    return w.reshape(-1, w.shape[-1])
