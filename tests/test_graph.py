"""What a plan knows, said once."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

from graphc.compiler import plan_spec
from graphc.dims import is_image

PACKAGE = Path(__file__).parent.parent / "graphc"

SPEC = """\
graphc: 1
name: net
inputs: {x: [N, 8, 8, 3]}
layers:
  - conv2d: {name: a, filters: 3, kernel: 3}
  - conv2d: {name: b, filters: 3, kernel: 3, share: a}
  - add: {name: sum, inputs: [a, b, a]}
  - global_avg_pool2d: {name: pool}
outputs: {y: pool}
"""


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    path = tmp_path_factory.mktemp("spec") / "net.yaml"
    path.write_text(SPEC)
    return plan_spec(path)


def test_shapes_are_those_of_inputs_and_layers(planned):
    assert planned.shapes == {"x": (8, 8, 3), "a": (8, 8, 3), "b": (8, 8, 3), "sum": (8, 8, 3), "pool": (3,)}
    assert planned.input_shapes(planned.by_name["sum"].node) == [(8, 8, 3)] * 3


def test_who_reads_a_value_twice_is_there_twice(planned):
    readers = {name: [node.name for node in nodes] for name, nodes in planned.readers.items()}
    assert readers == {"x": ["a"], "a": ["b", "sum", "sum"], "b": ["sum"], "sum": ["pool"]}


def test_layers_that_share_have_the_same_names_of_variables(planned):
    own = {"weights": "net/a/weights", "biases": "net/a/biases"}
    assert planned.variable_names == {"a": own, "b": own, "sum": {}, "pool": {}}
    assert list(planned.variables) == [*own.values()]
    params = {name: np.zeros(spec.shape) for name, spec in planned.variables.items()}
    assert planned.params_of(planned.by_name["b"].node, params)["weights"] is params["net/a/weights"]


def test_facts_are_worked_out_once(planned):
    for fact in ("shapes", "readers", "variables", "variable_names", "by_name"):
        assert getattr(planned, fact) is getattr(planned, fact), fact


def test_an_image_has_three_axes():
    assert [is_image(shape) for shape in [(3,), (8, 3), (8, 8, 3), ("H", "W", 3), (4, 8, 8, 3)]] == [
        False,
        False,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.name)
def test_what_an_image_is_stands_in_one_place(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if (
            isinstance(node, ast.Compare)
            and isinstance(node.left, ast.Call)
            and path.name != "dims.py"
            and "data" not in path.parts
        ):
            text = ast.unparse(node)
            assert not (text.startswith("len(") and "shape" in text and text.endswith((" == 3", " != 3"))), text
