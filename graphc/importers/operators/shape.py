"""What moves numbers: axes, parts, borders, sizes."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from graphc.importers.flat import IMAGE_AXES, LETTERS, VECTOR_AXES, Value
from graphc.importers.onnx_graph import OnnxNode, RefusedError
from graphc.importers.operators.handler import Build, axis_of
from graphc.importers.operators.resizing import resize
from graphc.importers.patterns import is_training
from graphc.importers.views import folded, lay_out, turned

TO_FIRST = [0, 3, 1, 2]
FLOAT = 1


def same(build: Build, node: OnnxNode) -> None:
    build.give(build.viewed())


def dropout(build: Build, node: OnnxNode) -> None:
    if is_training(build.graph, node):
        raise RefusedError("it drops numbers: its training_mode is true, or computed")
    build.give(build.viewed())


def quantize(build: Build, node: OnnxNode) -> None:
    raise RefusedError("it rounds: --dequantize leaves rounding out, where its scale is that of the way back")


def cast(build: Build, node: OnnxNode) -> None:
    if node.get("to") != FLOAT:
        raise RefusedError("it casts to another type than float32")
    build.give(build.viewed())


def cast_like(build: Build, node: OnnxNode) -> None:
    """To the type of another value: all that are no constants are float32."""
    if build.is_constant(1) and build.graph.constants[node.inputs[1]].dtype != np.float32:
        raise RefusedError("it casts to another type than float32")
    build.give(build.viewed())


def transpose(build: Build, node: OnnxNode) -> None:
    x = build.viewed()
    perm = node.get("perm") or list(range(len(x.axes)))[::-1]
    if sorted(perm) != list(range(len(x.axes))):
        raise RefusedError(f"its perm {perm} does not fit {len(x.axes)} axes")
    build.give(turned(build, x, perm))


def reshape(build: Build, node: OnnxNode) -> None:
    """Flatten, squeeze, unsqueeze and reshape, by the shapes before and behind: one of the usual forms, else a view."""
    x, new = build.viewed(), build.output_shape()
    plain = None if x.view is not None or x.axes[0] != "n" else _usual(build, node, x, new)
    if plain is not None:
        build.give(plain)
        return
    found = folded(build, x, new)
    if found is not None:
        build.give(found)
        return
    if not new or new[0] != build.batch or len(new) - 1 not in LETTERS:
        raise RefusedError(f"it mixes examples: its output's shape is {list(new)}")
    x = x if x.axes[0] == "n" else build.ordered(f"n{LETTERS[len(x.shape)]}")
    build.give(build.layer("reshape", [x], {"shape": list(new[1:])}, axes=f"n{LETTERS[len(new) - 1]}"))


def _usual(build: Build, node: OnnxNode, x: Value, new: tuple[int, ...]) -> Value | None:
    """A vector of an image, an image of a vector, an axis of size 1 more or less."""
    sizes = {**dict(zip(LETTERS[len(x.shape)], x.shape, strict=True)), "n": build.batch}
    old = tuple(sizes[letter] for letter in x.axes)
    if not new or new[0] != build.batch:
        return None
    if new == old:
        return x
    own = f"n{LETTERS[len(x.shape)]}"
    if len(new) == 2 and len(old) > 2 and x.axes in (own, f"nc{own[1:-1]}"):
        value = build.layer("flatten", [x], axes=VECTOR_AXES)
        as_ours = x.axes == own or sum(size > 1 for size in x.shape) < 2
        return value if as_ours else replace(value, flat=x.shape)
    if len(new) == 4 and len(old) == 4 and math.prod(old[1:]) == x.shape[-1]:
        axes = IMAGE_AXES if new[1] == x.shape[-1] else "nhwc" if new[3] == x.shape[-1] else ""
        return replace(x, axes=axes) if axes and x.flat is None else None
    if len(new) == 4 and math.prod(new[2:]) == 1 and x.shape[-1] == new[1] and math.prod(old[1:]) == new[1]:
        return _pixel(build, x, [1, 1, new[1]], IMAGE_AXES)
    if len(new) == 4 and math.prod(new[1:3]) == 1 and x.shape[-1] == new[3] and math.prod(old[1:]) == new[3]:
        return _pixel(build, x, [1, 1, new[3]], "nhwc")
    if len(new) == 4 and len(old) == 2 and x.flat is None:
        return _as_image(build, node, x, new)
    return None


def _pixel(build: Build, x: Value, shape: list[int], axes: str) -> Value | None:
    return None if x.flat is not None else build.layer("reshape", [x], {"shape": shape}, axes=axes)


def _as_image(build: Build, node: OnnxNode, x: Value, new: tuple[int, ...]) -> Value | None:
    """A vector as an image: H W C where a Transpose follows, else C H W, for which the outputs of the dense layer
    before are exchanged."""
    readers = build.readers.get(node.outputs[0], [])
    if readers and all(reader.op == "Transpose" and reader.get("perm") == TO_FIRST for reader in readers):
        return build.layer("reshape", [x], {"shape": list(new[1:])}, axes="nhwc")
    channels, height, width = new[1:]
    if channels > 1 and height * width > 1:
        maker = build.by_name.get(x.source)
        alone = len(build.readers.get(node.inputs[0], ())) == 1 and node.inputs[0] not in build.graph.outputs
        if maker is None or "units" not in maker.arguments or "recurrent_weights" in maker.params or not alone:
            return None
        order = np.arange(channels * height * width).reshape(channels, height, width).transpose(1, 2, 0).reshape(-1)
        maker.params = {name: np.ascontiguousarray(array[..., order]) for name, array in maker.params.items()}
    return build.layer("reshape", [x], {"shape": [height, width, channels]}, axes=IMAGE_AXES)


def pad(build: Build, node: OnnxNode) -> None:
    x = build.value()
    if len(node.inputs) > 1:
        raise RefusedError("its pads are computed")
    pads, mode = node.get("pads"), node.get("mode", "constant")
    axes = node.get("axes") or list(range(len(pads) // 2))
    sides = dict(zip(build.letters(x, axes), zip(pads[: len(axes)], pads[len(axes) :], strict=True), strict=True))
    if x.flat is not None or any(any(pair) for letter, pair in sides.items() if letter not in "hw"):
        build.give(_along(build, node, x if x.flat is None else lay_out(build, x), sides))
        return
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
        arguments["value"] = _filling(node)
    build.give(build.layer("pad", [x], arguments))


def _filling(node: OnnxNode) -> float:
    value = node.get("value", 0.0)
    return float(value[0] if isinstance(value, list) else value)


def _along(build: Build, node: OnnxNode, x: Value, sides: dict[str, tuple[int, int]]) -> Value:
    """Numbers before and after along other axes than height and width, one layer an axis."""
    if node.get("mode", "constant") != "constant" or any(sides.get("n", ())) or min(map(min, sides.values())) < 0:
        raise RefusedError("it pads the batch, or other axes than height and width by less than 0 or not by a number")
    for letter, (before, after) in sides.items():
        if before or after:
            more = {"axis": axis_of(letter, len(x.shape)), "before": before, "after": after}
            x = build.layer("pad", [x], {**more, "value": _filling(node) or None})
    return x


def depth_to_space(build: Build, node: OnnxNode) -> None:
    order = node.get("mode", "DCR")
    more = {"order": order} if order != "DCR" else {}
    build.give(build.layer("depth_to_space", [build.image()], {"block": node.get("blocksize"), **more}))


def space_to_depth(build: Build, node: OnnxNode) -> None:
    build.give(build.layer("space_to_depth", [build.image()], {"block": node.get("blocksize")}))


def channel_shuffle(build: Build, node: OnnxNode) -> None:
    build.give(build.layer("channel_shuffle", [build.image()], {"groups": node.get("groups")}))


__all__ = [
    "cast", "cast_like", "channel_shuffle", "depth_to_space", "dropout", "pad", "quantize", "reshape", "resize", "same",
    "space_to_depth", "transpose",
]  # fmt: skip
