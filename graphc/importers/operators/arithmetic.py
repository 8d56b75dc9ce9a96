"""Sums and products, of values and with constants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from graphc.dims import is_image
from graphc.importers.flat import LETTERS, VECTOR_AXES, Value
from graphc.importers.float32 import short
from graphc.importers.onnx_graph import OnnxNode, RefusedError
from graphc.importers.operators.handler import Build, Handler
from graphc.importers.patterns import scalar_of
from graphc.importers.views import as_plain, lay_out, view_of
from graphc.types import Array


def add(build: Build, node: OnnxNode) -> None:
    constants = [index for index in range(len(node.inputs)) if build.is_constant(index)]
    if not constants:
        _merge(build, node, "add")
    elif len(node.inputs) == 2:
        x = build.viewed(1 - constants[0])
        build.give(_biased(build, x, build.constant(constants[0], "summands")))
    else:
        raise RefusedError("it sums constants with several values")


def subtract(build: Build, node: OnnxNode) -> None:
    if build.is_constant(0):
        negative = build.layer("scale", [build.viewed(1)], {"factor": -1})
        build.give(_biased(build, negative, build.constant(0, "minuends")))
    elif build.is_constant(1):
        build.give(_biased(build, build.viewed(), -build.constant(1, "subtrahends")))
    else:
        _merge(build, node, "subtract")


def multiply(build: Build, node: OnnxNode) -> None:
    constants = [index for index in (0, 1) if build.is_constant(index)]
    if not constants:
        _merge(build, node, "multiply")
        return
    build.give(_scaled(build, build.viewed(1 - constants[0]), build.constant(constants[0], "factors")))


def divide(build: Build, node: OnnxNode) -> None:
    if build.is_constant(0):
        inverse = build.layer("power", [build.viewed(1)], {"exponent": -1})
        build.give(_scaled(build, inverse, build.constant(0, "dividends")))
        return
    if not build.is_constant(1):
        _merge(build, node, "divide")
        return
    divisors = build.constant(1, "divisors")
    if not divisors.all() or not np.isfinite(np.float32(1) / divisors).all():
        raise RefusedError("it divides by zero, or by next to nothing")
    build.give(_scaled(build, build.viewed(), np.float32(1) / divisors))


def merge_of(kind: str) -> Handler:
    """The handler of what values, and no constants, are merged by."""

    def handle(build: Build, node: OnnxNode) -> None:
        if any(build.is_constant(index) for index in range(len(node.inputs))):
            raise RefusedError("it merges values with constants")
        _merge(build, node, kind)

    return handle


def extreme_of(kind: str) -> Handler:
    """The handler of the largest or smallest of values, or of one and a number."""

    def handle(build: Build, node: OnnxNode) -> None:
        constants = [index for index in range(len(node.inputs)) if build.is_constant(index)]
        if not constants:
            _merge(build, node, kind)
            return
        number = scalar_of(build.constant(constants[0], "limits"))
        if number is None or len(node.inputs) != 2:
            raise RefusedError("it merges values with constants: expected one value and one number")
        limit = {"minimum" if kind == "maximum" else "maximum": short(number)}
        build.give(build.layer("clip", [build.viewed(1 - constants[0])], limit))

    return handle


def negate(build: Build, node: OnnxNode) -> None:
    build.give(build.layer("scale", [build.viewed()], {"factor": -1}))


def reciprocal(build: Build, node: OnnxNode) -> None:
    build.give(build.layer("power", [build.viewed()], {"exponent": -1}))


def power(build: Build, node: OnnxNode) -> None:
    exponent = None if not build.is_constant(1) else scalar_of(build.constant(1, "exponents"))
    if exponent is None:
        raise RefusedError("its exponents are several, or computed: expected one number")
    build.give(build.layer("power", [build.viewed()], {"exponent": short(exponent)}))


def _merge(build: Build, node: OnnxNode, kind: str) -> None:
    """A layer of equal shapes, or of sizes that are repeated; laid out alike, where they lie differently."""
    values = [build.viewed(index) for index in range(len(node.inputs))]
    if len({len(value.axes) for value in values}) > 1:
        raise RefusedError("it broadcasts a tensor of fewer axes")
    first = values[0]
    views = {_key(build, value) for value in values}
    if len(views) == 1 and len({value.shape for value in values}) == 1:
        made = build.layer(kind, [replace(value, view=None, flat=None) for value in values])
        build.give(replace(first, source=made.source))
        return
    plain = [as_plain(value) for value in values]
    usual = [value for value in plain if value is not None and value.flat is None and value.axes[0] == "n"]
    whole = max(usual, key=lambda value: not _is_pixel(value)).axes if usual else f"n{LETTERS[len(first.axes) - 1]}"
    alike = [
        value if value in usual and (value.axes == whole or _is_pixel(value)) else build.ordered(whole, index)
        for index, value in enumerate(plain)
    ]
    made = build.layer(kind, alike)
    build.give(Value(made.source, made.shape, whole))


def _is_pixel(value: Value) -> bool:
    return is_image(value.shape) and value.shape[:2] == (1, 1)


def _key(build: Build, value: Value) -> object:
    """Equal for tensors whose numbers lie alike."""
    view = view_of(value, build.batch).normal()
    return view.ours, view.axes, tuple(view.sizes.items())


def _scaled(build: Build, x: Value, factors: Array) -> Value:
    number = scalar_of(factors)
    if number is not None:
        return build.layer("scale", [x], {"factor": short(number)}) if number != 1 else x
    vector = _a_channel(build, x, factors)
    if vector is None:
        raise RefusedError(f"its constant has the shape {list(factors.shape)}: expected one number a channel")
    return build.layer("layer_scale", [x], {}, {"gamma": vector})


def _biased(build: Build, x: Value, summands: Array) -> Value:
    if not summands.any() and summands.size == 1:
        return x
    vector = _a_channel(build, x, summands)
    if vector is not None:
        return build.layer("bias_add", [x], {}, {"biases": vector})
    return _with_positions(build, x, summands)


def _with_positions(build: Build, x: Value, summands: Array) -> Value:
    """A number for every position and channel, the same for all examples."""
    x = lay_out(build, x)
    sizes = dict(zip(LETTERS[len(x.shape)], x.shape, strict=True))
    whole = [1 if letter == "n" else sizes[letter] for letter in x.axes]
    padded = summands.reshape((1,) * (len(whole) - summands.ndim) + summands.shape)
    if x.axes[0] != "n" or padded.ndim != len(whole) or not _spreads(padded.shape, whole):
        raise RefusedError(f"its constant has the shape {list(summands.shape)}: expected one for every example")
    table = build.spread(padded, whole).reshape(-1, whole[-1])
    rows = x if len(x.shape) == 2 else build.layer("reshape", [x], {"shape": list(table.shape)}, axes="nlc")
    made = build.layer("position_embedding", [rows], {}, {"embedding": table}, axes="nlc")
    return made if len(x.shape) == 2 else build.layer("reshape", [made], {"shape": list(x.shape)}, axes=x.axes)


def _spreads(shape: Sequence[int], whole: Sequence[int]) -> bool:
    return all(size in (1, wanted) for size, wanted in zip(shape, whole, strict=True))


def _a_channel(build: Build, x: Value, constant: Array) -> Array | None:
    """A constant that is one number a channel, as a vector; None where it is not."""
    channels = x.shape[-1]
    shape = (1,) * (len(x.axes) - constant.ndim) + constant.shape
    place = x.axes.find("c")
    others = [size for axis, size in enumerate(shape) if axis != place]
    fits = place >= 0 and len(shape) == len(x.axes) and all(size == 1 for size in others)
    fits = fits and shape[place] in (1, channels)
    if not fits and (x.axes != VECTOR_AXES or constant.size not in (1, channels)):
        return None
    return build.in_order(build.spread(constant.reshape(-1), (channels,)), x)
