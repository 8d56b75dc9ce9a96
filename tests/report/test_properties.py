"""The four properties: what is counted by hand, and what must be exactly nothing."""

from __future__ import annotations

import pytest

from graphc import initializers
from graphc.compiler import plan_spec
from graphc.graph import Plan
from graphc.report.properties import Drift, drifts, economies
from tests.passes.specs import plan_of


def measured(plan: Plan) -> dict[str, Drift]:
    return drifts(plan, initializers.initial_values(plan.variables, 0))


def test_lenet_counted_by_hand() -> None:
    """5×5 kernels from 28×28×1 to 28×28×6: 25 connections an output of 784 possible, 156 weights for 117,600."""
    conv1 = economies(plan_spec("lenet5"))["conv1"]
    assert conv1.connections == 28 * 28 * 6 * 25
    assert conv1.dense_connections == 28 * 28 * 28 * 28 * 6
    assert conv1.dense_params == 784 * 4704 + 4704
    assert conv1.sparsity == pytest.approx(784 / 25)
    assert conv1.sharing == pytest.approx(117_600 / 156)


def test_a_fully_connected_layer_saves_nothing() -> None:
    found = economies(plan_spec("lenet5"))["logits"]
    assert found.connections == found.dense_connections
    assert found.params == found.dense_params


def test_a_convolution_moves_with_the_image() -> None:
    found = measured(
        plan_of("layers: [conv2d: {name: a, filters: 4, kernel: 5}, conv2d: {name: b, filters: 4, kernel: 3}]")
    )
    assert found["b"].shift == 1
    assert found["b"].inside is not None
    assert found["b"].inside < 1e-5
    assert found["b"].everywhere > 1e-3


def test_a_stride_moves_with_whole_strides_only() -> None:
    text = "layers: [conv2d: {name: a, filters: 4, kernel: 3}, max_pool2d: {name: pool, kernel: 4, stride: 4}]"
    found = measured(plan_of(text))["pool"]
    assert found.shift == 4
    assert found.inside is not None
    assert found.inside < 1e-5
    assert found.one_pixel > 0.05


def test_a_layer_that_looks_at_places_differently_does_not_move() -> None:
    """Columns that become channels: shifting the image permutes channels instead."""
    found = measured(plan_of("layers: [conv2d: {name: a, filters: 4, kernel: 3}, space_to_depth: {name: s, block: 2}]"))
    assert found["s"].shift == 2
    assert found["s"].one_pixel > 0.5


def test_what_has_no_image_has_no_drift() -> None:
    assert measured(plan_of("inputs: {x: [N, 7]}\nlayers: [fully_connected: 3]")) == {}
