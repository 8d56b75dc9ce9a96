"""NumPy's broadcasting of examples: axes are compared from the last, sizes are equal or one of them is 1.

The batch is apart: [N, C] meets [N, H, W, C] as [N, 1, 1, C], not as [1, N, 1, C].
"""

from __future__ import annotations

from collections.abc import Sequence

from graphc.dims import Shape, axis_names, format_shape, is_static
from graphc.errors import RuleError
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.types import Array


def broadcast(kind: str, shapes: Sequence[Shape]) -> Shape:
    """The shape that all of these become, or an error that says which axis of which two does not fit."""
    whole = shapes[0]
    for shape in shapes[1:]:
        if shape != whole:
            whole = _pair(kind, whole, shape, shapes)
    return whole


def _pair(kind: str, one: Shape, other: Shape, shapes: Sequence[Shape]) -> Shape:
    rank = max(len(one), len(other))
    found = []
    for name, a, b in zip(axis_names(rank), widened(one, rank), widened(other, rank), strict=True):
        if a != b and 1 not in (a, b):
            got = " and ".join(format_shape(shape) for shape in shapes)
            message = f"{kind} expects shapes of equal sizes, or 1, along each axis, got {got}: {name} is {a} and {b}"
            raise RuleError("G202", message)
        found.append(b if a == 1 else a)
    return tuple(found)


def widened(shape: Shape, rank: int) -> Shape:
    """The shape with axes of size 1 in front."""
    return (1,) * (rank - len(shape)) + shape


def aligned(inputs: Sequence[Array]) -> list[Array]:
    """Views [N, …] of equal rank, with axes of size 1 behind the batch."""
    rank = max(x.ndim for x in inputs)
    return [x.reshape(len(x), *(1,) * (rank - x.ndim), *x.shape[1:]) for x in inputs]


def summed(dy: Array, shape: tuple[int, ...]) -> Array:
    """dy [N, …] summed over the axes along which an input of that shape, [N, …], was repeated."""
    if dy.shape == shape:
        return dy
    wide = (shape[0], *(1,) * (dy.ndim - len(shape)), *shape[1:])
    axes = tuple(axis for axis, (size, whole) in enumerate(zip(wide, dy.shape, strict=True)) if size != whole)
    return dy.sum(axis=axes, keepdims=True).reshape(shape) if axes else dy.reshape(shape)


def emit_widened(build: OnnxBuilder, x: Value, rank: int) -> Value:
    """x with axes of size 1 in front, which ONNX does not put behind the batch."""
    x = build.in_order(x)
    shape = widened(x.shape, rank)
    if shape == x.shape:
        return x
    if len(x.shape) == 1 and rank in (3, 4) and is_static(shape):  # N C 1 1 as it is
        return build.op("Reshape", x, _sizes(build, (*x.shape, *shape[:-1])), shape=shape, channels_first=True)
    x = build.channels_last(x)
    if is_static(shape):
        wide = build.op("Reshape", x, _sizes(build, shape), shape=shape, channels_first=False)
    else:
        axes = build.constant(f"axes_{len(x.shape)}", np.arange(1, 1 + rank - len(x.shape)))
        wide = build.op("Unsqueeze", x, axes, shape=shape, channels_first=False)
    return build.between_layers(wide)


def _sizes(build: OnnxBuilder, shape: Shape) -> str:
    name = "shape_" + "x".join(map(str, shape))
    return build.constant(name, np.asarray((-1, *shape), np.int64))
