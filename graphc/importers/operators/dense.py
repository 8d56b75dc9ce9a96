"""Products with constant matrices."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from graphc.importers.flat import Value
from graphc.importers.onnx_graph import OnnxNode, RefusedError
from graphc.importers.operators.handler import Build
from graphc.importers.views import View, lay_out_rows, view_of
from graphc.types import Array

KINDS = {1: "fully_connected", 2: "fully_connected", 3: "conv2d", 4: "conv3d"}
"""Rank of an example -> what multiplies its channels by a matrix."""


def gemm(build: Build, node: OnnxNode) -> None:
    """A layer that multiplies channels; factors go into the weights."""
    if node.get("transA", 0):
        raise RefusedError("it transposes its input")
    weights = build.constant(1, "weights")
    if weights.ndim != 2:
        raise RefusedError(f"its weights have rank {weights.ndim}: expected a matrix")
    matrix = weights.T if node.get("transB", 0) else weights
    params = {"weights": matrix * np.float32(node.get("alpha", 1.0)) if node.get("alpha", 1.0) != 1 else matrix}
    if len(node.inputs) > 2 and node.inputs[2]:
        biases = build.constant(2, "biases") * np.float32(node.get("beta", 1.0))
        if math.prod(biases.shape[:-1]) != 1 or biases.size not in (1, matrix.shape[1]):
            raise RefusedError(f"its biases have the shape {list(biases.shape)}: expected one an output")
        params["biases"] = np.broadcast_to(biases.reshape(-1), matrix.shape[1:]).copy()
    build.give(multiplied(build, build.viewed(), params))


def multiplied(build: Build, x: Value, params: Mapping[str, Array]) -> Value:
    """A tensor times `weights` [I, O] along its last axis, plus `biases` [O], if there are any."""
    fewer = x.view is not None and "n" in x.axes and len(x.axes) <= len(x.shape)
    if x.flat is None and (fewer or x.axes[-1] != "c"):
        x = lay_out_rows(build, x)
    rank = len(x.shape)
    if x.axes[-1] not in "c." or rank not in KINDS:
        raise RefusedError(f"it multiplies along {'examples' if x.axes[-1] == 'n' else 'one of many axes'}")
    weights = np.ascontiguousarray(build.in_order(params["weights"].T, x).T)
    filters = weights.shape[1]
    arguments = {"units": filters} if rank <= 2 else {"filters": filters, "kernel": 1}
    lead = (1,) * (rank - 1) if rank > 2 else ()
    params = {**params, "weights": weights.reshape(*lead, *weights.shape)}
    plain = replace(x, view=None, flat=None)
    made = build.layer(KINDS[rank], [plain], {**arguments, "bias": "biases" in params}, params)
    if x.view is None:
        return made
    return replace(made, axes=x.axes, view=_with_channels(view_of(x, build.batch), filters))


def _with_channels(view: View, count: int) -> View:
    """A view with so many channels, which are its last axis."""
    *axes, last = view.axes
    new = max(view.sizes) + 1
    kept = tuple(factor for factor in view.ours if factor not in last)
    more = (new,) if count > 1 else ()
    return View((*kept, *more), (*axes, more), {**view.sizes, new: count})
