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
from graphc.kernels.context import RunContext
from graphc.layers.conv import Conv2d
from graphc.layers.conv_transpose import Conv2dTranspose

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


ODD = """
    layers:
      - conv2d: {name: a, filters: 2, kernel: 1}
      - conv2d: {name: half, filters: 3, kernel: 3, stride: 2, padding: 1}
      - resize: {name: even, scale: 2}
"""
"""Of a size H the last layer has 2*((H + 1)//2): at times one pixel more."""
DOWN = """
    layers:
      - conv2d: {name: a, filters: 2, kernel: 1}
      - max_pool2d: {name: half, kernel: 2, stride: 2}
      - resize: {name: even, scale: 2}
"""
"""2*(H//2): at times one pixel less."""


@pytest.mark.parametrize(
    ("before", "layer"),
    [
        (ODD, "crop: {name: last, like: a}"),
        (ODD, "crop: {name: last, like: a, offset: 0}"),
        (ODD, "crop: {name: last, like: half, offset: [0, 1]}"),
        (DOWN, "pad: {name: last, like: a}"),
        (DOWN, "pad: {name: last, like: a, align: center, value: 3}"),
        (HALF, "conv2d_transpose: {name: last, like: a, filters: 2, kernel: 3, stride: 2, padding: 1}"),
        (HALF, "conv2d_transpose: {name: last, like: a, filters: 2, kernel: 2, stride: 2, padding: [[0, 1], [0, 1]]}"),
        (
            "    layers:\n      - conv2d: {name: a, filters: 2, kernel: 3, padding: valid}\n",
            "conv2d_transpose: {name: last, like: x, filters: 2, kernel: 3, padding: valid}",
        ),
        (DOWN, "conv2d_transpose: {name: last, inputs: half, like: a, filters: 2, kernel: 3, stride: 2, padding: 1}"),
    ],
)
def test_open_sizes(before: str, layer: str, tmp_path: Path) -> None:
    if "inputs: half" in layer:  # 2*(H//2) - 1 outputs and at most one more: not always H
        with pytest.raises(GraphcError, match="like=a asks for H outputs of H//2 inputs, which with stride=2"):
            planned(tmp_path, before + f"      - {layer}\n")
        return
    plan = planned(tmp_path, before + f"      - {layer}\n")
    followed = layer.partition("like: ")[2].partition(",")[0].strip("}")
    assert plan.shapes["last"][:2] == plan.shapes[followed][:2]
    agrees(plan)


@pytest.mark.parametrize("padding", ["same", "valid", 1, [[0, 1], [1, 1]]])
@pytest.mark.parametrize("kernel", [2, 3, 4])
def test_every_size_that_gives_a_transposed_convolutions_input_can_follow(padding: object, kernel: int) -> None:
    """A convolution of each size, and back: the way back has the sums that its gradient has."""
    for size in range(5, 12):
        forward = Conv2d(filters=1, kernel=kernel, stride=3, padding=padding, bias=False)
        small = forward.infer_shape((size, size, 1))
        back = Conv2dTranspose(filters=1, kernel=kernel, stride=3, padding=padding, like="x", bias=False)
        rng = np.random.default_rng(size)
        weights, dy = rng.standard_normal((kernel, kernel, 1, 1)), rng.standard_normal((1, *small))
        x = np.zeros((1, size, size, 1))
        (expected,) = forward.forward(RunContext(), {"weights": weights}, x).backward(dy).inputs
        found = back.forward(RunContext(), {"weights": weights}, dy, x).output
        np.testing.assert_allclose(found, expected, atol=1e-12)


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
    ("layers", "hint"),
    [
        (ODD + "      - add: {inputs: [x, even]}\n", "like: x on even gives it the size of x"),
        (ODD + "      - relu: {name: r}\n      - concat: {inputs: [r, a]}\n", "crop: {inputs: r, like: a} cuts it to"),
        (DOWN + "      - relu: {name: r}\n      - concat: {inputs: [r, a]}\n", "crop: {inputs: a, like: r} cuts it to"),
        (
            DOWN
            + "      - conv2d_transpose: {name: up, inputs: half, filters: 2, kernel: 3, stride: 2, padding: valid}\n"
            "      - add: {inputs: [x, up]}\n",
            "crop: {inputs: up, like: x} cuts it to the size of x",
        ),
        (DOWN + "      - add: {inputs: [x, half]}\n", "resize: {inputs: half, like: x} gives it the size of x"),
    ],
)
def test_a_merge_of_two_sizes_says_what_would_help(layers: str, hint: str, tmp_path: Path) -> None:
    with pytest.raises(GraphcError) as caught:
        planned(tmp_path, layers)
    assert any(hint in note for note in caught.value.notes), caught.value.notes


@pytest.mark.parametrize(
    ("layers", "inputs", "sentence"),
    [
        ("[resize: {name: r, like: nobody}]", "{x: [N, H, W, 2]}", "no layer, group or input is named 'nobody'"),
        ("[resize: {name: r, like: r}]", "{x: [N, H, W, 2]}", "the layers form a cycle: r -> r"),
        ("[resize: {like: 3}]", "{x: [N, H, W, 2]}", "like expects the name of a layer or an input, got 3"),
        ("[resize: {inputs: x, like: y}]", "{x: [N, H, W, 2], y: [N, 5]}", "like=y expects length×channels"),
        ("[crop: {inputs: x, like: y}]", "{x: [N, 5, 2], y: [N, 3, 3, 2]}", "like=y is 3×3×2, which has not the axes"),
        (
            "[resize: {inputs: x, like: y}]",
            "{x: [N, H, W, 2], y: [N, A, B, 1]}",
            "like=y has a size of A, which has no fixed ratio to H",
        ),
        (
            "[crop: {inputs: x, like: y}]",
            "{x: [N, H, W, 2], y: [N, A, B, 1]}",
            "like=y has a size of A, which may be more than the H there are",
        ),
        ("[crop: {inputs: x, like: y}]", "{x: [N, 4, 5, 2], y: [N, 4, 6, 1]}", "like=y is 4×6, which is larger"),
        ("[crop: {inputs: x, size: 2, offset: [0, 4]}]", "{x: [N, 4, 5, 2]}", "2 pixels from 4 on do not lie within"),
        ("[pad: {inputs: x, like: y}]", "{x: [N, 4, 5, 2], y: [N, 4, 4, 1]}", "like=y is 4×4, which is smaller"),
        ("[pad: {inputs: x, like: y}]", "{x: [N, H, 5, 2], y: [N, 4, 5, 1]}", "may be less than the H there are"),
        (
            "[conv2d_transpose: {filters: 2, kernel: 3, stride: 2, padding: 1, inputs: x, like: y}]",
            "{x: [N, 4, 4, 2], y: [N, 9, 8, 1]}",
            "like=y asks for 9 outputs of 4 inputs, which with stride=2, kernel=3 and padding=1 give 7 to 8",
        ),
    ],
)
def test_what_cannot_follow(layers: str, inputs: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(GraphcError, match=sentence):
        planned(tmp_path, f"layers: {layers}", inputs)
