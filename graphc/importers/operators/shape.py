"""What moves numbers: axes, parts, borders, sizes."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from graphc.importers.flat import IMAGE_AXES, LETTERS, SEQUENCE_AXES, VECTOR_AXES, Value
from graphc.importers.onnx_graph import OnnxNode, RefusedError
from graphc.importers.operators.handler import AXES, Build
from graphc.importers.operators.resizing import resize

TO_FIRST = [0, 3, 1, 2]
FLOAT = 1
ROWS_AXES = "nlc"
"""Of a table of rows: what a head of detections gives."""
OWN_ORDER = {3: ROWS_AXES, 4: "nhwc"}
"""Rank -> axes as specs have them: a reshape of one to another is the same reshape there."""


def same(build: Build, node: OnnxNode) -> None:
    build.give(build.value())


def quantize(build: Build, node: OnnxNode) -> None:
    raise RefusedError("it rounds: --dequantize leaves the rounding of a quantized file out")


def cast(build: Build, node: OnnxNode) -> None:
    if node.get("to") != FLOAT:
        raise RefusedError("it casts to another type than float32")
    build.give(build.value())


def transpose(build: Build, node: OnnxNode) -> None:
    x = build.value()
    perm = node.get("perm") or list(range(len(x.axes)))[::-1]
    if len(perm) != len(x.axes) or perm[0] != 0:
        raise RefusedError(f"it exchanges the batch with other axes (perm={perm})")
    build.give(replace(x, axes="".join(x.axes[axis] for axis in perm)))


def reshape(build: Build, node: OnnxNode) -> None:
    """Flatten, squeeze, unsqueeze and reshape, by the shapes before and behind."""
    x, new = build.value(), build.output_shape()
    batch = build.graph.inputs[0].shape[0]
    if not new or new[0] != batch:
        raise RefusedError(f"it mixes examples: its output's shape is {list(new)}")
    sizes = dict(zip(LETTERS[len(x.shape)], x.shape, strict=True))
    old = (batch, *(sizes[letter] for letter in x.axes[1:]))
    if new == old:
        build.give(x)
    elif len(new) == 2:
        build.give(_flattened(build, x))
    elif len(new) == 4 and math.prod(new[2:]) == 1 and x.shape[-1] == new[1] and math.prod(old[1:]) == new[1]:
        pixel = [1, 1, new[1]]
        build.give(replace(x, axes=IMAGE_AXES) if len(old) == 4 else _pixel(build, x, pixel, IMAGE_AXES))
    elif len(new) == 4 and math.prod(new[1:3]) == 1 and x.shape[-1] == new[3] and math.prod(old[1:]) == new[3]:
        pixel = [1, 1, new[3]]
        build.give(replace(x, axes="nhwc") if len(old) == 4 else _pixel(build, x, pixel, "nhwc"))
    elif len(new) == 4 and math.prod(new[2:]) == 1 and x.axes == SEQUENCE_AXES and old[1:] == (1, new[1]):
        build.give(build.layer("reshape", [x], {"shape": [1, 1, new[1]]}, axes=IMAGE_AXES))
    elif len(new) == 3 and new[1:] == (1, x.shape[-1]) == (1, math.prod(old[1:])) and _is_convolved(build, node):
        build.give(_pixel(build, x, [new[2], 1], SEQUENCE_AXES))
    elif len(new) == 4 and len(old) == 2 and x.flat is None:
        build.give(_as_image(build, node, x, new))
    elif len(new) == 3 and len(old) == 2 and x.flat is None:
        build.give(build.layer("reshape", [x], {"shape": list(new[1:])}, axes=ROWS_AXES))
    elif len(new) in OWN_ORDER and _lies_as_ours(x):
        build.give(build.layer("reshape", [x], {"shape": list(new[1:])}, axes=OWN_ORDER[len(new)]))
    else:
        raise RefusedError(f"it reshapes {list(old)} to {list(new)}, which has no meaning as an image or a vector")


def _lies_as_ours(x: Value) -> bool:
    """Whether a value's numbers are in the order that they have in a spec."""
    one_channel = x.axes == IMAGE_AXES and x.shape[-1] == 1
    return x.flat is None and (one_channel or x.axes == OWN_ORDER.get(len(x.axes)))


