"""Products with matrices."""

from __future__ import annotations

import numpy as np

from graphc.importers.flat import VECTOR_AXES
from graphc.importers.onnx_graph import OnnxNode, RefusedError
from graphc.importers.operators.handler import Build
from graphc.types import Array


def gemm(build: Build, node: OnnxNode) -> None:
    """fully_connected; factors go into the weights."""
    if node.get("transA", 0):
        raise RefusedError("it transposes its input")
    weights = build.constant(1, "weights")
    matrix = weights.T if node.get("transB", 0) else weights
    params = {"weights": matrix * np.float32(node.get("alpha", 1.0)) if node.get("alpha", 1.0) != 1 else matrix}
    if len(node.inputs) > 2 and node.inputs[2]:
        biases = build.constant(2, "biases") * np.float32(node.get("beta", 1.0))
        if biases.ndim > 2 or biases.size not in (1, matrix.shape[1]):
            raise RefusedError(f"its biases have the shape {list(biases.shape)}: expected one an output")
        params["biases"] = np.broadcast_to(biases.reshape(-1), matrix.shape[1:]).copy()
    _dense(build, params)


def matmul(build: Build, node: OnnxNode) -> None:
    """fully_connected on a vector, a convolution with kernel 1 on an image whose channels are last."""
    if build.is_constant(0):
        raise RefusedError("its first factor is a constant: expected the second")
    weights = build.constant(1, "weights")
    if weights.ndim != 2:
        raise RefusedError(f"its weights have rank {weights.ndim}: expected a matrix")
    x = build.value()
    if x.axes == VECTOR_AXES:
        _dense(build, {"weights": weights})
        return
    if x.axes != "nhwc":
        raise RefusedError("it multiplies an image along its width")
    arguments = {"filters": weights.shape[1], "kernel": 1, "bias": False}
    build.give(build.layer("conv2d", [x], arguments, {"weights": weights[None, None]}))


def _dense(build: Build, params: dict[str, Array]) -> None:
    x = build.value()
    if x.axes != VECTOR_AXES:
        raise RefusedError("it multiplies an image: expected a vector")
    if params["weights"].ndim != 2:
        raise RefusedError(f"its weights have rank {params['weights'].ndim}: expected a matrix")
    weights = np.ascontiguousarray(build.in_order(params["weights"].T, x).T)
    arguments = {"units": weights.shape[1], "bias": "biases" in params}
    build.give(build.layer("fully_connected", [x], arguments, {**params, "weights": weights}))
