"""Parts of tensors, and tensors made of several."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from graphc.dims import is_image
from graphc.importers.flat import LETTERS, Value
from graphc.importers.onnx_graph import OnnxNode, RefusedError
from graphc.importers.operators.handler import Build, axis_of
from graphc.importers.views import lay_out, view_of
from graphc.types import Array


def concat(build: Build, node: OnnxNode) -> None:
    constants = [index for index in range(len(node.inputs)) if build.is_constant(index)]
    if constants:
        build.give(_with_token(build, node, constants))
        return
    values = [build.value(index) for index in range(len(node.inputs))]
    if len({value.axes for value in values}) > 1 or any(value.flat for value in values):
        values = [lay_out(build, value) for value in values]
    if len(values) == 1:
        build.give(values[0])
        return
    letter = values[0].axes[node.get("axis", 1)]
    if letter == "n" or len({value.axes for value in values}) > 1:
        raise RefusedError("it joins batches")
    axis = axis_of(letter, len(values[0].shape))
    build.give(build.layer("concat", values, {"axis": axis if letter != "c" else None}))


def _with_token(build: Build, node: OnnxNode, constants: list[int]) -> Value:
    """A constant vector before the first position of a sequence, whatever the example: a class token."""
    if constants != [0] or len(node.inputs) != 2:
        raise RefusedError("it joins constants to values: expected one vector before a sequence")
    x, token = build.ordered("nlc", 1), build.constant(0, "constant")
    fits = token.ndim == 3 and token.shape[1:] == (1, x.shape[-1]) and not (token != token[:1]).any()
    if node.get("axis") not in (1, -2) or not fits:
        raise RefusedError(f"it joins a constant of the shape {list(token.shape)}: expected a vector for all examples")
    return build.layer("class_token", [x], {}, {"token": token[0, 0]}, axes="nlc")


def slice_(build: Build, node: OnnxNode) -> None:
    """crop, slice along an axis, and a pooling of single pixels where it takes every other one."""
    x = build.value()
    x = x if x.flat is None else lay_out(build, x)
    if len(node.inputs) > 1:
        raise RefusedError("its ranges are computed")
    starts, ends = node.get("starts"), node.get("ends")
    axes = node.get("axes") or list(range(len(starts)))
    steps = node.get("steps") or [1] * len(starts)
    sizes = dict(zip(LETTERS[len(x.shape)], x.shape, strict=True))
    cut: dict[str, tuple[int, int]] = {}
    every: dict[str, int] = {}
    letters = build.letters(x, axes)
    image = is_image(x.shape)
    relative = image and any(
        sizes.get(letter, 0) <= end or end < 0 for letter, end in zip(letters, ends, strict=True) if letter in "hw"
    )
    for letter, start, end, step in zip(letters, starts, ends, steps, strict=True):
        size = build.batch if letter == "n" else sizes.get(letter)
        assert isinstance(size, int)
        first, last, _ = slice(start, end).indices(size)
        if step < 1:
            raise RefusedError(f"its step is {step}: expected 1 or more")
        if last <= first:
            raise RefusedError("it leaves nothing")
        if letter == "n" and (first, last, step) != (0, size, 1):
            raise RefusedError("it cuts the batch")
        every[letter] = step
        if letter in "hw" and relative:
            cut[letter] = first, size - last
        elif (first, last) != (0, size):
            x = _part(build, x, letter, first, last, size)
    if any(any(cut.get(letter, ())) for letter in "hw"):
        x = build.layer("crop", [x], {"cut": [list(cut.get(letter, (0, 0))) for letter in "hw"]})
    build.give(_every(build, x, {letter: step for letter, step in every.items() if step > 1}))


def _every(build: Build, x: Value, steps: dict[str, int]) -> Value:
    """Every second, third, … number along axes."""
    rank = len(x.shape) - 1
    if not steps:
        return x
    if "c" in steps or not 1 <= rank <= 3:
        channels, step = x.shape[-1], steps.get("c", 1)
        assert isinstance(channels, int)
        if set(steps) != {"c"} or channels % step:
            raise RefusedError(f"its steps are {list(steps.values())}: expected some along a length, height or width")
        apart = build.layer("reshape", [x], {"shape": [*x.shape[:-1], channels // step, step]}, axes=x.axes)
        first = build.layer("slice", [apart], {"stop": 1}, axes=x.axes)
        return build.layer("reshape", [first], {"shape": [*x.shape[:-1], channels // step]}, axes=x.axes)
    stride = [steps.get(letter, 1) for letter in LETTERS[rank + 1][:-1]]
    arguments = {"kernel": 1, "stride": stride[0] if len(set(stride)) == 1 else stride}
    return build.layer(f"max_pool{rank}d", [x], arguments)


def _part(build: Build, x: Value, letter: str, first: int, last: int, size: int) -> Value:
    """A range along one axis."""
    arguments: dict[str, Any] = {"axis": axis_of(letter, len(x.shape)) if letter != "c" else None}
    return build.layer("slice", [x], {"start": first or None, "stop": last if last < size else None, **arguments})


def split(build: Build, node: OnnxNode) -> None:
    """A slice for each output that is read."""
    x = build.value()
    x = x if x.flat is None else lay_out(build, x)
    letter = x.axes[node.get("axis", 0)]
    sizes = dict(zip(LETTERS[len(x.shape)], x.shape, strict=True))
    size = sizes.get(letter)
    if not isinstance(size, int):
        raise RefusedError("it cuts the batch")
    parts = node.get("split")
    if parts is None:
        each = -(-size // len(node.outputs))
        parts = [min(each, size - each * index) for index in range(len(node.outputs))]
    first = 0
    for index, (name, length) in enumerate(zip(node.outputs, parts, strict=True)):
        if name in build.readers or name in build.graph.outputs:
            whole = length == size
            build.give(x if whole else _part(build, x, letter, first, first + length, size), index)
        first += length


def gather(build: Build, node: OnnxNode) -> None:
    """One position or a range along an axis, or channels in another order: a shuffle."""
    x = build.viewed()
    if not build.is_constant(1):
        raise RefusedError("its indices are computed")
    indices = np.asarray(build.graph.constants[node.inputs[1]])
    axis = node.get("axis", 0) % len(x.axes)
    if x.view is not None and not x.view.axes[axis] and indices.ndim == 0 and int(indices) in (0, -1):
        build.give(without(build, x, [axis]))
        return
    x = build.value() if x.flat is None else lay_out(build, x)
    letter = x.axes[axis]
    size = dict(zip(LETTERS[len(x.shape)], x.shape, strict=True)).get(letter)
    if letter == "n" or not isinstance(size, int) or indices.ndim > 1 or not indices.size:
        raise RefusedError("it picks examples, or with a table of indices")
    if indices.min() < -size or indices.max() >= size:
        raise RefusedError(f"it picks {indices.max()} of {size}: expected {-size} to {size - 1}")
    wanted = indices.reshape(-1) % size
    if not np.array_equal(wanted, np.arange(wanted[0], wanted[0] + len(wanted))):
        build.give(_shuffled(build, x, letter, wanted))
        return
    first, last = int(wanted[0]), int(wanted[0]) + len(wanted)
    part = x if last - first == size else _part(build, x, letter, first, last, size)
    build.give(without(build, part, [axis]) if indices.ndim == 0 else part)


def _shuffled(build: Build, x: Value, letter: str, indices: Array) -> Value:
    size = x.shape[-1]
    assert isinstance(size, int)
    for groups in range(2, size) if letter == "c" and is_image(x.shape) and len(indices) == size else ():
        if size % groups == 0 and np.array_equal(indices, np.arange(size).reshape(groups, -1).T.reshape(-1)):
            return build.layer("channel_shuffle", [x], {"groups": groups})
    raise RefusedError("it picks in an order that is neither a range nor a shuffle of channels")


def without(build: Build, x: Value, gone: list[int]) -> Value:
    """The tensor without these axes of size 1."""
    view = view_of(x, build.batch)
    kept = tuple(factors for axis, factors in enumerate(view.axes) if axis not in gone)
    return replace(x, flat=None, view=replace(view, axes=kept))
