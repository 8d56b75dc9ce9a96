"""Convolutions."""

from __future__ import annotations

from typing import Any

from graphc.importers.flat import Value
from graphc.importers.onnx_graph import OnnxNode, RefusedError
from graphc.importers.operators.handler import Build
from graphc.importers.operators.windows import Pads, of_rank, pads_of, sizes_of, written
from graphc.types import Array
from graphc.window import TransposedWindow


def conv(build: Build, node: OnnxNode) -> None:
    """conv2d, or depthwise_conv2d where every channel is a group of its own; of sequences conv1d, of volumes conv3d."""
    x = of_rank(build)
    rank = len(x.shape) - 1
    weights = _weights(build, rank)
    outputs, each, *kernel_sizes = weights.shape
    groups = node.get("group", 1)
    kernel = tuple(kernel_sizes)
    stride, dilation = sizes_of(node, "strides", rank), sizes_of(node, "dilations", rank)
    pads = pads_of(node, x, kernel, stride, dilation)
    arguments: dict[str, Any] = {"kernel": written(kernel), "stride": written(stride)}
    if set(dilation) != {1}:
        arguments["dilation"] = written(dilation)
    biases = _biases(build)
    arguments["bias"] = bool(biases)
    taps = range(2, 2 + rank)
    if groups > 1 and each == 1 and groups == x.shape[-1]:
        if outputs > groups:
            arguments["depth_multiplier"] = outputs // groups
        apart = weights.reshape(groups, outputs // groups, *kernel)
        params = {"depthwise_weights": apart.transpose(*taps, 0, 1), **biases}  # kh kw C m
        build.give(_windowed(build, f"depthwise_conv{rank}d", x, arguments, pads, params))
        return
    arguments = {"filters": outputs, **arguments, "groups": groups if groups > 1 else None}
    params = {"weights": weights.transpose(*taps, 1, 0), **biases}  # kh kw C/groups F
    build.give(_windowed(build, f"conv{rank}d", x, arguments, pads, params))


def _weights(build: Build, rank: int) -> Array:
    weights = build.constant(1, "weights")
    if weights.ndim != rank + 2:
        raise RefusedError(f"its weights have rank {weights.ndim}: expected {rank + 2}")
    return weights


def _biases(build: Build) -> dict[str, Array]:
    return {"biases": build.constant(2, "biases")} if build.is_constant(2) else {}


def _windowed(
    build: Build, kind: str, x: Value, arguments: dict[str, Any], pads: Pads, params: dict[str, Array]
) -> Value:
    """A layer over windows, its shape found with the padding in pixels; which word says it is decided later."""
    value = build.layer(kind, [x], {**arguments, "padding": pads.sides()}, params)
    build.by_name[value.source].arguments["padding"] = pads
    return value


def conv_transpose(build: Build, node: OnnxNode) -> None:
    """conv2d_transpose, whose weights are [kh, kw, F/groups, C]; of sequences and volumes those of 1d and 3d."""
    x = of_rank(build)
    rank = len(x.shape) - 1
    weights = _weights(build, rank)
    _, filters, *kernel = weights.shape
    groups, dilation = node.get("group", 1), sizes_of(node, "dilations", rank)
    extent = tuple((taps - 1) * spread + 1 for taps, spread in zip(kernel, dilation, strict=True))
    stride, more = sizes_of(node, "strides", rank), sizes_of(node, "output_padding", rank, 0)
    arguments: dict[str, Any] = {"filters": filters * groups, "kernel": written(kernel), "stride": written(stride)}
    if set(dilation) != {1}:
        arguments["dilation"] = written(dilation)
    if groups > 1:
        arguments["groups"] = groups
    cut = _cut(node, x, extent, stride, more)
    arguments.update(_transposed_padding(cut, x, extent, stride, more))
    biases = _biases(build)
    params = {"weights": weights.transpose(*range(2, 2 + rank), 1, 0), **biases}
    build.give(build.layer(f"conv{rank}d_transpose", [x], {**arguments, "bias": bool(biases)}, params))


def _cut(
    node: OnnxNode, x: Value, kernel: tuple[int, ...], stride: tuple[int, ...], more: tuple[int, ...]
) -> list[tuple[int, int]]:
    """Outputs cut off (before, after) along each axis."""
    rank = len(kernel)
    auto, shape = node.get("auto_pad", "NOTSET"), node.get("output_shape")
    if auto in ("NOTSET", "VALID") and not shape:
        pads = (node.get("pads") if auto == "NOTSET" else None) or (0,) * (2 * rank)
        return list(zip(pads[:rank], pads[rank:], strict=True))
    found = []
    for axis, size in enumerate(x.shape[:rank]):
        assert isinstance(size, int)
        wanted = shape[-rank:][axis] if shape else size * stride[axis]
        total = stride[axis] * (size - 1) + more[axis] + kernel[axis] - wanted
        if total < 0:
            raise RefusedError(f"its output_shape {shape} is larger than what its windows reach")
        less = total // 2
        found.append((less, total - less) if auto == "SAME_UPPER" else (total - less, less))
    return found


def _transposed_padding(
    cut: list[tuple[int, int]], x: Value, kernel: tuple[int, ...], stride: tuple[int, ...], more: tuple[int, ...]
) -> dict[str, Any]:
    """The padding and output_padding of outputs cut off and added."""
    wanted = [(before, after - added) for (before, after), added in zip(cut, more, strict=True)]
    for word in ("same", "valid"):
        sides = [TransposedWindow.over(x.shape[a], kernel[a], stride[a], word).pads for a in range(len(kernel))]
        if sides == wanted:
            return {} if word == "same" else {"padding": word}
    padding = [list(sides) for sides in cut]
    arguments: dict[str, Any] = {"padding": padding if len(padding) > 1 else padding[0]}
    return {**arguments, "output_padding": written(more)} if any(more) else arguments
