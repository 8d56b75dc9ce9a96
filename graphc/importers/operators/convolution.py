"""Convolutions."""

from __future__ import annotations

from typing import Any

from graphc.importers.flat import SEQUENCE_AXES, Value
from graphc.importers.onnx_graph import OnnxNode, RefusedError
from graphc.importers.operators.handler import Build
from graphc.importers.operators.windows import Pads, pads_of, pair, written_pair
from graphc.types import Array
from graphc.window import TransposedWindow


def conv(build: Build, node: OnnxNode) -> None:
    """conv2d, or depthwise_conv2d where every channel is a group of its own; conv1d of a sequence."""
    if build.value().axes == SEQUENCE_AXES:
        build.give(_conv1d(build, node, build.value()))
        return
    x, weights = build.image(), _weights(build)
    outputs, each, *_ = weights.shape
    groups = node.get("group", 1)
    kernel = (weights.shape[2], weights.shape[3])
    stride, dilation = pair(node, "strides"), pair(node, "dilations")
    pads = pads_of(node, x, kernel, stride, dilation)
    arguments: dict[str, Any] = {"kernel": written_pair(kernel), "stride": written_pair(stride)}
    if dilation != (1, 1):
        arguments["dilation"] = written_pair(dilation)
    biases = _biases(build)
    arguments["bias"] = bool(biases)
    if groups > 1 and each == 1 and groups == x.shape[2]:
        if outputs > groups:
            arguments["depth_multiplier"] = outputs // groups
        params = weights.reshape(groups, outputs // groups, *kernel).transpose(2, 3, 0, 1)  # kh kw C m
        build.give(_windowed(build, "depthwise_conv2d", x, arguments, pads, {"depthwise_weights": params, **biases}))
        return
    arguments = {"filters": outputs, **arguments, "groups": groups if groups > 1 else None}
    params = weights.transpose(2, 3, 1, 0)  # kh kw C/groups F
    build.give(_windowed(build, "conv2d", x, arguments, pads, {"weights": params, **biases}))


def _conv1d(build: Build, node: OnnxNode, x: Value) -> Value:
    weights, pads = build.constant(1, "weights"), node.get("pads") or [0, 0]
    if weights.ndim != 3 or len(pads) != 2 or node.get("auto_pad", "NOTSET") != "NOTSET":
        raise RefusedError("its weights or pads are not a sequence's")
    filters, _, kernel = weights.shape
    groups, stride, dilation = (node.get(name) for name in ("group", "strides", "dilations"))
    biases = _biases(build)
    arguments: dict[str, Any] = {
        "filters": filters,
        "kernel": kernel,
        "stride": stride[0] if stride not in (None, [1]) else None,
        "dilation": dilation[0] if dilation not in (None, [1]) else None,
        "groups": groups if groups not in (None, 1) else None,
        "bias": bool(biases),
        "padding": pads[0] if pads[0] == pads[1] else [list(pads)],
    }
    return build.layer("conv1d", [x], arguments, {"weights": weights.transpose(2, 1, 0), **biases})  # k C/groups F


def _weights(build: Build) -> Array:
    weights = build.constant(1, "weights")
    if weights.ndim != 4:
        raise RefusedError(f"its weights have rank {weights.ndim}: expected an image's 4")
    return weights


def _biases(build: Build) -> dict[str, Array]:
    return {"biases": build.constant(2, "biases")} if build.is_constant(2) else {}


def _windowed(
    build: Build, kind: str, x: Value, arguments: dict[str, Any], pads: Pads, params: dict[str, Array]
) -> Value:
    """A layer over windows, its shape found with the padding in pixels; which word says it is decided later."""
    padding = pads.pixels if isinstance(pads.pixels, str) else [list(sides) for sides in pads.pixels]
    value = build.layer(kind, [x], {**arguments, "padding": padding}, params)
    build.by_name[value.source].arguments["padding"] = pads
    return value


def conv_transpose(build: Build, node: OnnxNode) -> None:
    """conv2d_transpose, whose weights are [kh, kw, F/groups, C]."""
    x, weights = build.image(), _weights(build)
    _, filters, *kernel = weights.shape
    groups, dilation = node.get("group", 1), pair(node, "dilations")
    extent = (kernel[0] - 1) * dilation[0] + 1, (kernel[1] - 1) * dilation[1] + 1
    stride, more = pair(node, "strides"), pair(node, "output_padding", 0)
    arguments: dict[str, Any] = {
        "filters": filters * groups, "kernel": written_pair((kernel[0], kernel[1])), "stride": written_pair(stride)
    }  # fmt: skip
    if dilation != (1, 1):
        arguments["dilation"] = written_pair(dilation)
    if groups > 1:
        arguments["groups"] = groups
    cut = _cut(node, x, extent, stride, more)
    arguments.update(_transposed_padding(cut, x, extent, stride, more))
    biases = _biases(build)
    params = {"weights": weights.transpose(2, 3, 1, 0), **biases}
    build.give(build.layer("conv2d_transpose", [x], {**arguments, "bias": bool(biases)}, params))


def _cut(
    node: OnnxNode, x: Value, kernel: tuple[int, int], stride: tuple[int, int], more: tuple[int, int]
) -> list[tuple[int, int]]:
    """Outputs cut off (before, after) along each axis."""
    auto, shape = node.get("auto_pad", "NOTSET"), node.get("output_shape")
    if auto in ("NOTSET", "VALID") and not shape:
        top, left, bottom, right = (node.get("pads") or (0, 0, 0, 0)) if auto == "NOTSET" else (0, 0, 0, 0)
        return [(top, bottom), (left, right)]
    found = []
    for axis, size in enumerate(x.shape[:2]):
        assert isinstance(size, int)
        wanted = shape[-2:][axis] if shape else size * stride[axis]
        total = stride[axis] * (size - 1) + more[axis] + kernel[axis] - wanted
        if total < 0:
            raise RefusedError(f"its output_shape {shape} is larger than what its windows reach")
        less = total // 2
        found.append((less, total - less) if auto == "SAME_UPPER" else (total - less, less))
    return found


def _transposed_padding(
    cut: list[tuple[int, int]], x: Value, kernel: tuple[int, int], stride: tuple[int, int], more: tuple[int, int]
) -> dict[str, Any]:
    """The padding and output_padding of outputs cut off and added."""
    wanted = [(before, after - added) for (before, after), added in zip(cut, more, strict=True)]
    for word in ("same", "valid"):
        sides = [TransposedWindow.over(x.shape[a], kernel[a], stride[a], word).pads for a in (0, 1)]
        if sides == wanted:
            return {} if word == "same" else {"padding": word}
    arguments: dict[str, Any] = {"padding": [list(sides) for sides in cut]}
    return {**arguments, "output_padding": written_pair(more)} if any(more) else arguments
