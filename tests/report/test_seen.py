"""The receptive field that is drawn is the support of the gradient."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.graph import Plan
from graphc.report.gradients import at, input_gradients
from graphc.report.seen import seen
from tests.passes.specs import plan_of

NETS = {
    "stack": """
        inputs: {image: [N, 19, 23, 1]}
        layers:
          - conv2d: {filters: 2, kernel: [3, 5], stride: 2, padding: same}
          - conv2d: {filters: 2, kernel: 2, padding: same}
          - avg_pool2d: {kernel: 2, stride: 2}
        """,
    "asymmetric padding": """
        inputs: {image: [N, 20, 20, 1]}
        layers:
          - conv2d: {filters: 2, kernel: 4, stride: 3, padding: same}
          - conv2d: {filters: 2, kernel: 3, padding: [[2, 0], [0, 3]]}
          - conv2d: {filters: 2, kernel: 2, stride: 2, padding: same_fixed}
        """,
    "branches": """
        inputs: {image: [N, 21, 18, 1]}
        layers:
          - conv2d: {name: stem, filters: 3, kernel: 3, stride: 2, padding: same}
          - branches:
              name: mixed
              paths:
                left: [conv2d: {filters: 2, kernel: 1}]
                tall:
                  - conv2d: {filters: 2, kernel: [7, 1], padding: same}
                  - conv2d: {filters: 2, kernel: 2, padding: same}
                pool: [avg_pool2d: {kernel: 3, stride: 1, padding: same}]
          - conv2d: {filters: 1, kernel: 3, padding: valid}
        """,
    "residual, strided": """
        inputs: {image: [N, 25, 25, 1]}
        layers:
          - residual:
              name: unit
              layers:
                - conv2d: {filters: 2, kernel: 3, stride: 2, padding: same_fixed}
                - conv2d: {filters: 2, kernel: 3, padding: same}
              shortcut: [conv2d: {filters: 2, kernel: 1, stride: 2, padding: valid}]
          - conv2d: {filters: 2, kernel: 3, stride: 2, padding: same}
        """,
    "down and up again": """
        inputs: {image: [N, 16, 24, 1]}
        layers:
          - conv2d: {name: down, filters: 2, kernel: 3, padding: same}
          - avg_pool2d: {name: pool, kernel: 2, stride: 2}
          - conv2d: {filters: 2, kernel: 3, padding: same}
          - conv2d_transpose: {name: up, filters: 2, kernel: 3, stride: 2, padding: same}
          - concat: {inputs: [down, up]}
          - conv2d: {filters: 2, kernel: 3, padding: same}
        """,
}


def positive(plan: Plan) -> dict[str, np.ndarray]:
    """Weights above zero, so that no path cancels another."""
    rng = np.random.default_rng(1)
    return {name: rng.uniform(0.5, 1.5, spec.shape) for name, spec in plan.variables.items()}


def box(gradient: np.ndarray) -> tuple[tuple[int, int], tuple[int, int]]:
    """The smallest rectangle around what is not zero."""
    rows, columns = np.nonzero(np.abs(gradient[0]).sum(-1))
    return (int(rows.min()), int(rows.max())), (int(columns.min()), int(columns.max()))


@pytest.mark.parametrize("name", NETS)
def test_what_is_seen_is_the_support_of_the_gradient(name: str) -> None:
    plan = plan_of(NETS[name])
    image = plan.graph.inputs[0]
    inputs = {image.name: np.ones((1, *image.shape))}  # type: ignore[misc]
    last = plan.nodes[-1]
    height, width = last.shape[:2]
    assert isinstance(height, int)
    assert isinstance(width, int)
    places = {(row, column) for row in (0, height // 2, height - 1) for column in (0, 1, width // 2, width - 1)}
    for row, column in sorted(places):
        gradients = input_gradients(plan, positive(plan), inputs, {last.node.name: at(row, column)})
        found = box(gradients[last.node.name][image.name])
        assert seen(plan, last.node.name, row, column)[image.name] == found, (row, column)


def test_at_the_border_less_is_seen_than_the_receptive_field() -> None:
    """Padding of a layer inside is not the image: the region is cut at each layer."""
    plan = plan_of(
        "inputs: {image: [N, 30, 30, 1]}\nlayers: [repeat: {times: 3, layer: {conv2d: {filters: 1, kernel: 5}}}]"
    )
    last = plan.nodes[-1]
    assert last.receptive_field is not None
    assert last.receptive_field.size == (13, 13)
    assert seen(plan, last.node.name, 0, 15)["image"] == ((0, 6), (9, 21))


def test_one_value_for_all_places_is_seen_from_everywhere() -> None:
    """Squeeze and excite: the scale comes from the whole plane."""
    plan = plan_of(
        """
        layers:
          - conv2d: {name: conv, filters: 4, kernel: 3}
          - global_avg_pool2d: {name: squeeze, keep_dims: true}
          - conv2d: {name: excite, filters: 4, kernel: 1, activation: sigmoid}
          - multiply: {inputs: [conv, excite]}
        """
    )
    regions = seen(plan, "multiply", 5, 6)
    assert regions["excite"] == ((0, 0), (0, 0))
    assert regions["conv"] is None
    assert regions["image"] is None
