"""Normalizations."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.importers.flat import LETTERS, Value
from graphc.importers.float32 import short
from graphc.importers.onnx_graph import OnnxNode, RefusedError
from graphc.importers.operators.handler import Build
from graphc.importers.operators.windows import of_rank
from graphc.importers.views import lay_out
from graphc.types import Array


def batch_norm(build: Build, node: OnnxNode) -> None:
    x = build.value()
    if x.axes[1] != "c":
        x = build.ordered("nc" + LETTERS[len(x.shape)][:-1])
    if node.get("training_mode", 0) or node.get("spatial", 1) == 0:
        raise RefusedError("it is in training mode, or not the same for every pixel")
    names = ("gamma", "beta", "moving_mean", "moving_variance")
    vectors = {name: build.in_order(build.constant(1 + i, name), x) for i, name in enumerate(names)}
    arguments = {"epsilon": short(node.get("epsilon", 1e-5)), "scale": True}
    build.give(build.layer("batch_norm", [x], arguments, vectors))


def instance_norm(build: Build, node: OnnxNode) -> None:
    x = of_rank(build)
    vectors = {"gamma": build.constant(1, "scale"), "beta": build.constant(2, "bias")}
    build.give(build.layer("instance_norm", [x], {"epsilon": short(node.get("epsilon", 1e-5))}, vectors))


def layer_norm(build: Build, node: OnnxNode) -> None:
    """Along the channels of every pixel, or of a vector; along all of a vector."""
    x = build.viewed()
    axes = node.get("axes") or list(range(node.get("axis", -1) % len(x.axes), len(x.axes)))
    if set(build.letters(x, axes)) != {"c"}:
        x = build.value()
    if len(axes) == 1 and x.axes[axes[0]] != "c":
        x = lay_out(build, x)
    letters = set(build.letters(x, axes))
    if letters != {"c"} and (x.shape[:2] != (1, 1) or not letters <= {"c", "h", "w"}):
        raise RefusedError(f"it normalizes along {', '.join(sorted(letters))}: expected the channels")
    arguments: dict[str, Any] = {"epsilon": short(node.get("epsilon", 1e-5))}
    build.give(_affine(build, "layer_norm", x, arguments, [i for i in (1, 2) if i < len(node.inputs)]))


def _affine(build: Build, kind: str, x: Value, arguments: dict[str, Any], indices: list[int]) -> Value:
    """A normalization with gamma (input 1) and beta (input 2), or without."""
    params: dict[str, Array] = {}
    for index, name, switch in ((1, "gamma", "scale"), (2, "beta", "center")):
        if index in indices:
            vector = build.constant(index, name).reshape(-1)
            params[name] = build.in_order(np.broadcast_to(vector, x.shape[-1:]).copy(), x)
        else:
            arguments[switch] = False
    return build.layer(kind, [x], arguments, params)


def group_norm(build: Build, node: OnnxNode) -> None:
    x = of_rank(build)
    groups, channels = node.get("num_groups"), x.shape[-1]
    for index in range(1, len(node.inputs)):  # in opset 18 gamma and beta have one number a group
        if build.constant(index, "gamma and beta").size not in (1, channels):
            raise RefusedError("it has one gamma and beta a group: expected one a channel")
    arguments = {"groups": groups, "epsilon": short(node.get("epsilon", 1e-5))}
    build.give(_affine(build, "group_norm", x, arguments, list(range(1, len(node.inputs)))))


def local_response_norm(build: Build, node: OnnxNode) -> None:
    size = node.get("size")
    if size % 2 == 0:
        raise RefusedError(f"its size {size} is even: expected as many channels on either side")
    arguments = {
        "depth_radius": size // 2,
        "alpha": short(node.get("alpha", 1e-4), size),
        "beta": short(node.get("beta", 0.75)),
        "bias": short(node.get("bias", 1.0)),
    }
    build.give(build.layer("local_response_norm", [build.image()], arguments))


def unit_norm(build: Build, node: OnnxNode) -> None:
    x = build.value()
    if set(build.letters(x, node.get("axes") or ())) != {"c"}:
        raise RefusedError("it normalizes along other axes than the channels")
    build.give(build.layer("unit_norm", [x], {"epsilon": short(node.get("epsilon"))}))


def global_response_norm(build: Build, node: OnnxNode) -> None:
    x, channels = build.value(), build.value().shape[-1]
    axes = set(build.letters(x, node.get("axes") or ())), set(build.letters(x, node.get("mean") or ()))
    if axes != ({"h", "w"}, {"c"}) or ("part" in node.attributes and not _is_share(node.get("part"), channels)):
        raise RefusedError("its lengths are not of channels, or their mean not of all channels")
    vectors = {name: build.constant(1 + i, name).reshape(-1) for i, name in enumerate(("gamma", "beta"))}
    params = {name: build.spread(vector, x.shape[-1:]) for name, vector in vectors.items()}
    build.give(build.layer("global_response_norm", [x], {"epsilon": short(node.get("epsilon"))}, params))


def _is_share(number: float, count: Any) -> bool:
    return bool(np.isclose(number * count, 1, rtol=1e-5))
