"""Positions of maps whose size the file does not know: what it counts when it runs.

Ones of the map's size are summed up along its axes: `Range` would need the size as a number, which a runtime that has
to know all shapes beforehand does not give.
"""

from __future__ import annotations

from graphc.dims import Shape
from graphc.layers.base import scalar
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value


def emit_ones(build: OnnxBuilder, x: Value) -> Value:
    """A 1 at each position of x, which lies channels first: [N, 1, …]."""
    plane: Shape = (*x.shape[:-1], 1)
    ends = {"starts": 0, "ends": 1, "axes": 1}
    names = [build.constant(name, np.asarray([value], np.int64)) for name, value in ends.items()]
    zero, one = scalar(build, "zero", 0), scalar(build, "one", 1)
    return build.op("Add", build.op("Clip", build.op("Slice", x, *names, shape=plane), zero, zero), one)


def emit_count(build: OnnxBuilder, ones: Value, axis: int) -> Value:
    """How many positions there are before each along one of the tensor's axes, 0 at the first: [N, 1, …]."""
    number = build.constant(f"axis_{axis}", np.asarray(axis, np.int64))
    return build.op("CumSum", ones, number, exclusive=1)
