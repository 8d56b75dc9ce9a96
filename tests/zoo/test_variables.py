"""Every variable of TF-Slim's nets, by name and shape, and every end point."""

from __future__ import annotations

import math

import pytest

from tests.zoo.slim import Case, cases, digest


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_variables_are_tf_slims(case: Case) -> None:
    variables = case.plan().variables
    facts = case.variables
    assert len(variables) == facts["count"]
    assert sum(math.prod(spec.shape) for spec in variables.values()) == facts["total"]
    assert sum(math.prod(spec.shape) for spec in variables.values() if spec.trainable) == facts["trainable"]
    assert sum(spec.regularizer is not None for spec in variables.values()) == facts["regularized"]
    assert digest({name: spec.shape for name, spec in variables.items()}) == facts["sha256"]


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_end_points_are_tf_slims(case: Case) -> None:
    plan = case.plan()
    shapes = {each.node.name: each.shape for each in plan.nodes}
    found = {name: shapes[node] for name, node in plan.graph.end_points.items()}
    for name, shape in case.end_points.items():
        ours = f"{case.spec}/predictions" if name == "predictions" else name  # resnet's, beside qualified names
        assert squeezed(found[ours]) == squeezed(shape), name


def squeezed(shape: object) -> list[int]:
    """TF-Slim squeezes some end points and not others."""
    return [size for size in shape if size != 1]  # type: ignore[attr-defined]
