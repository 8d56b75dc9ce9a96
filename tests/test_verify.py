"""verify: rows for every end point, and a difference where there is one."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.errors import SpecError
from graphc.graph import Plan
from graphc.initializers import initial_values
from graphc.layers.activation import Relu
from graphc.train.network import evaluate
from graphc.verify import random_inputs, verify
from tests.passes.specs import plan_of

pytest.importorskip("onnxruntime")


def planned() -> tuple[Plan, dict[str, np.ndarray]]:
    plan = plan_of("""
        inputs: {image: [N, 8, 8, 3]}
        layers:
          - conv2d: {name: a, filters: 4, kernel: 3, activation: relu}
          - group: {name: g, layers: [{conv2d: {name: b, filters: 4, kernel: 3}}, {relu: {name: c}}]}
          - dropout: {name: d}
          - flatten
          - fully_connected: 3
    """)
    return plan, initial_values(plan.variables, 0)


def test_every_end_point_and_output_has_a_row():
    rows = verify(*planned(), threads=1)
    assert [row.name for row in rows] == ["net/a", "net/g/b", "net/g", "net/g/c", "net/d", "output"]
    assert [row.node for row in rows] == ["a/Relu", "g/b", "g/c", "g/c", "d", "fully_connected"]
    assert all(row.largest > 0 and row.error < 1e-5 for row in rows)


def test_a_difference_is_seen(monkeypatch):
    monkeypatch.setattr(Relu, "emit", lambda self, build, inputs, params: build.op("Abs", inputs[0]))
    rows = {row.name: row.error for row in verify(*planned(), threads=1)}
    assert rows["net/a"] > 0.1
    assert rows["output"] > 1e-3


def test_symbols_and_a_fixed_batch_get_sizes():
    plan = plan_of("inputs: {x: [2, H, 16*W, 3]}\nlayers: [relu]")
    assert {name: array.shape for name, array in random_inputs(plan, 5, 0).items()} == {"x": (2, 64, 1024, 3)}


def test_an_open_size_grows_until_the_layers_can_take_it():
    plan = plan_of("inputs: {x: [N, H, 2*W, 3]}\nlayers: [{conv2d: {filters: 2, kernel: 70, padding: valid}}]")
    assert random_inputs(plan, 1, 0)["x"].shape == (1, 128, 256, 3)


def test_images_too_small_for_a_layer_are_an_error_at_the_layer():
    plan = plan_of("""
        inputs: {x: [N, H, W, 3]}
        layers: [{crop: {name: centre, cut: 3}}, {conv2d: {filters: 2, kernel: 3}}]
    """)
    params = initial_values(plan.variables, 0)
    assert evaluate(plan, params, {"x": np.ones((1, 8, 8, 3), np.float32)})["conv2d"].shape == (1, 2, 2, 2)
    with pytest.raises(SpecError, match=r"net.yaml:\d+:\d+: error\[G203\]: centre: cutting 6 of 6 pixels"):
        evaluate(plan, params, {"x": np.ones((1, 6, 8, 3), np.float32)})