def _is_convolved(build: Build, node: OnnxNode) -> bool:
    """Whether channels become a sequence of one channel, for a convolution to go along."""
    return any(reader.op == "Conv" for reader in build.readers.get(node.outputs[0], ()))


def _flattened(build: Build, x: Value) -> Value:
    height, width, channels = x.shape
    value = build.layer("flatten", [x], axes=VECTOR_AXES)
    if x.axes == "nhwc" or height == width == 1 or channels == 1:
        return value
    if x.axes == IMAGE_AXES:
        return replace(value, flat=x.shape)
    raise RefusedError(f"it flattens an image whose axes are {' '.join(x.axes.upper())}")


def _pixel(build: Build, x: Value, shape: list[int], axes: str) -> Value:
    if x.flat is not None:
        raise RefusedError("it reshapes a flattened image")
    return build.layer("reshape", [x], {"shape": shape}, axes=axes)


def _as_image(build: Build, node: OnnxNode, x: Value, new: tuple[int, ...]) -> Value:
    """A vector as an image: H W C where a Transpose follows, else C H W, for which the outputs of the dense layer
    before are exchanged."""
    readers = build.readers.get(node.outputs[0], [])
    if readers and all(reader.op == "Transpose" and reader.get("perm") == TO_FIRST for reader in readers):
        return build.layer("reshape", [x], {"shape": list(new[1:])}, axes="nhwc")
    channels, height, width = new[1:]
    if channels > 1 and height * width > 1:
        maker = build.by_name.get(x.source)
        alone = len(build.readers.get(node.inputs[0], ())) == 1 and node.inputs[0] not in build.graph.outputs
        if maker is None or "units" not in maker.arguments or not alone:
            raise RefusedError("it makes an image of a vector in the order channels, height, width")
        order = np.arange(channels * height * width).reshape(channels, height, width).transpose(1, 2, 0).reshape(-1)
        maker.params = {name: np.ascontiguousarray(array[..., order]) for name, array in maker.params.items()}
    return build.layer("reshape", [x], {"shape": [height, width, channels]}, axes=IMAGE_AXES)


def concat(build: Build, node: OnnxNode) -> None:
    if any(build.is_constant(index) for index in range(len(node.inputs))):
        raise RefusedError("it joins constants to values")
    values = [build.value(index) for index in range(len(node.inputs))]
    if len({value.axes for value in values}) > 1:
        raise RefusedError("its inputs have their axes in different orders")
    if any(value.flat for value in values):
        raise RefusedError("it joins flattened images")
    if len(values) == 1:
        build.give(values[0])
        return
    letter = values[0].axes[node.get("axis", 1)]
    if letter not in AXES:
        raise RefusedError("it joins batches")
    build.give(build.layer("concat", values, {"axis": AXES[letter] if letter != "c" else None}))


def slice_(build: Build, node: OnnxNode) -> None:
    x = build.value()
    if len(node.inputs) > 1:
        raise RefusedError("its ranges are computed")
    starts, ends = node.get("starts"), node.get("ends")
    axes = node.get("axes") or list(range(len(starts)))
    steps = node.get("steps") or [1] * len(starts)
    if any(step != 1 for step in steps):
        raise RefusedError(f"its steps are {steps}: expected 1")
    sizes = dict(zip(LETTERS[len(x.shape)], x.shape, strict=True))
    cut: dict[str, tuple[int, int]] = {}
    letters = build.letters(x, axes)
    relative = any(
        sizes.get(letter, 0) <= end or end < 0 for letter, end in zip(letters, ends, strict=True) if letter in "hw"
    )
    for letter, start, end in zip(letters, starts, ends, strict=True):
        size = sizes.get(letter)
        if not isinstance(size, int):
            raise RefusedError("it cuts the batch")
        first, last, _ = slice(start, end).indices(size)
        if last <= first:
            raise RefusedError("it leaves nothing")
        if letter != "c" and relative:
            cut[letter] = first, size - last
        elif (first, last) != (0, size):
            x = _part(build, x, letter, first, last, size)
    if any(any(cut.get(letter, ())) for letter in "hw"):
        x = build.layer("crop", [x], {"cut": [list(cut.get(letter, (0, 0))) for letter in "hw"]})
    build.give(x)


