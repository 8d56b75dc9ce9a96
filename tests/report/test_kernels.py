"""`graphc show --kernels`: what is printed is what is computed by."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from graphc.compiler import plan_spec
from graphc.errors import SpecError
from graphc.execution.network import Network
from graphc.initializers import initial_values
from graphc.kernels.conv import ALGORITHMS, FORCING
from graphc.report.kernels import kernels
from tests.passes.specs import plan_of

NET = """\
inputs: {image: [N, 12, 12, 2]}
layers:
  - conv2d: {name: first, filters: 16, kernel: 3}
  - conv2d: {name: strided, filters: 16, kernel: 3, stride: 2}
  - depthwise_conv2d: {name: depthwise, kernel: 3}
  - separable_conv2d: {name: separable, filters: 24, kernel: 3}
  - conv2d: {name: narrow, filters: 2, kernel: 3}
  - conv2d: {name: dilated, filters: 8, kernel: 3, dilation: 2}
  - conv2d: {name: many_taps, filters: 8, kernel: 5}
  - conv2d_transpose: {name: up, filters: 8, kernel: 4, stride: 2}
  - conv2d: {name: frozen, filters: 8, kernel: 3, groups: 2, trainable: false}
  - conv2d: {name: pixels, filters: 10, kernel: 1}
outputs: {pixels: pixels}
"""


@pytest.fixture(autouse=True)
def _not_forced(monkeypatch):
    monkeypatch.delenv(FORCING, raising=False)


def table(plan, **given):
    rows = list(csv.DictReader(io.StringIO(kernels(plan, "csv", **{"batch": 16, "training": True, **given}))))
    return {(row["layer"], row["computes"]): (row["algorithm"], row["reason"]) for row in rows}


def test_every_layer_in_training():
    chosen = {key: algorithm for key, (algorithm, _) in table(plan_of(NET)).items()}
    assert chosen == {
        ("first", "output, weight gradient"): "few_channels",
        ("strided", "output, weight gradient"): "unfolded",
        ("strided", "input gradient"): "winograd_1d",
        ("depthwise", "output, weight gradient"): "depthwise_rows",
        ("depthwise", "input gradient"): "depthwise_rows",
        ("separable", "depthwise output, weight gradient"): "depthwise_rows",
        ("separable", "depthwise input gradient"): "depthwise_rows",
        ("separable", "pointwise output, weight gradient"): "pointwise",
        ("separable", "pointwise input gradient"): "pointwise",
        ("narrow", "output, weight gradient"): "winograd_1d",
        ("narrow", "input gradient"): "few_channels",
        ("dilated", "output, weight gradient"): "unfolded",
        ("dilated", "input gradient"): "unfolded",
        ("many_taps", "output, weight gradient"): "fourier",
        ("many_taps", "input gradient"): "fourier",
        ("up", "output"): "few_channels",
        ("up", "gradients"): "unfolded",
        ("frozen", "output, weight gradient"): "unfolded",
        ("frozen", "input gradient"): "unfolded",
        ("pixels", "output, weight gradient"): "pointwise",
        ("pixels", "input gradient"): "pointwise",
    }


def test_layers_that_run_as_one_are_said_with_all_their_kinds():
    net = """\
inputs: {image: [N, 12, 12, 2]}
layers:
  - conv2d: {name: a, filters: 4, kernel: 1, normalizer: batch_norm, activation: relu}
  - conv2d: {name: b, filters: 4, kernel: 1, activation: relu}
  - max_pool2d: {name: pool, kernel: 2}
outputs: {pool: pool}
"""
    rows = list(csv.DictReader(io.StringIO(kernels(plan_of(net), "csv", batch=4, training=False))))
    fused = {row["layer"]: (row["kind"], row["computes"]) for row in rows if row["algorithm"] == "fused"}
    assert fused == {
        "a/BatchNorm": ("batch_norm + relu", "all in one"),
        "b": ("conv2d + relu + max_pool2d", "all in one"),
    }
    assert all(row["reason"] for row in rows)


def test_reasons_say_what_is_in_the_way():
    reasons = {layer: reason for (layer, what), (_, reason) in table(plan_of(NET)).items() if "output" in what}
    rest = ": windows as rows of one matrix product"
    assert reasons["strided"] == "stride 2" + rest
    assert reasons["dilated"] == "dilation 2" + rest
    assert reasons["frozen"] == "2 groups" + rest
    assert reasons["narrow"] == "8 rows of 3 taps by 10 products in place of 24"


@pytest.mark.parametrize("training", [False, True])
def test_it_is_what_a_network_runs(training, monkeypatch):
    plan = plan_of(NET)
    ran = []
    for algorithm in ALGORITHMS:
        real = type(algorithm).forward
        record = lambda *given, real=real, each=algorithm: ran.append(each.name) or real(each, *given)  # noqa: E731
        monkeypatch.setattr(algorithm, "forward", record)
        back = type(algorithm).input_gradient
        turn = lambda *given, back=back, each=algorithm: ran.append(each.name) or back(each, *given)  # noqa: E731
        monkeypatch.setattr(algorithm, "input_gradient", turn)
    params = initial_values(plan.variables, 0)
    x = np.random.default_rng(0).normal(size=(16, 12, 12, 2)).astype(np.float32)
    Network(plan, threads=1, shards=1).forward(params, {"image": x}, training=training)
    printed = table(plan, training=training)
    assert ran == [algorithm for (_, what), (algorithm, _) in printed.items() if "output" in what]


def test_the_batch_and_the_environment_count(monkeypatch):
    plan = plan_of(NET)
    assert table(plan, batch=15)["many_taps", "output, weight gradient"][0] == "winograd_1d"
    monkeypatch.setenv(FORCING, "unfolded")
    forced = table(plan)
    assert set(forced.values()) == {("unfolded", f"{FORCING} says so")} | {
        ("unfolded", f"as a convolution of {how}: {FORCING} says so")
        for how in ("2 channels", "8 channels", "stride 1 that makes 2×2 pixels at a time")
    }


def test_an_open_size_is_an_error_with_its_place():
    plan = plan_of(NET.replace("12, 12", "H, W").replace("[N, 12", "[N, H"))
    with pytest.raises(SpecError, match="first needs fixed sizes, got H×W×2; set the resolution") as error:
        kernels(plan, "table", batch=1, training=False)
    assert (error.value.code, error.value.place.line) == ("G205", 5)


def test_a_table_of_a_model_of_the_zoo():
    printed = kernels(plan_spec("lenet5"), "table", batch=32, training=True)
    assert "25 numbers in a window, 6 filters" in printed
    assert "training, a batch (in training a shard of one) of 32" in printed
