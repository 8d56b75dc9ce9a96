"""What a layer makes besides its variables, its inputs and its output has a bound, and so have its operators."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.compiler import plan_model
from graphc.emit.model import emit
from graphc.errors import SpecError
from graphc.execution.network import evaluate
from graphc.graph import Plan
from graphc.initializers import initial_values
from graphc.runtime import Session
from graphc.spec.model import read_spec_text
from tests.costs import little

LARGE = 999_999_999


def planned(shape: str, layer: str) -> Plan:
    return plan_model(read_spec_text(f"graphc: 1\ninputs: {{x: {shape}}}\nlayers: [{layer}]\n", "net.yaml"))


@pytest.mark.parametrize(
    ("shape", "layer"),
    [
        ("[N, 7, 6, 3]", f"max_pool2d: {{kernel: 3, stride: 2, padding: same, dilation: {LARGE}}}"),
        ("[N, H, W, 3]", f"conv2d: {{filters: 3, kernel: 3, padding: same_fixed, dilation: {LARGE}}}"),
        ("[N, 7, 6, 3]", f"conv2d_transpose: {{filters: 3, kernel: 3, padding: same, dilation: {LARGE}}}"),
        ("[N, 7, 6, 3]", "lp_pool2d: {kernel: 20000, padding: same}"),
        ("[N, H, W, 3]", "blur_pool2d: {kernel: 65}"),
        ("[N, 8, 8, 100000]", "blur_pool2d: {kernel: 64}"),
        ("[N, 100000, 1, 1]", "avg_pool2d: {output_size: [9999, 1]}"),
        ("[N, H, W, 3]", "pad: {padding: 301, mode: symmetric}"),
        ("[N, 9, 4]", f"lstm: {{units: {LARGE}}}"),
        ("[N, 9000, 4]", "multi_head_attention: {heads: 1, causal: true}"),
    ],
)
def test_more_than_a_layer_may_make_is_refused(shape: str, layer: str) -> None:
    with little(), pytest.raises(SpecError, match=r"net\.yaml:3") as caught:
        planned(shape, layer)
    assert "at most" in caught.value.message


@pytest.mark.parametrize(
    ("shape", "layer"),
    [
        ("[N, 9000, 1, 1]", "max_pool2d: {kernel: [3000, 1], dilation: 2}"),
        ("[N, H, 4]", "max_pool1d: {output_size: 9999}"),
    ],
)
def test_more_operators_than_a_layer_may_have_are_refused(shape: str, layer: str) -> None:
    plan = planned(shape, layer)
    with little(), pytest.raises(SpecError, match=r"net\.yaml:3.*at most 2,000 operators"):
        emit(plan, {})


@pytest.mark.parametrize("shift", [1, -1, 8, -8, 100, -99])
def test_an_open_size_is_rolled_as_often_as_is_said(shift: int) -> None:
    plan = planned("[N, H, 3]", f"roll: {{shift: {shift}}}")
    session = Session(emit(plan, initial_values(plan.variables, 0)).serialize())
    for size in (1, 5, 8):
        x = np.arange(2 * size * 3, dtype=np.float32).reshape(2, size, 3)
        (theirs,) = session.run({"x": x}).values()
        np.testing.assert_array_equal(theirs, evaluate(plan, {}, {"x": x})["roll"])


@pytest.mark.parametrize("argument", ["alpha: 3.0e+38", "alpha: 0", "alpha: -1", "beta: 0", "beta: -0.5"])
def test_exponents_that_runtimes_refuse(argument: str) -> None:
    with pytest.raises(SpecError, match=r"above 0|float32 holds"):
        planned("[N, 8, 8, 3]", f"local_response_norm: {{{argument}}}")


def test_batch_norm_of_any_rank_is_written() -> None:
    plan = planned("[N, 2, 3, 2, 1, 5]", "batch_norm")
    session = Session(emit(plan, params := initial_values(plan.variables, 0)).serialize())
    x = np.arange(60, dtype=np.float32).reshape(1, 2, 3, 2, 1, 5)
    (theirs,) = session.run({"x": x}).values()
    np.testing.assert_allclose(theirs, evaluate(plan, params, {"x": x})["batch_norm"], rtol=1e-6)
