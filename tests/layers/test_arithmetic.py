"""Reductions, constants and what goes with them: what they refuse, and what no other test sees."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.compiler import plan_model
from graphc.dims import Formula
from graphc.errors import SpecError
from graphc.kernels.context import RunContext
from graphc.layers.arithmetic import Sqrt
from graphc.layers.constant import Coordinates
from graphc.layers.reduce import ReduceMax, ReduceMean
from graphc.spec.model import read_spec_text

HEAD = "graphc: 1\nname: net\ninputs: {x: [N, 8, 6, 4], v: [N, 5], s: [N, 7, 4]}\nlayers: [{KIND}]\n"


def plan_of(layer: str, inputs: str = "x"):
    kind, _, rest = layer.partition("{")
    return plan_model(read_spec_text(HEAD.replace("KIND", f"{kind}{{inputs: {inputs}, {rest}").replace("{{", "{")))


@pytest.mark.parametrize(
    ("layer", "inputs", "sentence"),
    [
        (
            "reduce_mean: {axes: length}",
            "x",
            "axes of 8×6×4, which are height, width, channels, .*, got length",
        ),
        ("reduce_mean: {axes: 3}", "x", "got 3"),
        ("reduce_sum: {axes: [0, height]}", "x", r"expects each axis once, got \[0, 'height'\]"),
        ("reduce_max: {axes: -1}", "v", "reduce_max over all axes of 5 leaves none: write keep_dims: true"),
        ("constant: {value: [[1, 2], [3]]}", "x", "expected lists of equal lengths, found 1 and 2"),
        ("constant: {value: []}", "x", "expected lists of equal lengths, found an empty one"),
        ("constant: {value: [1, a]}", "x", "value expects a number, or lists of numbers"),
        (
            "constant: {value: [1, 2], shape: [2, 3]}",
            "x",
            r"a value of shape=\[2, 3\], or .*, found 2",
        ),
        ("constant: {value: 1, shape: 3}", "x", "shape expects a list of 1 to 4 sizes"),
        ("coordinates: {range: unit}", "v", "coordinates expects length×channels, .*, got 5"),
        ("matmul: {transpose_a: false}", "[x, s]", "equally many axes, at least 2, got 8×6×4 and 7×4"),
        ("matmul: {transpose_a: false}", "[s, s]", "columns of the first as rows of the second, got 7×4 times 7×4"),
        ("split: {parts: 3, part: 0}", "x", "channels of 4 cannot be split in 3 equal parts"),
        ("split: {parts: 2, part: 2}", "x", "expected a part from 0 to 1, found 2"),
        ("clip: {minimum: 2, maximum: 1}", "x", "expected a minimum below the maximum, found 2 and 1"),
        ("clip: {minimum: null}", "x", "expected a minimum, a maximum or both"),
    ],
)
def test_what_is_refused(layer: str, inputs: str, sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence):
        plan_of(layer, inputs)


def test_what_a_constant_is_made_of_is_not_seen() -> None:
    plan = plan_model(
        read_spec_text(
            """
            graphc: 1
            name: coord_conv
            inputs: {x: [N, H, W, 3]}
            layers:
              - coordinates: {name: grid}
              - concat: {name: both, inputs: [x, grid]}
              - conv2d: {name: conv, filters: 4, kernel: 3}
              - reduce_mean: {name: over_channels, axes: channels, keep_dims: true}
              - multiply: {name: gated, inputs: [conv, over_channels]}
              - reduce_mean: {name: pooled, axes: [height, width], keep_dims: true}
            """
        )
    )
    fields = {each.node.name: each.receptive_field for each in plan.nodes}
    assert fields["grid"] is None
    assert [fields[name].size for name in ("both", "conv", "over_channels", "gated")] == [
        (1, 1),
        (3, 3),
        (3, 3),
        (3, 3),
    ]
    assert fields["pooled"] is None
    assert not plan.warnings


def test_a_position_that_is_repeated_is_seen_from_everywhere() -> None:
    plan = plan_model(
        read_spec_text(
            "graphc: 1\nname: net\ninputs: {x: [N, 8, 8, 3]}\nlayers:\n"
            "  - conv2d: {name: all, filters: 3, kernel: input, padding: valid}\n  - add: {inputs: [x, all]}\n"
        )
    )
    assert plan.by_name["add"].receptive_field is None


def test_coordinates_are_coord_convs() -> None:
    grid = Coordinates().forward(RunContext(), {}, np.zeros((2, 3, 5, 1))).output
    np.testing.assert_array_equal(grid[1, :, 0, 0], [-1, 0, 1])
    np.testing.assert_array_equal(grid[0, 0, :, 1], [-1, -0.5, 0, 0.5, 1])
    assert Coordinates().infer_shape((Formula.symbol("H"), 4, 7)) == (Formula.symbol("H"), 4, 2)


def test_open_sizes_are_reduced() -> None:
    h = Formula.symbol("H")
    assert ReduceMean(axes=("width",)).infer_shape((h, 4, 8)) == (h, 8)
    assert ReduceMax(axes=(0, 1), keep_dims=True).infer_shape((h, 4, 8)) == (1, 1, 8)


def test_a_root_of_nothing_spoils_no_training() -> None:
    step = Sqrt().forward(RunContext(), {}, np.array([[0.0, 4.0]]))
    np.testing.assert_array_equal(step.backward(np.ones((1, 2))).inputs[0], [[0, 0.25]])
