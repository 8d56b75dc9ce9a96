"""Pooling over windows and over whole images."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from graphc.importers.flat import LETTERS, VECTOR_AXES, Value
from graphc.importers.onnx_graph import OnnxNode, RefusedError
from graphc.importers.operators.handler import Build, Handler, axis_of
from graphc.importers.operators.parts import without
from graphc.importers.operators.windows import of_rank, pads_of, sizes_of, written
from graphc.importers.views import as_plain, lay_out, view_of


def max_pool(build: Build, node: OnnxNode) -> None:
    """With the places of the largest values, which a MaxUnpool may read."""
    places = [name for name in node.outputs[1:] if name and (name in build.readers or name in build.graph.outputs)]
    if any(reader.op != "MaxUnpool" for name in places for reader in build.readers.get(name, ())) or set(
        places
    ).intersection(build.graph.outputs):
        raise RefusedError("it gives the places of the largest values too")
    x = _pool(build, node, "max_pool")
    for name in places:
        build.pooled[name] = x, node.attributes


def max_unpool(build: Build, node: OnnxNode) -> None:
    """Its windows are those of the pooling that gave the places."""
    pooled = build.pooled.get(node.inputs[1])
    if pooled is None:
        raise RefusedError("its places are not those of a max pooling")
    x, window = build.image(), pooled[1]
    kernel, stride = window.get("kernel_shape"), window.get("strides") or [1, 1]
    if (
        kernel != stride
        or any(window.get("pads") or ())
        or window.get("ceil_mode", 0)
        or window.get("storage_order", 0)
    ):
        raise RefusedError(f"its windows of {kernel} move by {stride}: expected windows side by side, without padding")
    if build.output_shape()[2:] != tuple(pooled[0].shape[:2]):
        raise RefusedError("its output has another size than what was pooled")
    build.give(build.layer("max_unpool2d", [x, pooled[0]], {"kernel": written(kernel)}))


def average_pool(build: Build, node: OnnxNode) -> None:
    _pool(build, node, "avg_pool")


def _pool(build: Build, node: OnnxNode, kind: str) -> Value:
    """The pooling of a sequence, an image or a volume; what it pools."""
    x = of_rank(build)
    rank = len(x.shape) - 1
    kernel, stride, dilation = (sizes_of(node, name, rank) for name in ("kernel_shape", "strides", "dilations"))
    if set(dilation) != {1} and kind != "max_pool":
        raise RefusedError("a mean with dilation is no layer")
    pads = pads_of(node, x, kernel, stride, dilation)
    if set(kernel) == set(stride) == {1} and pads.is_free():
        build.give(x)
        return x
    padded = pads.pixels != "same" and pads.has_pixels()
    arguments: dict[str, Any] = {"kernel": written(kernel), "stride": written(stride)}
    if set(dilation) != {1}:
        arguments["dilation"] = written(dilation)
    if node.get("count_include_pad", 0) and padded and kind == "avg_pool":
        arguments["count_include_pad"] = True
    if node.get("ceil_mode", 0) and pads.pixels != "same":
        arguments["ceil_mode"] = True
    value = build.layer(f"{kind}{rank}d", [x], {**arguments, "padding": pads.sides()})
    build.by_name[value.source].arguments["padding"] = pads
    build.give(value)
    return x


def lp_pool(build: Build, node: OnnxNode) -> None:
    x = build.image()
    kernel, stride, dilation = (sizes_of(node, name, 2) for name in ("kernel_shape", "strides", "dilations"))
    taps = kernel[0] * kernel[1]
    if node.get("taps", taps) != taps:
        raise RefusedError(f"its means of {taps} pixels are multiplied by {node.get('taps'):g}")
    if node.get("p", 2) != 2 or node.get("ceil_mode", 0) or dilation != (1, 1):
        raise RefusedError(f"its norm is {node.get('p', 2)}, or its windows are dilated or rounded up: expected 2")
    pads = pads_of(node, x, kernel, stride, dilation)
    arguments = {"kernel": written(kernel), "stride": written(stride) if stride != kernel else None}
    value = build.layer("lp_pool2d", [x], {**arguments, "padding": pads.sides()})
    build.by_name[value.source].arguments["padding"] = pads
    build.give(value)


def global_pool(kind: str) -> Handler:
    """The handler of a pooling over all positions, which stay as axes of size 1."""

    def handle(build: Build, node: OnnxNode) -> None:
        x = build.value()
        x = x if x.axes[1:2] == "c" and x.flat is None else of_rank(build)
        build.give(_whole(build, x, kind, keep=True))

    return handle


def reduce_to(kind: str, pooling: str | None = None, before: str = "", after: str = "") -> Handler:
    """The handler of a reduction, `pooling` where it is over all positions; of a norm with the kinds around it."""

    def handle(build: Build, node: OnnxNode) -> None:
        if len(node.inputs) > 1:
            raise RefusedError("its axes are computed")
        x = build.viewed()
        axes = node.get("axes")
        if not axes and node.get("noop_with_empty_axes", 0):
            if before:
                raise RefusedError("it has no axes, of which runtimes make different things")
            build.give(x)
            return
        rank = len(x.axes)
        gone = [axis % rank for axis in (axes if axes is not None else range(rank))]
        kept = [axis for axis in range(rank) if axis not in gone]
        units = [] if x.view is None else [axis for axis in range(rank) if not x.view.axes[axis]]
        fewer = as_plain(without(build, x, units)) if units else None
        if fewer is None:
            x = build.value() if x.flat is None else lay_out(build, x)
            units = []
        else:
            x = fewer
        x = build.layer(before, [x]) if before else x
        left = [axis for axis in range(rank) if axis not in units]
        letters = {x.axes[left.index(axis)] for axis in gone if axis in left}
        made = _reduced(build, x, kind, pooling, letters, bool(node.get("keepdims", 1)) and not units)
        made = build.layer(after, [made]) if after else made
        if units:
            view = view_of(made, build.batch)
            by_axis = dict(zip([axis for axis in left if axis not in gone], view.axes, strict=True))
            order = range(rank) if node.get("keepdims", 1) else kept
            made = replace(made, view=replace(view, axes=tuple(by_axis.get(axis, ()) for axis in order)))
        build.give(made)

    return handle


def _reduced(build: Build, x: Value, kind: str, pooling: str | None, letters: set[str], keep: bool) -> Value:
    """What is left of a value along the axes of these letters."""
    rank = len(x.shape)
    if "n" in letters:
        raise RefusedError("it reduces along the batch")
    if letters == set(LETTERS[rank][:-1]) and pooling is not None and 2 <= rank <= 4:
        return _whole(build, x, pooling, keep=keep)
    left = [letter for letter in LETTERS[rank] if letter not in letters]
    keep = keep or not left
    arguments = {"axes": [axis_of(each, rank) for each in LETTERS[rank] if each in letters], "keep_dims": keep}
    called = dict(zip(left, LETTERS.get(len(left), ""), strict=True)) | {"n": "n"}
    axes = x.axes if keep else "".join(called[letter] for letter in x.axes if letter in called)
    return build.layer(kind, [x], arguments, axes=axes)


def _whole(build: Build, x: Value, kind: str, keep: bool) -> Value:
    rank = len(x.shape) - 1
    if not 1 <= rank <= 3:
        raise RefusedError("it reads a vector as an image")
    return build.layer(f"{kind}{rank}d", [x], {"keep_dims": True} if keep else {}, axes=x.axes if keep else VECTOR_AXES)
