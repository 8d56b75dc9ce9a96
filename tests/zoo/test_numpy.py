"""NumPy and onnxruntime agree at every end point of every net, at a resolution that keeps it quick."""

from __future__ import annotations

import pytest

from graphc.passes.plan import plan
from graphc.passes.truncate import until
from graphc.verify import verify
from tests.sampled import sampled
from tests.zoo.slim import plan_of, weights

SMALL = {
    "lenet": (),
    "lenet5": (),
    "cifarnet": (),
    "alexnet_v2": ("resolution=197",),
    "inception_v1": ("resolution=64",),
    "inception_v2": ("resolution=64",),
    "inception_v3": ("resolution=107", "aux=false"),
    "inception_v4": ("resolution=107", "aux=false"),
    "inception_resnet_v2": ("resolution=107", "aux=false"),
    "resnet_v1_50": ("resolution=64",),
    "resnet_v2_50": ("resolution=64", "output_stride=8"),
    "mobilenet_v1": ("resolution=64", "output_stride=16"),
    "mobilenet_v2": ("resolution=64",),
    "mobilenet_v3_large": ("resolution=64", "output_stride=16"),
    "mobilenet_v3_small": ("resolution=64",),
    "nasnet_mobile": ("resolution=75",),
    "m5": (),
    "ds_cnn": (),
    "r3d_18": ("resolution=32", "frames=3"),
}
"""Net -> settings. The other depths are made of the same blocks."""


@pytest.mark.parametrize("name", SMALL)
def test_numpy_is_onnxruntime_at_every_end_point(name: str) -> None:
    plan = plan_of(name, SMALL[name])
    compared = verify(plan, weights(plan), batch=1, threads=2)
    assert {each.name for each in compared} >= set(plan.graph.end_points)
    assert not [each for each in compared if each.error > 1e-4]


@pytest.mark.parametrize("name", sampled(["vgg_a", "vgg_19", "overfeat"], ["vgg_a"]))
def test_numpy_is_onnxruntime_before_the_dense_layers(name: str) -> None:
    """Their dense layers, 120 million weights, are convolutions as any other."""
    features = plan(until(plan_of(name).graph, "pool5"))
    compared = verify(features, weights(features), batch=1, threads=2)
    assert len(compared) >= 8
    assert not [each for each in compared if each.error > 1e-4]
