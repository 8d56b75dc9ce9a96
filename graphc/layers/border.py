"""Borders of an image's own pixels: what they need of a size, and their ONNX."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.dims import Dim
from graphc.errors import RuleError
from graphc.kernels.border import BorderMode
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value

_TO_THE_END = 2**31 - 1
"""A slice's end that is larger than any size."""

MOST_MIRRORED = 300
"""Pixels that are mirrored one by one, with an operator each."""


def check_border(size: Dim, sides: tuple[int, int], mode: BorderMode, name: str) -> None:
    """An error where an axis (its `name`: height) has too few pixels to be continued so far."""
    most = max(sides)
    if mode == "symmetric" and most > MOST_MIRRORED:
        raise RuleError("G203", f"mirroring takes at most {MOST_MIRRORED} pixels of a side, got {most:,}", "padding")
    least = {"reflect": most + 1, "edge": 0, "symmetric": most, "circular": most}[mode]
    if isinstance(size, int) and size < least:
        message = {
            "reflect": f"reflecting {most} pixels needs a {name} of more than that",
            "symmetric": f"mirroring {most} pixels needs a {name} of as many",
            "circular": f"going on with {most} pixels of the other side needs a {name} of as many",
        }[mode]
        raise RuleError("G203", f"{message}, got {size}", "padding")


def emit_border(build: OnnxBuilder, x: Value, pads: Sequence[tuple[int, int]], mode: BorderMode) -> Value:
    """x with so many pixels (before, after) around each axis."""
    sizes = [size + sum(sides) for size, sides in zip(x.shape[:-1], pads, strict=True)]
    shape = (*sizes, x.shape[-1])
    if mode in ("reflect", "edge"):
        ends = [0, 0, *(before for before, _ in pads), 0, 0, *(after for _, after in pads)]
        return build.op("Pad", x, build.constant("pads", np.asarray(ends, np.int64)), shape=shape, mode=mode)
    for axis, sides in enumerate(pads):
        x = _emit_axis(build, x, axis, sides, mode, sizes[axis])
    return x


def _emit_axis(build: OnnxBuilder, x: Value, axis: int, sides: tuple[int, int], mode: BorderMode, size: Dim) -> Value:
    """x continued along one axis by parts of itself. ONNX pads so from opset 18 on alone, or not at all; mirrored
    parts are taken pixel by pixel, since tract takes no slices backwards of an open size."""
    before, after = sides
    if mode == "circular":
        first, last = [(-before, _TO_THE_END)] * (before > 0), [(0, after)] * (after > 0)
    else:
        first = [(place, place + 1) for place in reversed(range(before))]
        last = [(-place, 1 - place or _TO_THE_END) for place in range(1, after + 1)]
    if not first and not last:
        return x
    parts: list[Value | None] = [_part(build, x, axis, *part) for part in first]
    parts += [x, *(_part(build, x, axis, *part) for part in last)]
    shape = (*x.shape[:axis], size, *x.shape[axis + 1 :])
    return build.op("Concat", *parts, shape=shape, axis=2 + axis)


def _part(build: OnnxBuilder, x: Value, axis: int, start: int, end: int) -> Value:
    """The pixels of x from `start` to `end`, counted as Python counts, along one axis."""
    count = end - start if end != _TO_THE_END else -start
    bounds = [build.constant(f"at{place}", np.asarray([place], np.int64)) for place in (start, end)]
    number = build.constant(f"axis{axis}", np.asarray([2 + axis], np.int64))
    shape = (*x.shape[:axis], count, *x.shape[axis + 1 :])
    return build.op("Slice", x, *bounds, number, shape=shape)
