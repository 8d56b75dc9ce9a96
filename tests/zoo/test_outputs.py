"""The compiled nets give what TF-Slim gives, and hold no node that inference does not need."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from graphc.emit.model import OnnxModel, emit
from graphc.runtime import Session
from tests.sampled import sampled
from tests.zoo.slim import Case, cases, channels_last, distance, plan_of, shared_facts, weights

GIVEN = ("alexnet_v2", "vgg_16", "inception_v1", "inception_v3", "resnet_v1_50", "resnet_v2_50")
"""Nets whose every end point is known: shared/slim_reference."""

KEPT = (
    "lenet", "cifarnet", "alexnet_v2", "vgg_a", "inception_v1", "inception_v2_050", "inception_v3_no_aux",
    "inception_v4", "inception_resnet_v2", "resnet_v1_50", "resnet_v2_50", "resnet_v1_50_os8", "resnet_v2_50_os16",
    "mobilenet_v1_025", "mobilenet_v2_050", "mobilenet_v3_small", "nasnet_mobile",
)  # fmt: skip
"""The smallest of each family; the others are the group's."""


@pytest.mark.parametrize("case", sampled(cases(), KEPT, lambda case: case.name))
def test_outputs_are_tf_slims(case: Case) -> None:
    plan = case.plan()
    model = emit(plan, weights(plan))
    check_nodes(model, case)
    (output,) = Session(model.serialize(), threads=2).run({"image": case.image()}).values()
    assert list(channels_last(output).shape) == case.output["shape"]
    assert distance(channels_last(output), case.output) <= 1e-5


def check_nodes(model: OnnxModel, case: Case) -> None:
    kinds = Counter(node.op_type for node in model.body.graph.node)
    assert kinds["Transpose"] == 1
    assert not kinds.keys() & {"Identity", "Dropout", "Constant", "Softmax", "Pad"}
    if case.spec.startswith("resnet_v2"):  # one before each unit's weights, one behind the last
        assert kinds["BatchNormalization"] == 1 + sum(name.endswith("preact/gamma") for name in case.plan().variables)
    else:
        assert kinds["BatchNormalization"] == 0


@pytest.mark.parametrize("name", sampled(GIVEN, ("alexnet_v2", "inception_v1", "resnet_v1_50", "resnet_v2_50")))
def test_end_points_are_tf_slims(name: str) -> None:
    facts = shared_facts(name)
    plan = plan_of(name)
    points = {point: plan.graph.end_points[point] for point in facts["end_points"] if point in plan.graph.end_points}
    model = emit(plan, weights(plan), outputs={node: node for node in points.values()})
    image = np.random.default_rng(0).standard_normal(facts["input_shape"], dtype=np.float32)
    found = Session(model.serialize(), threads=2).run({"image": image})
    assert len(points) >= len(facts["end_points"]) - 1  # resnet's predictions
    for point, node in points.items():
        assert distance(channels_last(found[node]), facts["end_points"][point]) <= 1e-5, point
