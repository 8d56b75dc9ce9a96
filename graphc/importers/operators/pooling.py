"""Pooling over windows and over whole images."""

from __future__ import annotations

from typing import Any

from graphc.importers.flat import VECTOR_AXES
from graphc.importers.onnx_graph import OnnxNode, RefusedError
from graphc.importers.operators.handler import AXES, Build, Handler
from graphc.importers.operators.windows import pads_of, pair, written_pair


def max_pool(build: Build, node: OnnxNode) -> None:
    if len([name for name in node.outputs if name]) > 1:
        raise RefusedError("it gives the places of the largest values too")
    _pool(build, node, "max_pool2d")


def average_pool(build: Build, node: OnnxNode) -> None:
    _pool(build, node, "avg_pool2d")


def _pool(build: Build, node: OnnxNode, kind: str) -> None:
    x = build.image()
    kernel, stride, dilation = pair(node, "kernel_shape"), pair(node, "strides"), pair(node, "dilations")
    if dilation != (1, 1) and kind != "max_pool2d":
        raise RefusedError("a mean with dilation is no layer")
    pads = pads_of(node, x, kernel, stride, dilation)
    if kernel == stride == (1, 1) and pads.is_free():
        build.give(x)
        return
    padding = pads.pixels if isinstance(pads.pixels, str) else [list(sides) for sides in pads.pixels]
    padded = padding not in ("same", [[0, 0], [0, 0]])
    arguments: dict[str, Any] = {"kernel": written_pair(kernel), "stride": written_pair(stride)}
    if dilation != (1, 1):
        arguments["dilation"] = written_pair(dilation)
    if node.get("count_include_pad", 0) and padded and kind == "avg_pool2d":
        arguments["count_include_pad"] = True
    if node.get("ceil_mode", 0) and padding != "same":
        arguments["ceil_mode"] = True
    value = build.layer(kind, [x], {**arguments, "padding": padding})
    build.by_name[value.source].arguments["padding"] = pads
    build.give(value)


def global_average_pool(build: Build, node: OnnxNode) -> None:
    _whole(build, "global_avg_pool2d", keep=True)


def global_max_pool(build: Build, node: OnnxNode) -> None:
    _whole(build, "global_max_pool2d", keep=True)


def reduce_to(kind: str, pooling: str | None = None) -> Handler:
    """The handler of a reduction, `pooling` where it is over height and width alone."""

    def handle(build: Build, node: OnnxNode) -> None:
        x = build.value()
        if len(node.inputs) > 1:
            raise RefusedError("its axes are computed")
        axes = node.get("axes")
        letters = set(build.letters(x, axes if axes is not None else range(len(x.axes))))
        keep = bool(node.get("keepdims", 1))
        if letters == {"h", "w"} and pooling is not None:
            _whole(build, pooling, keep=keep)
            return
        if "n" in letters or x.flat is not None:
            raise RefusedError("it reduces along the batch, or a flattened image")
        if not keep and letters != {"h", "w"}:
            raise RefusedError(f"it reduces along {', '.join(sorted(letters))} and drops the axes")
        arguments = {"axes": [AXES[letter] for letter in "hwlc" if letter in letters], "keep_dims": keep}
        build.give(build.layer(kind, [x], arguments, axes=x.axes if keep else VECTOR_AXES))

    return handle


def _whole(build: Build, kind: str, keep: bool) -> None:
    x = build.value()
    if len(x.axes) != 4:
        raise RefusedError("it reads a vector as an image")
    arguments = {"keep_dims": True} if keep else {}
    build.give(build.layer(kind, [x], arguments, axes=x.axes if keep else VECTOR_AXES))
