"""Shapes with one open size: flatten, reshape, transpose, softmax and the rest along any axis, in the file and here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graphc.compiler import compile_plan, plan_spec
from graphc.dims import Formula, format_shape, parse_size
from graphc.errors import GraphcError, RuleError
from graphc.execution.network import evaluate
from graphc.initializers import initial_values
from graphc.layers.reshape import Reshape

W = Formula.symbol("W")


@pytest.mark.parametrize(
    ("given", "layers", "shape"),
    [
        ("1, W, 4", "[reshape: {shape: [-1, 4]}]", "W×4"),
        ("H, W, 4", "[reshape: {shape: [-1, 2]}, reshape: {shape: [-1, 4]}]", "H*W×4"),
        ("H, W, 4", "[reshape: {shape: [W*H, 4]}]", "H*W×4"),
        (
            "H, W, 4",
            "[conv2d: {filters: 2, kernel: 3, stride: 2}, reshape: {shape: [-1, 2]}]",
            "(((H + 1)//2)*((W + 1)//2))×2",
        ),
        ("1, W, 4", "[reshape: {shape: [W, 4]}]", "W×4"),
        ("1, W, 4", "[reshape: {shape: [W, 2, 2]}]", "W×2×2"),
        ("2, W, 4", "[reshape: {shape: [-1, 4]}]", "2*W×4"),
        ("2, W, 4", "[reshape: {shape: [2*W, 2, 2, 1]}]", "2*W×2×2×1"),
        ("3, W, 4", "[reshape: {shape: [4, 0, 3]}]", "4×W×3"),
        ("H, W, 4", "[reshape: {shape: [0, 0, 2, 2]}]", "H×W×2×2"),
        ("H, W, 4", "[reshape: {shape: [H, W, 1, 4]}, reshape: {shape: [H, -1, 4]}]", "H×W×4"),
        ("3, W, 4", "[reshape: {shape: [12, -1]}, reshape: {shape: [-1, 3, 4]}]", "W×3×4"),
        ("3, W, 4", "[flatten]", "12*W"),
        ("W, 4", "[flatten, reshape: {shape: [-1, 2]}]", "2*W×2"),
        ("3, W, 4", "[transpose: {axes: [1, 0, 2]}]", "W×3×4"),
        ("3, W, 4", "[transpose: {axes: [1, 0, 2]}, reshape: {shape: [0, 12]}]", "W×12"),
        ("3, W, 4", "[transpose: {axes: [2, 0, 1]}, transpose: {axes: [-1, 0, 1]}]", "W×4×3"),
        ("W, 4", "[transpose: {axes: [1, 0]}, transpose: {axes: [1, 0]}, relu]", "W×4"),
        ("2, 3, W, 4", "[transpose: {axes: [3, 2, 0, 1]}, reshape: {shape: [4, 0, 6]}]", "4×W×6"),
        ("3, W, 4", "[softmax: 1]", "3×W×4"),
        ("W, 4", "[softmax: 0]", "W×4"),
        ("3, W, 4", "[softmax: {axis: height}, slice: {start: 1, axis: -2}]", "3×(W - 1)×4"),
        ("2, 3, W, 4", "[softmax: -3, slice: {stop: 1, axis: 0}]", "1×3×W×4"),
        ("W, 4", "[concat: {inputs: [x, x], axis: 0}]", "2*W×4"),
        ("2, 3, W, 4", "[concat: {inputs: [x, x], axis: 1}]", "2×6×W×4"),
        ("3, W, 4", "[pad: {axis: channels, before: 1, after: 2}]", "3×W×7"),
        ("W, 4", "[pad: {axis: 0, after: 2, value: 1.5}]", "(W + 2)×4"),
    ],
)
def test_the_file_does_what_numpy_does(given: str, layers: str, shape: str, tmp_path: Path) -> None:
    ort = pytest.importorskip("onnxruntime")
    path = tmp_path / "net.yaml"
    path.write_text(f"graphc: 1\nname: net\ninputs: {{x: [N, {given}]}}\nlayers: {layers}\n")
    plan = plan_spec(path)
    last = plan.graph.nodes[-1].name
    assert format_shape(plan.shapes[last]) == shape
    params = initial_values(plan.variables, 0)
    session = ort.InferenceSession(compile_plan(plan, params).serialize(), providers=["CPUExecutionProvider"])
    for size in (5, 6):
        sizes = [{"W": size, "H": 3}.get(each, each) for each in given.split(", ")]
        x = np.random.default_rng(0).standard_normal((2, *map(int, sizes))).astype(np.float32)
        (theirs,) = session.run(None, {"x": x})
        np.testing.assert_allclose(theirs, evaluate(plan, params, {"x": x})[last], atol=1e-6)


@pytest.mark.parametrize(
    ("given", "layer", "sentence"),
    [
        ("H, W, 4", "flatten", "flatten needs sizes of which one is open at most, got H×W×4"),
        ("H, W, 4", "reshape: {shape: [W, 4]}", r"of H×W×4: where it says W, H\*W is left"),
        ("H, W, 4", "reshape: {shape: [6, 4]}", r"of 4\*H\*W numbers of an example needs one size of -1"),
        (
            "3, W, 4",
            "reshape: {shape: [-1, 8]}",
            r"shape=\[-1, 8\] of 12\*W numbers of an example needs sizes that always",
        ),
        ("3, W, 4", "reshape: {shape: [5, 4]}", r"shape=\[5, 4\] of 12\*W numbers of an example needs one size of -1"),
        ("3, W, 4", "reshape: {shape: [W, 4]}", r"shape=\[W, 4\] of 3×W×4: where it says W, 3\*W is left"),
        ("3, W, 4", "reshape: {shape: [H, 12]}", "where it says H, W is left"),
        ("3, W, 4", "reshape: {shape: [W, H, 4]}", "has several sizes of which the file could not tell"),
        ("3, 5, 4", "reshape: {shape: [3, W, 4]}", "where it says W, 5 is left"),
        ("3, W, 4", "reshape: {shape: ['W//0', 4]}", r"shape: W // 0 is no formula of sizes"),
        ("3, W, 4", "reshape: {shape: ['4', -1]}", "'4' is a number: write it without quotes"),
        ("5", "reshape: {shape: [5, 0]}", "has a 0 where 5 has no axis"),
        (
            "3, W, 4",
            "transpose: {axes: [0, 1]}",
            r"transpose expects each of the axes 0 to 2 once for 3×W×4, got \[0, 1\]",
        ),
        ("3, W, 4", "transpose: {axes: [0, 1, -2]}", "each of the axes 0 to 2 once"),
        ("3, W, 4", "softmax: 3", "softmax expects an axis 3, got 3×W×4, which has -3 to 2"),
        ("W, 4", "softmax: height", "softmax expects an axis height, got W×4, which has length and channels"),
        ("3, W, 4", "pad: {axis: 0}", "pad along an axis takes before or after"),
        ("3, W, 4", "pad: {padding: 1, before: 2}", "before and after go with axis"),
    ],
)
def test_what_cannot_be_is_a_sentence(given: str, layer: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "net.yaml"
    path.write_text(f"graphc: 1\nname: net\ninputs: {{x: [N, {given}]}}\nlayers: [{layer}]\n")
    with pytest.raises(GraphcError, match=sentence):
        plan_spec(path)


def test_formulas_are_read_as_they_are_written() -> None:
    for text in ("W", "2*W", "(W + 1)//2", "2*W + 3", "2*H*W", "((H + 3)//4 - 1)//2"):
        assert str(parse_size(str(parse_size(text)))) == str(parse_size(text))
    assert parse_size("(2*W + 4)//2") == W + 2
    for text in ("W//H", "1//0", "W/2", "f(W)", "", "W if 1 else 2", "(" * 500, "1//W"):
        with pytest.raises(ValueError, match="no formula of sizes"):
            parse_size(text)


def test_a_formula_is_found_in_the_input() -> None:
    fitted = Reshape(shape=("W", 12)).fitted((3, W, 4))
    assert fitted == Reshape(shape=(-1, 12))
    with pytest.raises(RuleError, match="always divide"):
        Reshape(shape=("W", 7)).fitted((3, W, 4))
