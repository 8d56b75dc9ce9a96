"""Kernels that depend on their input: `input` and `{at_most: …}`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphc.compiler import plan_spec
from graphc.dims import Formula
from graphc.errors import RuleError, SpecError
from graphc.layers.conv import Conv2d
from graphc.layers.depthwise_conv import DepthwiseConv2d, SeparableConv2d
from graphc.layers.pool import AvgPool2d, MaxPool2d
from graphc.report.explain import explain_layer
from tests.layers.cases import Case
from tests.layers.one_layer import initial_params, random_inputs, run_in_onnxruntime

MOST: dict[str, Any] = {"at_most": 3}
H = Formula.symbol("H")
EXPECTED = r"kernel expects a whole number of at least 1, \[height, width\], input or \{at_most: 5\}, got "


@pytest.mark.parametrize(
    ("kernel", "found"),
    [
        ("input", (7, 2)),
        (["input", 1], (7, 1)),
        (MOST, (3, 2)),
        ([MOST, "input"], (3, 2)),
        ([2, MOST], (2, 2)),
        ({"at_most": 9}, (7, 2)),
        (2, (2, 2)),
    ],
)
@pytest.mark.parametrize("kind", [Conv2d, DepthwiseConv2d, SeparableConv2d, MaxPool2d, AvgPool2d])
def test_a_kernel_is_fitted_to_its_input(kind: Any, kernel: Any, found: tuple[int, int]) -> None:
    own = {"filters": 4} if kind in (Conv2d, SeparableConv2d) else {}
    layer = kind.model_validate({**own, "kernel": kernel, "padding": "valid"})
    assert kind.model_validate(layer.model_dump()) == layer
    assert kind.model_validate_json(layer.model_dump_json()) == layer
    assert layer.fitted((7, 2, 3)) == kind(**own, kernel=found, padding="valid")


def test_a_global_convolution_is_a_matrix_product() -> None:
    layer = Conv2d(filters=5, kernel="input", padding="valid").fitted((4, 3, 2))
    case = Case(layer, ((4, 3, 2),))
    rng = np.random.default_rng(0)
    (x,), params = random_inputs(case, 3, rng, "float32"), initial_params(case, rng, "float32")
    expected = x.reshape(3, -1) @ params["weights"].reshape(-1, 5) + params["biases"]
    found = run_in_onnxruntime(case, params, [x])
    np.testing.assert_allclose(found.reshape(3, 5), expected, rtol=0, atol=1e-5)


def test_open_sizes() -> None:
    assert MaxPool2d(kernel=MOST).fitted((H, 2, 4)) == MaxPool2d(kernel=(3, 2))
    with pytest.raises(RuleError, match="kernel=input needs a fixed size, got H") as caught:
        AvgPool2d(kernel="input").fitted((H, 2, 4))
    assert (caught.value.code, caught.value.argument) == ("G205", "kernel")


SPEC = """\
graphc: 1
name: net
inputs: {image: [N, 9, 6, 3]}
arg_scope: {max_pool2d: {kernel: KERNEL}}
layers:
  - conv2d: {name: conv, filters: 4, kernel: 3}
  - max_pool2d: {name: pool}
"""


def planned(path: Path, kernel: str) -> Any:
    (path / "net.yaml").write_text(SPEC.replace("KERNEL", kernel), encoding="utf-8")
    return plan_spec(path / "net.yaml")


def test_in_a_spec_and_its_explanation(tmp_path: Path) -> None:
    plan = planned(tmp_path, "[input, {at_most: 4}]")
    assert plan.nodes[-1].shape == (1, 1, 4)
    assert plan.nodes[-1].receptive_field.size == (11, 6)
    assert "[9, 4]" in explain_layer(plan, "pool.kernel", "table")


@pytest.mark.parametrize(
    "kernel", ["inputs", "[3]", "[3, 4, 5]", "{at_mos: 3}", "{input: 3}", "2.5", "true", "[input]"]
)
def test_what_a_kernel_can_be(tmp_path: Path, kernel: str) -> None:
    with pytest.raises(SpecError, match=EXPECTED) as caught:
        planned(tmp_path, kernel)
    assert caught.value.place is not None
    assert caught.value.place.line == 4


@pytest.mark.parametrize("kernel", ["0", "[input, 0]", "{at_most: 0}"])
def test_a_kernel_has_a_pixel(tmp_path: Path, kernel: str) -> None:
    with pytest.raises(SpecError, match=EXPECTED):
        planned(tmp_path, kernel)