def _part(build: Build, x: Value, letter: str, first: int, last: int, size: int) -> Value:
    """A range along one axis."""
    if x.flat is not None:
        raise RefusedError("it cuts a flattened image")
    arguments: dict[str, Any] = {"axis": AXES[letter] if letter != "c" else None}
    return build.layer("slice", [x], {"start": first or None, "stop": last if last < size else None, **arguments})


def split(build: Build, node: OnnxNode) -> None:
    """A slice for each output that is read."""
    x = build.value()
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
            build.give(_part(build, x, letter, first, first + length, size), index)
        first += length


def gather(build: Build, node: OnnxNode) -> None:
    """Channels in another order: a shuffle, or a range."""
    x = build.value()
    if not build.is_constant(1):
        raise RefusedError("its indices are computed")
    indices = np.asarray(build.graph.constants[node.inputs[1]])
    letter = x.axes[node.get("axis", 0)]
    size = x.shape[-1]
    assert isinstance(size, int)
    if letter != "c" or indices.ndim != 1:
        raise RefusedError("it picks from other axes than the channels, or one channel alone")
    indices = indices % size
    if len(indices) and np.array_equal(indices, np.arange(indices[0], indices[0] + len(indices))):
        build.give(_part(build, x, letter, int(indices[0]), int(indices[0]) + len(indices), size))
        return
    for groups in range(2, size):
        if size % groups == 0 and np.array_equal(indices, np.arange(size).reshape(groups, -1).T.reshape(-1)):
            build.give(build.layer("channel_shuffle", [x], {"groups": groups}))
            return
    raise RefusedError("it puts channels in an order that is neither a range nor a shuffle")


def pad(build: Build, node: OnnxNode) -> None:
    x = build.value()
    if len(node.inputs) > 1:
        raise RefusedError("its pads are computed")
    pads, mode = node.get("pads"), node.get("mode", "constant")
    axes = node.get("axes") or list(range(len(pads) // 2))
    sides = dict(zip(build.letters(x, axes), zip(pads[: len(axes)], pads[len(axes) :], strict=True), strict=True))
    if any(any(pair) for letter, pair in sides.items() if letter not in "hw"):
        raise RefusedError("it pads other axes than height and width")
    if mode not in ("constant", "reflect", "edge", "wrap"):
        raise RefusedError(f"it pads in the mode {mode}: expected constant, reflect, edge or wrap")
    cut = [[max(-side, 0) for side in sides.get(letter, (0, 0))] for letter in "hw"]
    if any(map(any, cut)):
        x = build.layer("crop", [x], {"cut": cut})
    padding = [[max(side, 0) for side in sides.get(letter, (0, 0))] for letter in "hw"]
    if not any(map(any, padding)):
        build.give(x)
        return
    arguments: dict[str, Any] = {"padding": padding}
    if mode != "constant":
        arguments["mode"] = "circular" if mode == "wrap" else mode
    elif node.get("value"):
        value = node.get("value")
        arguments["value"] = float(value[0] if isinstance(value, list) else value)
    build.give(build.layer("pad", [x], arguments))


def depth_to_space(build: Build, node: OnnxNode) -> None:
    order = node.get("mode", "DCR")
    more = {"order": order} if order != "DCR" else {}
    build.give(build.layer("depth_to_space", [build.image()], {"block": node.get("blocksize"), **more}))


def space_to_depth(build: Build, node: OnnxNode) -> None:
    build.give(build.layer("space_to_depth", [build.image()], {"block": node.get("blocksize")}))


def channel_shuffle(build: Build, node: OnnxNode) -> None:
    build.give(build.layer("channel_shuffle", [build.image()], {"groups": node.get("groups")}))


__all__ = [
    "cast", "channel_shuffle", "concat", "depth_to_space", "gather", "pad", "quantize", "reshape", "resize", "same",
    "slice_", "space_to_depth", "split", "transpose",
]  # fmt: skip
