"""Sizes that follow another layer's: fixed, open, in blocks and repeats, and what cannot follow."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest

from graphc.compiler import compile_plan, plan_spec
from graphc.dims import format_shape
from graphc.errors import GraphcError
from graphc.execution.network import Network, evaluate
from graphc.graph import Plan
from graphc.initializers import initial_values

SIZES = [(7, 9), (8, 8), (50, 90)]


def planned(folder: Path, layers: str, inputs: str = "{x: [N, H, W, 2]}") -> Plan:
    path = folder / "net.yaml"
    path.write_text(f"graphc: 1\nname: net\ninputs: {inputs}\n{dedent(layers)}")
    return plan_spec(path)


def agrees(plan: Plan, sizes: list[tuple[int, int]] = SIZES) -> None:
    """onnxruntime gives NumPy's numbers for images of each size."""
    ort = pytest.importorskip("onnxruntime")
    params = initial_values(plan.variables, 0)
    model = compile_plan(plan, params).serialize()
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    for size in sizes:
        x = np.random.default_rng(1).standard_normal((2, *size, 2)).astype(np.float32)
        ours = evaluate(plan, params, {"x": x})
        for name, node in plan.graph.outputs.items():
            (theirs,) = session.run([name], {"x": x})
            np.testing.assert_allclose(theirs, ours[node], rtol=0, atol=2e-5, err_msg=f"{name} {size}")


HALF = """
    layers:
      - conv2d: {name: a, filters: 2, kernel: 1}
      - conv2d: {name: half, filters: 3, kernel: 3, stride: 2, padding: 1}
"""


@pytest.mark.parametrize("method", ["nearest", "bilinear", "bicubic"])
def test_resize_to_an_open_size(method: str, tmp_path: Path) -> None:
    plan = planned(tmp_path, HALF + f"      - resize: {{name: up, like: a, method: {method}}}\n")
    assert format_shape(plan.shapes["up"]) == "H×W×3"
    assert plan.by_name["up"].node.inputs == ("half", "a")
    agrees(plan)


def test_a_size_that_is_known_is_read_of_nobody(tmp_path: Path) -> None:
    up = "      - resize: {name: up, like: a}\n"
    plan = planned(tmp_path, HALF + up, "{x: [N, 7, 9, 2]}")
    assert plan.by_name["up"].node.inputs == ("half",)
    assert plan.shapes["up"] == (7, 9, 3)
    agrees(plan, [(7, 9)])


def test_what_is_followed_is_looked_up_as_inputs_are(tmp_path: Path) -> None:
    layers = """
    blocks:
      up:
        inputs: [low, high]
        layers:
          - resize: {name: wide, inputs: low, like: high}
          - concat: {inputs: [wide, high]}
    layers:
      - repeat:
          name: down
          times: 2
          layer: {conv2d: {filters: 2, kernel: 3, stride: 2, padding: 1}}
      - up: {name: one, inputs: [down, down/down_1]}
      - up: {name: two, inputs: [one, x]}
      - resize: {name: later, inputs: two, like: last, when: "${1 > 0}"}
      - conv2d: {name: last, inputs: down, filters: 2, kernel: 1}
    outputs: {big: two, small: later}
    """
    plan = planned(tmp_path, layers)
    assert plan.by_name["one/wide"].node.inputs == ("down/down_2", "down/down_1")
    assert plan.by_name["two/wide"].node.inputs == ("one/concat", "x")
    assert plan.by_name["later"].node.inputs == ("two/concat", "last")
    assert format_shape(plan.shapes["later"]) == "((H + 3)//4)×((W + 3)//4)×6"
    agrees(plan)


def test_what_is_followed_gets_no_gradient(tmp_path: Path) -> None:
    layers = """
    layers:
      - conv2d: {name: only_its_size, filters: 2, kernel: 3, padding: valid}
      - conv2d: {name: c, inputs: x, filters: 2, kernel: 1}
      - resize: {name: r, like: only_its_size, method: bilinear}
    """
    plan = planned(tmp_path, layers)
    params = initial_values(plan.variables, 0)
    network = Network(plan)
    run = network.forward(params, {"x": np.ones((2, 6, 6, 2), np.float32)}, training=True)
    found = run.backward({"r": np.ones_like(run.value("r"))})
    assert set(found) == {"net/c/weights", "net/c/biases"}


def test_an_open_size_is_followed_in_the_receptive_field(tmp_path: Path) -> None:
    plan = planned(tmp_path, HALF + "      - resize: {name: up, like: a}\n")
    field = plan.by_name["up"].receptive_field
    assert field is not None
    assert (field.size, field.stride, field.padding) == ((3, 3), (1, 1), None)
    even = planned(tmp_path, HALF + "      - resize: {name: up, like: a}\n", "{x: [N, 2*H, 2*W, 2]}")
    assert even.by_name["up"].receptive_field.padding == (1, 1)


@pytest.mark.parametrize(
    ("layers", "inputs", "sentence"),
    [
        ("[resize: {name: r, like: nobody}]", "{x: [N, H, W, 2]}", "no layer, group or input is named 'nobody'"),
        ("[resize: {name: r, like: r}]", "{x: [N, H, W, 2]}", "the layers form a cycle: r -> r"),
        ("[resize: {like: 3}]", "{x: [N, H, W, 2]}", "like expects the name of a layer or an input, got 3"),
        ("[resize: {inputs: x, like: y}]", "{x: [N, H, W, 2], y: [N, 5]}", "like=y expects an image"),
        (
            "[resize: {inputs: x, like: y}]",
            "{x: [N, H, W, 2], y: [N, A, B, 1]}",
            "like=y has a size of A, which has no fixed ratio to H",
        ),
    ],
)
def test_what_cannot_follow(layers: str, inputs: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(GraphcError, match=sentence):
        planned(tmp_path, f"layers: {layers}", inputs)
