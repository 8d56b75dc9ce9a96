"""Layers that undo another by its name: max_unpool2d, as in SegNet."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.errors import SpecError
from graphc.execution.network import evaluate
from graphc.initializers import initial_values
from graphc.layers.unpool import MaxUnpool2d
from graphc.verify import verify
from tests.passes.specs import plan_of

SEGNET = """
    inputs: {image: [N, 12, 10, 3]}
    arg_scope: {conv2d: {kernel: 3, normalizer: batch_norm, activation: relu}, max_pool2d: {kernel: 2}}
    layers:
      - conv2d: {name: c1, filters: 4}
      - max_pool2d: {name: p1}
      - group:
          name: deep
          layers:
            - conv2d: {name: c2, filters: 6}
            - max_pool2d: {name: p2}
            - max_unpool2d: {name: u2, pool: p2}
            - conv2d: {name: d2, filters: 4}
      - max_unpool2d: {name: u1, pool: p1}
      - conv2d: {name: d1, filters: 5}
"""


def test_a_small_segnet():
    plan = plan_of(SEGNET)
    nodes = {node.name: node for node in plan.graph.nodes}
    assert nodes["u1"].inputs == ("deep/d2/Relu", "c1/Relu")
    assert nodes["deep/u2"].inputs == ("deep/p2", "deep/c2/Relu")
    assert nodes["u1"].layer == MaxUnpool2d(kernel=2)
    assert plan.shapes["deep/u2"] == (6, 5, 6)
    assert max(row.error for row in verify(plan, initial_values(plan.variables, 0), threads=1)) < 1e-5


def test_numbers_go_to_where_the_largest_were():
    plan = plan_of("""
        inputs: {image: [N, 4, 4, 1]}
        layers:
          - max_pool2d: {name: p, kernel: 2}
          - scale: 10
          - max_unpool2d: p
    """)
    image = np.array([[1, 3, 0, 0], [2, 3, 0, 0], [9, 8, -1, -4], [7, 6, -2, -3]], np.float32)
    (found,) = evaluate(plan, {}, {"image": image[None, ..., None]}, ["max_unpool2d"]).values()
    np.testing.assert_array_equal(found[0, ..., 0], [[0, 30, 0, 0], [0, 0, 0, 0], [90, 0, -10, 0], [0, 0, 0, 0]])


@pytest.mark.parametrize(
    ("layer", "sentence"),
    [
        ("max_unpool2d: image", "pool=image expects a max_pool2d, which an input is not"),
        ("max_unpool2d: c", "pool=c expects a max_pool2d, which a conv2d is not"),
        ("max_unpool2d: over", "pool=over expects windows of fixed pixels that do not overlap"),
        ("max_unpool2d: pp", r"no layer, group or input is named 'pp' \(did you mean 'p'"),
        ("max_unpool2d: {pool: p, inputs: over}", "expects what the pooling gives of 8×8×3: 4×4×3, got 6×6×3"),
        ("max_unpool2d: {pool: wide, inputs: wide}", r"expects square windows, got \[1, 2\]"),
        ("max_unpool2d: {pool: p, kernel: 2}", "pool says the window: write one of both"),
        ("max_unpool2d", "expected pool, the name of the max_pool2d that is undone"),
    ],
)
def test_what_cannot_be_undone_is_a_sentence(layer, sentence):
    with pytest.raises(SpecError, match=sentence):
        plan_of(f"""
            inputs: {{image: [N, 8, 8, 3]}}
            layers:
              - conv2d: {{name: c, filters: 3, kernel: 1}}
              - max_pool2d: {{name: over, kernel: 3, stride: 1}}
              - max_pool2d: {{name: wide, kernel: [1, 2], inputs: c}}
              - max_pool2d: {{name: p, kernel: 2, inputs: c}}
              - {layer}
        """)


def test_open_sizes_are_multiples_of_the_window():
    spec = """
        inputs: {image: [N, %s, 8, 3]}
        layers: [max_pool2d: {name: p, kernel: 2}, max_unpool2d: p]
    """
    plan = plan_of(spec % '"2*H"')
    assert str(plan.shapes["max_unpool2d"][0]) == "2*H"
    with pytest.raises(SpecError, match=r"needs a height and width that windows of 2 tile, got H; write 2\*H"):
        plan_of(spec % "H")
