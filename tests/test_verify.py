"""verify: rows for every end point, and a difference where there is one."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.errors import SpecError
from graphc.execution.network import evaluate
from graphc.graph import Plan
from graphc.initializers import initial_values
from graphc.layers.activation import Relu
from graphc.verify import choose_sizes, random_inputs, read_sizes, verify
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


@pytest.mark.parametrize(
    ("inputs", "layer", "sizes"),
    [
        ("[N, H, 2*W, 3]", "kernel: 70, padding: valid", {"H": 96, "W": 64}),
        ("[N, H, W, 3]", "kernel: 3, padding: same", {"H": 64, "W": 64}),
        ("[N, H, W, 1]", "kernel: [130, 3], padding: valid", {"H": 160, "W": 64}),
        ("[N, T, 1, 1]", "kernel: [5000, 1], padding: valid", {"T": 8192}),
        ("[N, T, W, 1]", "kernel: [5000, 1], padding: valid", {"T": 8192, "W": 64}),
    ],
)
def test_open_sizes_are_the_first_that_all_layers_can_take(inputs, layer, sizes):
    plan = plan_of(f"inputs: {{x: {inputs}}}\nlayers: [{{conv2d: {{filters: 2, {layer}}}}}]")
    assert choose_sizes(plan, {}) == sizes
    (row,) = verify(plan, initial_values(plan.variables, 0), batch=1, threads=1)[-1:]
    assert row.error < 1e-4


def test_sizes_may_be_given():
    plan = plan_of("inputs: {x: [N, H, 2*W, 3]}\nlayers: [{conv2d: {filters: 2, kernel: 70, padding: valid}}]")
    assert choose_sizes(plan, {"H": 71}) == {"H": 71, "W": 64}
    assert random_inputs(plan, 1, 0, {"H": 71, "W": 35})["x"].shape == (1, 71, 70, 3)
    with pytest.raises(SpecError, match=r"net.yaml:\d+:\d+: error\[G203\]: conv2d:"):
        choose_sizes(plan, {"H": 69, "W": 64})


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"h": 3}, "the spec has no size h (did you mean 'H'?): its open sizes are H, W"),
        ({"N": 3}, "the spec has no size N: its open sizes are H, W, and --batch sets the batch"),
    ],
)
def test_sizes_that_are_none_of_the_spec(sizes, message):
    plan = plan_of("inputs: {x: [N, H, 2*W, 3]}\nlayers: [relu]")
    with pytest.raises(SpecError) as error:
        choose_sizes(plan, sizes)
    assert message in str(error.value)


def test_no_size_that_all_layers_can_take(monkeypatch):
    plan = plan_of("inputs: {x: [N, H, W, 3]}\nlayers: [{conv2d: {name: c, filters: 2, kernel: 99, padding: valid}}]")
    monkeypatch.setattr("graphc.verify.SIZES", (64, 96))
    with pytest.raises(
        SpecError, match=r"G346.*no size of H and W from 64 to 96 .*: give one with --size H=N"
    ) as error:
        choose_sizes(plan, {})
    assert "at 96: c: kernel=99 is larger than its input of 96" in str(error.value)
    assert choose_sizes(plan, {"H": 99, "W": 99}) == {"H": 99, "W": 99}


@pytest.mark.parametrize("option", ["H", "H=", "=4", "H=0", "H=-1", "H=1.5", "H=1e3", "H=٤", "H=" + "9" * 5000])
def test_size_options_that_say_no_size(option):
    with pytest.raises(SpecError, match="--size expects NAME=NUMBER, such as H=64"):
        read_sizes([option])


def test_size_options():
    assert read_sizes(["H=64", "W=48", "H=64"]) == {"H": 64, "W": 48}
    with pytest.raises(SpecError, match="--size gives H twice: 64 and 65"):
        read_sizes(["H=64", "H=65"])


def test_images_too_small_for_a_layer_are_an_error_at_the_layer():
    plan = plan_of("""
        inputs: {x: [N, H, W, 3]}
        layers: [{crop: {name: centre, cut: 3}}, {conv2d: {filters: 2, kernel: 3}}]
    """)
    params = initial_values(plan.variables, 0)
    assert evaluate(plan, params, {"x": np.ones((1, 8, 8, 3), np.float32)})["conv2d"].shape == (1, 2, 2, 2)
    with pytest.raises(SpecError, match=r"net.yaml:\d+:\d+: error\[G203\]: centre: cutting 6 of 6 pixels"):
        evaluate(plan, params, {"x": np.ones((1, 6, 8, 3), np.float32)})


def test_sizes_beyond_the_memory_are_refused_before_anything_is_drawn(monkeypatch):
    plan = plan_of("inputs: {x: [N, H, W, 3]}\nlayers: [relu, {conv2d: {filters: 5, kernel: 1}}]")
    monkeypatch.setattr("graphc.verify.Normal", None)
    expected = (
        r"net.yaml:3:13: error\[G207\]: the values of all layers for 3 examples \(x 1000000×1000000×3\) are 120.05 TiB"
    )
    with pytest.raises(SpecError, match=expected):
        verify(plan, {}, batch=3, sizes={"H": 10**6, "W": 10**6})
    with pytest.raises(SpecError, match=r"over the limit of 100 B \(--max-memory\)"):
        verify(plan, {}, batch=1, sizes={"H": 4, "W": 4}, max_bytes=100)
