"""Shapes, values and gradients of a layer kind: judged by its own words, by onnxruntime, and by finite differences."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from graphc.emit.model import OnnxModel, emit
from graphc.errors import RuleError
from graphc.kernels.context import RunContext
from graphc.layers.protocols import LimitsBatch
from graphc.runtime import Session
from graphc.testing.case import Case, initial_params, one_layer_plan, random_inputs
from graphc.testing.reach import check_reach
from graphc.types import Array, Params

TOLERANCE = 1e-7
"""Of gradients in float64, relative."""
STEP = 1e-6


def check_layer(case: Case, seed: int = 0) -> None:
    """Everything that a layer is held to: `check_shapes`, `check_values`, `check_gradients`, and `check_reach` of what
    goes from images to images."""
    check_shapes(case)
    check_values(case)
    check_gradients(case, np.random.default_rng(seed))
    if case.has_reach:
        check_reach(case)


def check_shapes(case: Case) -> None:
    """Arguments survive being written and read; forward has the shape that `infer_shape` says and the inputs' dtype."""
    layer = case.layer
    assert type(layer).model_validate(layer.model_dump()) == layer, f"{case}: not the same after dump and validate"
    assert type(layer).model_validate_json(layer.model_dump_json()) == layer, f"{case}: not the same after JSON"
    for dtype, batch, training in itertools.product(("float32", "float64"), (1, 3), (False, True)):
        rng = np.random.default_rng(1)
        inputs, params = random_inputs(case, batch, rng, dtype), initial_params(case, rng, dtype)
        context = RunContext(training=training)
        if training and not takes_batch(case, batch):
            _check_refused(case, context, params, inputs)
            continue
        output = layer.forward(context, params, *inputs).output
        expected = (batch, *layer.infer_shape(*case.input_shapes))
        assert output.shape == expected, f"{case}: forward gives {output.shape}, infer_shape says {expected}"
        assert output.dtype == dtype, f"{case}: forward gives {output.dtype} of {dtype}"


def takes_batch(case: Case, batch: int) -> bool:
    """Whether a layer can train on so many examples: statistics of one value say nothing."""
    if not isinstance(case.layer, LimitsBatch):
        return True
    try:
        case.layer.check_batch(batch, *case.input_shapes)
    except RuleError:
        return False
    return True


def _check_refused(case: Case, context: RunContext, params: Params, inputs: list[Array]) -> None:
    try:
        case.layer.forward(context, params, *inputs)
    except RuleError:
        return
    raise AssertionError(f"{case}: check_batch refuses a batch of {len(inputs[0])}, and forward takes it")


def check_values(case: Case) -> None:
    """Forward against the emitted model in onnxruntime, float32, within 1e-5 of the largest value."""
    for batch in (1, 3):
        rng = np.random.default_rng(batch)
        inputs, params = random_inputs(case, batch, rng, "float32"), initial_params(case, rng, "float32")
        ours = case.layer.forward(RunContext(), params, *inputs).output
        theirs = run_in_onnxruntime(case, params, inputs)
        atol = 1e-5 * max(1.0, np.abs(theirs).max())
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=atol, err_msg=f"{case}: forward and ONNX")


def emitted(case: Case, params: Params) -> OnnxModel:
    """The model of this layer alone, images [N, C, H, W]."""
    variables = {f"net/layer/{name}": value for name, value in params.items()}
    return emit(one_layer_plan(case), variables, layout="nchw")


def run_in_onnxruntime(case: Case, params: Params, inputs: list[Array]) -> Array:
    """The output [N, ...] of the emitted model, channels last, for inputs [N, ...]."""
    session = Session(emitted(case, params).serialize())
    feeds = {f"x{i}": channels_first(x) for i, x in enumerate(inputs)}
    y = session.run(feeds)["y"]
    return np.moveaxis(y, 1, -1) if y.ndim in (4, 5) else y


def channels_first(x: Array) -> Array:
    """Images [N, H, W, C] and volumes as the file takes them with layout nchw; others as they are."""
    return np.ascontiguousarray(np.moveaxis(x, -1, 1)) if x.ndim in (4, 5) else x


def check_gradients(case: Case, rng: np.random.Generator) -> None:
    """Every gradient along a random direction against the central difference, both in float64."""
    layer = case.layer
    batch = int(rng.integers(2, 4))
    inputs, params = random_inputs(case, batch, rng), initial_params(case, rng)
    step = layer.forward(RunContext(training=True), params, *inputs)
    dy: Array = np.asarray(rng.standard_normal(step.output.shape))
    gradients = step.backward(dy)
    specs = layer.declare_params(*case.input_shapes)
    trainable = {name for name, spec in specs.items() if spec.trainable}
    assert set(gradients.params) == trainable, f"{case}: gradients of {set(gradients.params)}, variables {trainable}"
    assert len(gradients.inputs) == len(inputs), f"{case}: {len(gradients.inputs)} gradients of {len(inputs)} inputs"

    # a gradient may be exactly 0 (keys' biases of attention), and then all that is left is how the sums round
    rounding = 1e-3 * np.linalg.norm(dy) * max(1.0, float(np.linalg.norm(step.output)))

    def loss(name: str, value: Array) -> float:
        xs = [value if name == f"input{i}" else x for i, x in enumerate(inputs)]
        ps = {**params, name: value} if name in params else params
        return float(np.vdot(layer.forward(RunContext(training=True), ps, *xs).output, dy))

    values = {f"input{i}": x for i, x in enumerate(inputs)} | params
    found: dict[str, Any] = {f"input{i}": dx for i, dx in enumerate(gradients.inputs)} | dict(gradients.params)
    if layer.reaches is not None:  # of further inputs nothing but places is read
        found |= {f"input{i}": np.zeros_like(x) for i, x in enumerate(inputs) if i >= layer.reaches}
    if layer.follows is not None:
        assert found.pop(f"input{len(inputs) - 1}") is None, f"{case}: a gradient of what gives the size alone"
    for name, gradient in found.items():
        if layer.sees_nothing:
            assert gradient is None, f"{case}: a gradient of {name}, which nothing is read of"
            continue
        assert gradient.shape == values[name].shape, f"{case}: the gradient of {name} is {gradient.shape}"
        direction = rng.standard_normal(gradient.shape)
        numeric = loss(name, values[name] + STEP * direction) - loss(name, values[name] - STEP * direction)
        numeric /= 2 * STEP
        scale = max(abs(numeric), float(np.linalg.norm(gradient)), rounding)
        wrong = abs(np.vdot(gradient, direction) - numeric) / scale
        assert wrong <= TOLERANCE, f"{case}: the gradient of {name} differs from finite differences by {wrong:.1e}"
