"""Sums and products, of values and with constants."""

from __future__ import annotations

import numpy as np

from graphc.dims import is_image
from graphc.importers.flat import VECTOR_AXES, Value
from graphc.importers.float32 import short
from graphc.importers.onnx_graph import OnnxNode, RefusedError
from graphc.importers.operators.handler import Build, Handler
from graphc.importers.patterns import scalar_of
from graphc.types import Array


def add(build: Build, node: OnnxNode) -> None:
    constants = [index for index in range(len(node.inputs)) if build.is_constant(index)]
    if not constants:
        _merge(build, node, "add")
    elif len(node.inputs) == 2:
        x = build.value(1 - constants[0])
        build.give(_biased(build, x, build.constant(constants[0], "summands")))
    else:
        raise RefusedError("it sums constants with several values")


def subtract(build: Build, node: OnnxNode) -> None:
    if build.is_constant(0):
        negative = build.layer("scale", [build.value(1)], {"factor": -1})
        build.give(_biased(build, negative, build.constant(0, "minuends")))
    elif build.is_constant(1):
        build.give(_biased(build, build.value(), -build.constant(1, "subtrahends")))
    else:
        _merge(build, node, "subtract")


def multiply(build: Build, node: OnnxNode) -> None:
    constants = [index for index in (0, 1) if build.is_constant(index)]
    if not constants:
        _merge(build, node, "multiply")
        return
    build.give(_scaled(build, build.value(1 - constants[0]), build.constant(constants[0], "factors")))


def divide(build: Build, node: OnnxNode) -> None:
    if build.is_constant(0):
        inverse = build.layer("power", [build.value(1)], {"exponent": -1})
        build.give(_scaled(build, inverse, build.constant(0, "dividends")))
        return
    if not build.is_constant(1):
        _merge(build, node, "divide")
        return
    divisors = build.constant(1, "divisors")
    if not divisors.all():
        raise RefusedError("it divides by zero")
    build.give(_scaled(build, build.value(), np.float32(1) / divisors))


def merge_of(kind: str) -> Handler:
    """The handler of what values, and no constants, are merged by."""

    def handle(build: Build, node: OnnxNode) -> None:
        if any(build.is_constant(index) for index in range(len(node.inputs))):
            raise RefusedError("it merges values with constants")
        _merge(build, node, kind)

    return handle


def negate(build: Build, node: OnnxNode) -> None:
    build.give(build.layer("scale", [build.value()], {"factor": -1}))


def reciprocal(build: Build, node: OnnxNode) -> None:
    build.give(build.layer("power", [build.value()], {"exponent": -1}))


def power(build: Build, node: OnnxNode) -> None:
    exponent = None if not build.is_constant(1) else scalar_of(build.constant(1, "exponents"))
    if exponent is None:
        raise RefusedError("its exponents are several, or computed: expected one number")
    build.give(build.layer("power", [build.value()], {"exponent": short(exponent)}))


def _merge(build: Build, node: OnnxNode, kind: str) -> None:
    """A layer of equal shapes, or of images and gates of one pixel."""
    values = [build.value(index) for index in range(len(node.inputs))]
    whole = max(values, key=lambda value: (len(value.shape), value.shape[:2] != (1, 1)))
    if len({len(value.shape) for value in values}) > 1:
        raise RefusedError("it broadcasts a vector over an image")
    axes = {value.axes for value in values if is_image(value.shape) and value.shape[:2] != (1, 1)}
    if len(axes) > 1 or len({value.flat for value in values}) > 1:
        raise RefusedError("its inputs have their axes in different orders")
    made = build.layer(kind, values)
    build.give(Value(made.source, made.shape, whole.axes, whole.flat))


def _scaled(build: Build, x: Value, factors: Array) -> Value:
    number = scalar_of(factors)
    if number is not None:
        return build.layer("scale", [x], {"factor": short(number)}) if number != 1 else x
    return build.layer("layer_scale", [x], {}, {"gamma": _a_channel(build, x, factors)})


def _biased(build: Build, x: Value, summands: Array) -> Value:
    if not summands.any() and summands.size == 1:
        return x
    return build.layer("bias_add", [x], {}, {"biases": _a_channel(build, x, summands)})


def _a_channel(build: Build, x: Value, constant: Array) -> Array:
    """A constant that is one number a channel, as a vector."""
    channels = x.shape[-1]
    shape = (1,) * (len(x.axes) - constant.ndim) + constant.shape
    place = x.axes.index("c")
    others = [size for axis, size in enumerate(shape) if axis != place]
    fits = len(shape) == len(x.axes) and all(size == 1 for size in others) and shape[place] in (1, channels)
    if not fits and (x.axes != VECTOR_AXES or constant.size not in (1, channels)):
        raise RefusedError(f"its constant has the shape {list(constant.shape)}: expected one number a channel")
    return build.in_order(np.broadcast_to(constant.reshape(-1), (channels,)).copy(), x)
