"""Activations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphc.importers.float32 import short
from graphc.importers.onnx_graph import OnnxNode, RefusedError
from graphc.importers.operators.handler import Build, Handler, axis_of
from graphc.importers.views import lay_out, view_of

SELU = (1.6732632423543772, 1.0507009873554805)
LAST_FLAT_SOFTMAX = 12
"""Up to this opset Softmax takes all axes from its own on as one."""


def plain(kind: str) -> Handler:
    """The handler of an activation without arguments."""

    def handle(build: Build, node: OnnxNode) -> None:
        _activation(build, kind)

    return handle


def _activation(build: Build, kind: str, **arguments: Any) -> None:
    build.give(build.layer(kind, [build.viewed()], arguments))


def swish(build: Build, node: OnnxNode) -> None:
    if node.get("alpha", 1.0) != 1:
        raise RefusedError(f"its alpha is {node.get('alpha'):g}: expected 1")
    _activation(build, "silu")


def gelu(build: Build, node: OnnxNode) -> None:
    _activation(build, "gelu", approximate="tanh" if node.get("approximate", "none") == "tanh" else None)


def leaky_relu(build: Build, node: OnnxNode) -> None:
    _activation(build, "leaky_relu", alpha=short(node.get("alpha", 0.01)))


def elu(build: Build, node: OnnxNode) -> None:
    _activation(build, "elu", alpha=short(node.get("alpha", 1.0)))


def selu(build: Build, node: OnnxNode) -> None:
    found = node.get("alpha", SELU[0]), node.get("gamma", SELU[1])
    if not all(math.isclose(a, b, rel_tol=1e-6) for a, b in zip(found, SELU, strict=True)):
        raise RefusedError("its alpha and gamma are not the usual ones")
    _activation(build, "selu")


def hard_sigmoid(build: Build, node: OnnxNode) -> None:
    alpha, beta = node.get("alpha", 0.2), node.get("beta", 0.5)
    if math.isclose(alpha, 1 / 6, rel_tol=1e-6) and beta == 0.5:
        _activation(build, "hard_sigmoid")
    else:
        _activation(build, "hard_sigmoid", alpha=short(alpha), beta=short(beta))


def prelu(build: Build, node: OnnxNode) -> None:
    x, slope = build.value(), build.constant(1, "slopes")
    channels = x.shape[-1]
    if "c" not in x.axes:
        raise RefusedError("it reads a tensor without channels")
    place = x.axes.index("c") - len(x.axes)
    whole = np.ones(len(x.axes), int)
    whole[place] = channels
    padded = (1,) * (len(x.axes) - slope.ndim) + slope.shape
    if slope.size not in (1, channels) or (slope.size > 1 and padded != tuple(whole)):
        raise RefusedError(f"its slopes have the shape {list(slope.shape)}: expected one a channel")
    alpha = build.spread(build.in_order(slope.reshape(-1), x), (channels,))
    build.give(build.layer("prelu", [x], {}, {"alpha": alpha}))


def clip(build: Build, node: OnnxNode) -> None:
    """relu6, relu where nothing is cut above, else clip."""
    if len(node.inputs) > 1:
        raise RefusedError("its limits are computed")
    largest = np.finfo(np.float32).max
    low, high = node.get("min", -math.inf), node.get("max", math.inf)
    if math.isnan(low) or math.isnan(high):
        raise RefusedError("it clips to what is no number")
    above = high < largest
    if low == 0 and high == 6:
        _activation(build, "relu6")
    elif low == 0 and not above:
        _activation(build, "relu")
    elif low > high:
        raise RefusedError(f"it clips to {low:g} and {high:g}")
    elif low > -largest or above:
        limits = {"minimum": short(low) if low > -largest else None, "maximum": short(high) if above else None}
        _activation(build, "clip", **limits)
    else:
        build.give(build.viewed())


def softmax_of(kind: str) -> Handler:
    """The handler of one along the channels."""

    def handle(build: Build, node: OnnxNode) -> None:
        x = build.viewed()
        old = build.graph.opset <= LAST_FLAT_SOFTMAX
        axis = node.get("axis", 1 if old else -1) % len(x.axes)
        if old and math.prod(view_of(x, build.batch).shape[axis + 1 :]) > 1:
            raise RefusedError("it is along several axes at once, as before opset 13")
        if x.axes[axis] != "c":
            x = build.value()
            x = x if x.flat is None else lay_out(build, x)
        letter = x.axes[axis]
        if letter == "n":
            raise RefusedError("it is along the examples")
        along = {"axis": axis_of(letter, len(x.shape))} if letter != "c" else {}
        build.give(build.layer(kind, [x], along))

    return handle
