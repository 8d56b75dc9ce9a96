"""Recurrent layers. ONNX's sequences are L N C, and a direction is an axis of its own: Y is L D N U."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphc.importers.flat import Value
from graphc.importers.onnx_graph import OnnxNode, RefusedError
from graphc.importers.operators.handler import Build
from graphc.importers.views import BATCH, View
from graphc.types import Array

ACTIVATIONS = {"lstm": ["Sigmoid", "Tanh", "Tanh"], "gru": ["Sigmoid", "Tanh"]}
OUR_GATES = {"lstm": (0, 2, 3, 1), "gru": (1, 0, 2)}
"""Where ONNX has our first gate, our second, …: i f c o of i o f c, and r z n of z r n."""
PREFIXES = ("", "reverse_")


def lstm(build: Build, node: OnnxNode) -> None:
    if len(node.inputs) > 7 and node.inputs[7]:
        raise RefusedError("it has peepholes")
    _recurrent(build, node, "lstm")


def gru(build: Build, node: OnnxNode) -> None:
    if not node.get("linear_before_reset", 0):
        raise RefusedError("its reset gate is before the product (linear_before_reset=0): expected behind it")
    _recurrent(build, node, "gru")


def _recurrent(build: Build, node: OnnxNode, kind: str) -> None:
    """A layer of all states, and what is read of Y and Y_h as parts of them; of the last states alone, where they alone
    are read."""
    x = build.ordered("nlc" if node.get("layout", 0) else "lnc") if _rank(build) == 3 else None
    read = [index for index, name in enumerate(node.outputs) if name and _is_read(build, name)]
    two = node.get("direction", "forward") == "bidirectional"
    _check(build, node, kind, x, read)
    assert x is not None
    params = _params(build, kind, 2 if two else 1)
    units = params["recurrent_weights"].shape[0]
    arguments: dict[str, Any] = {"units": units, "bidirectional": two or None, "bias": "biases" in params}
    if 0 not in read:
        last = build.layer(kind, [x], {**arguments, "return_sequences": False}, params, axes="nc")
        build.give(_value(last, 2 if two else 1, build.batch, node, steps=None), 1)
        return
    length = x.shape[0]
    assert isinstance(length, int)
    states = build.layer(kind, [x], arguments, params, axes="nlc")
    build.give(_value(states, 2 if two else 1, build.batch, node, steps=length))
    if 1 in read:
        build.give(_value(_last(build, states, units, length, two), 2 if two else 1, build.batch, node, steps=None), 1)


def _rank(build: Build) -> int:
    return len(build.viewed().axes)


def _is_read(build: Build, name: str) -> bool:
    return name in build.readers or name in build.graph.outputs


def _check(build: Build, node: OnnxNode, kind: str, x: Value | None, read: Sequence[int]) -> None:
    """A RefusedError where it does more than the layer, or something else."""
    directions = 2 if node.get("direction", "forward") == "bidirectional" else 1
    activations = [name.decode() if isinstance(name, bytes) else name for name in node.get("activations") or ()]
    if x is None:
        raise RefusedError("it reads no sequences")
    if node.get("direction", "forward") == "reverse":
        raise RefusedError("it reads sequences from their end alone: expected forward, or bidirectional")
    if activations not in ([], ACTIVATIONS[kind] * directions) or node.get("clip") or node.get("input_forget", 0):
        raise RefusedError("its activations are not the usual ones, or it clips")
    if 2 in read:
        raise RefusedError("its last cell is read too: expected its states alone")
    lengths = build.graph.constants.get(node.inputs[4]) if len(node.inputs) > 4 and node.inputs[4] else None
    if len(node.inputs) > 4 and node.inputs[4] and (lengths is None or (lengths != x.shape[0]).any()):
        raise RefusedError("its sequences have lengths of their own")
    for index in (5, 6):
        name = node.inputs[index] if index < len(node.inputs) else ""
        if name and (name not in build.graph.constants or build.graph.constants[name].any()):
            raise RefusedError("it begins with a state that is not zero")


def _params(build: Build, kind: str, directions: int) -> dict[str, Array]:
    """Its variables: weights [C, G*U], recurrent_weights [U, G*U] and biases [G*U], for each direction."""
    weights, recurrent = build.constant(1, "weights"), build.constant(2, "recurrent weights")
    if weights.ndim != 3 or recurrent.ndim != 3 or weights.shape[0] != directions:
        raise RefusedError("its weights do not fit its direction")
    found: dict[str, Array] = {}
    for number, prefix in enumerate(PREFIXES[:directions]):
        found[f"{prefix}weights"] = _gates(kind, weights[number]).T
        found[f"{prefix}recurrent_weights"] = _gates(kind, recurrent[number]).T
        if build.is_constant(3):
            inputs, states = np.split(build.constant(3, "biases")[number], 2)
            found[f"{prefix}biases"], found[f"{prefix}recurrent_biases"] = _gates(kind, inputs), _gates(kind, states)
    return found


def _gates(kind: str, values: Array) -> Array:
    """Rows [G*U, …] with the gates in our order."""
    gates = np.split(values, len(OUR_GATES[kind]))
    return np.concatenate([gates[place] for place in OUR_GATES[kind]])


def _last(build: Build, states: Value, units: int, length: int, two: bool) -> Value:
    """The last states of both directions, side by side, of the states [L, D*U]."""

    def at(position: int, part: Mapping[str, int] | None) -> Value:
        row = build.layer("slice", [states], {"start": position or None, "stop": position + 1, "axis": "length"})
        return build.layer("slice", [row], part) if part else row

    if not two:
        row = at(length - 1, None)
    else:
        row = build.layer("concat", [at(length - 1, {"stop": units}), at(0, {"start": units})])
    return build.layer("flatten", [row], axes="nc")


def _value(made: Value, directions: int, batch: int, node: OnnxNode, steps: int | None) -> Value:
    """What a layer gives as ONNX has it: [L, D, N, U], or [D, N, U] of the last; with the batch first by `layout`."""
    width = made.shape[-1]
    assert isinstance(width, int)
    sizes = {BATCH: batch}
    parts: list[tuple[int, ...]] = []
    for size in (steps or 1, directions, width // directions):
        if size > 1:
            sizes[len(sizes)] = size
        parts.append((len(sizes) - 1,) if size > 1 else ())
    length, direction, units = parts
    if node.get("layout", 0):
        axes = [(BATCH,), length, direction, units] if steps else [(BATCH,), direction, units]
    else:
        axes = [length, direction, (BATCH,), units] if steps else [direction, (BATCH,), units]
    view = View(tuple(number for number in sizes if number != BATCH), tuple(axes), sizes)
    return Value(made.source, made.shape, "." * len(axes), view=view)


__all__ = ["gru", "lstm"]
