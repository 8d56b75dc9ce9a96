"""The nets after TF-Slim's, against torchvision and Keras: counts, outputs, and how many nodes inference takes."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any

import numpy as np
import pytest

from graphc.emit.model import emit
from graphc.graph import Plan
from graphc.passes.expectations import totals
from graphc.runtime import Session
from graphc.spec.model import read_spec
from graphc.types import Array
from graphc.verify import verify
from tests.sampled import sampled
from tests.zoo.slim import REFERENCE, channels_last, distance, draw, plan_of

FACTS: dict[str, dict[str, Any]] = json.loads((REFERENCE / "successors.json").read_text(encoding="utf-8"))
VARIANTS = {
    ("resnet50", "units3=23"): (44549160, 7.801),
    ("resnet50", "units2=8", "units3=36"): (60192808, 11.514),
    ("resnext50_32x4d", "units3=23", "widening=4"): (88791336, 16.414),
    ("densenet121", "units3=32", "units4=32"): (14149480, 3.360),
    ("densenet121", "units3=48", "units4=32"): (20013928, 4.291),
    ("convnext_tiny", "units3=27"): (50223688, 8.684),
    ("convnext_tiny", "units3=27", "width=128"): (88591464, 15.355),
    ("shufflenet_v2_x1_0", "width=48"): (1366792, 0.040),
    ("shufflenet_v2_x1_0", "width=176"): (3503624, 0.296),
    ("shufflenet_v2_x1_0", "width=244", "last=2048"): (7393996, 0.583),
    ("efficientnet_b0", "depth_multiplier=1.1", "resolution=240"): (7794184, 0.687),
    ("efficientnet_b0", "depth_multiplier=1.8", "width_multiplier=1.4", "resolution=380"): (19341616, 4.394),
    ("fcn", "units3=23"): (54314346, 232.738),
}
"""What torchvision publishes of larger and smaller relatives: parameters and GMACs."""
LAST_DIGIT = 0.51e6
"""GMACs are published to three places."""
COUNTS: dict[str, tuple[str, str, int, float | None]] = json.loads(
    (REFERENCE / "counts.json").read_text(encoding="utf-8")
)
"""Spec -> library, its net, parameters, and GMACs where it publishes them."""
SMALL = {
    "resnet18": ("resolution=64",),
    "resnet50": ("resolution=64", "output_stride=8"),
    "resnext50_32x4d": ("resolution=64",),
    "se_resnet50": ("resolution=64",),
    "squeezenet1_1": ("resolution=64",),
    "densenet121": ("resolution=64",),
    "xception": ("resolution=71",),
    "shufflenet_v2_x1_0": ("resolution=64",),
    "efficientnet_b0": ("resolution=64",),
    "regnet_y_400mf": ("resolution=64",),
    "convnext_tiny": ("resolution=64",),
    "unet": ("padding=same", "resolution=64", "width=16"),
    "fcn": ("resolution=65",),
    "deeplab_v3": ("resolution=65", "aux=false"),
    "ssd": (),
    "resnet50d": ("resolution=64",),
    "googlenet": ("resolution=65",),
    "convnextv2_atto": ("resolution=64",),
    "mobilenet_v4_conv_small": ("resolution=64",),
    "tf_efficientnetv2_b0": ("resolution=64",),
    "dcgan_generator": (),
    "dcgan_discriminator": (),
    "resnet20": (),
    "resnet56": ("shortcut=B",),
}
"""Net -> settings that keep NumPy quick."""

LARGE = {"wide_resnet50_2", "resnet34", "resnet50d", "se_resnet50", "convnext_tiny", "deeplab_v3", "resnet56"}
"""Of these the suite has others that are made of the same blocks, or of smaller ones; they are the group's."""

each_net = pytest.mark.parametrize("name", FACTS)


def weights(plan: Plan) -> dict[str, Array]:
    """As `slim.weights`, but a depthwise filter has variance 2 over what it reads, so that something is left."""
    return {name: drawn(name, spec.shape) for name, spec in plan.variables.items()}


def drawn(name: str, shape: tuple[int, ...]) -> Array:
    grown = np.float32(math.sqrt(shape[2])) if name.endswith("/depthwise_weights") else np.float32(1)
    return draw(name, shape) * grown


@each_net
def test_counts_are_the_published_ones(name: str) -> None:
    fact = FACTS[name]
    found = totals(plan_of(name))
    assert found["trainable_params"] == fact["trainable"]
    if fact["gmacs"] is not None:
        assert found["macs"] == pytest.approx(fact["gmacs"] * 1e9, abs=LAST_DIGIT)


@pytest.mark.parametrize("name", COUNTS)
def test_budgets_are_the_librarys_counts(name: str) -> None:
    """That the budgets hold is another test's."""
    _, _, params, gmacs = COUNTS[name]
    expect = read_spec(name).expect
    assert expect["trainable_params"] == params
    if gmacs is not None:
        assert expect["macs"] == pytest.approx(gmacs * 1e9, abs=LAST_DIGIT)


@pytest.mark.parametrize("variant", VARIANTS, ids=" ".join)
def test_counts_of_relatives(variant: tuple[str, ...]) -> None:
    name, *values = variant
    params, gmacs = VARIANTS[variant]
    found = totals(plan_of(name, tuple(values)))
    assert found["trainable_params"] == params
    assert found["macs"] == pytest.approx(gmacs * 1e9, abs=LAST_DIGIT)


@pytest.mark.parametrize("name", sampled(FACTS, FACTS.keys() - LARGE))
def test_outputs_are_the_originals(name: str) -> None:
    fact = FACTS[name]
    plan = plan_of(name, tuple(fact["settings"]))
    nodes = {output: plan.graph.outputs.get(output) or plan.graph.end_points[output] for output in fact["outputs"]}
    model = emit(plan, weights(plan), outputs=nodes)
    check_nodes(name, Counter(node.op_type for node in model.body.graph.node))
    (given,) = plan.graph.inputs
    image = np.random.default_rng(0).standard_normal(fact["input"], dtype=np.float32)
    found = Session(model.serialize(), threads=2).run({given.name: image})
    for output, wanted in fact["outputs"].items():
        assert list(channels_last(found[output]).shape) == wanted["shape"]
        assert distance(channels_last(found[output]), wanted) <= 5e-5, output


def check_nodes(name: str, kinds: Counter[str]) -> None:
    """No node that inference does not need, and no more than PyTorch's exporter writes beside the one Transpose."""
    assert not kinds.keys() & {"Identity", "Dropout", "Constant", "Pad"}
    preact = 58 + 3 + 1  # DenseNet's stand before the weights: of each layer, of each transition, and the last
    assert kinds["BatchNormalization"] == (preact if name == "densenet121" else 0)
    exported = FACTS[name]["exported"]
    if exported is not None:
        assert kinds.total() - 1 <= exported


@pytest.mark.parametrize("name", sampled(SMALL, SMALL.keys() - LARGE))
def test_numpy_is_onnxruntime_at_every_end_point(name: str) -> None:
    plan = plan_of(name, SMALL[name])
    compared = verify(plan, weights(plan), batch=1, threads=2)
    assert {each.name for each in compared} >= set(plan.graph.end_points)
    assert not [each for each in compared if each.error > 1e-4]
