"""The options that TF-Slim has: dilation in place of stride, widths, free sizes, maps of predictions."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from graphc.compiler import plan_spec
from graphc.emit.model import emit
from graphc.graph import Plan
from graphc.passes.expand import expand
from graphc.passes.plan import plan
from graphc.passes.truncate import until
from graphc.runtime import Session
from graphc.spec.model import read_spec
from graphc.types import Array
from tests.zoo.slim import channels_last, weights


def features(spec: str, end_point: str, *settings: str) -> Plan:
    return plan(until(expand(read_spec(spec, settings)), end_point))


def run(planned: Plan, image: Array) -> Array:
    model = emit(planned, weights(planned))
    (output,) = Session(model.serialize(), threads=2).run({"image": image}).values()
    return channels_last(output)


def image_of(resolution: int) -> Array:
    return np.random.default_rng(0).standard_normal((1, resolution, resolution, 3), dtype=np.float32)


@cache
def nominal_map(spec: str, end_point: str, resolution: int) -> Array:
    return run(features(spec, end_point, f"resolution={resolution}"), image_of(resolution))


@pytest.mark.parametrize("output_stride", [4, 8, 16])
@pytest.mark.parametrize(
    ("spec", "end_point"), [("resnet_v1_50", "resnet_v1_50/block4"), ("resnet_v2_50", "resnet_v2_50/block4")]
)
def test_dilation_in_place_of_stride(spec: str, end_point: str, output_stride: int) -> None:
    """The denser map holds the nominal one, as in TF-Slim's own test."""
    nominal = nominal_map(spec, end_point, 81)
    dense = run(features(spec, end_point, "resolution=81", f"output_stride={output_stride}"), image_of(81))
    step = 32 // output_stride
    assert dense.shape[1] == (81 + output_stride - 1) // output_stride
    np.testing.assert_allclose(dense[:, ::step, ::step], nominal, rtol=0, atol=2e-5 * np.abs(nominal).max())


@pytest.mark.parametrize("output_stride", [8, 16])
@pytest.mark.parametrize(("spec", "end_point"), [("mobilenet_v1", "Conv2d_13_pointwise"), ("mobilenet_v2", "layer_19")])
def test_dilation_in_mobilenets(spec: str, end_point: str, output_stride: int) -> None:
    """At an odd resolution, where `same` pads both sides alike."""
    nominal = nominal_map(spec, end_point, 97)
    dense = run(features(spec, end_point, "resolution=97", f"output_stride={output_stride}"), image_of(97))
    step = 32 // output_stride
    np.testing.assert_allclose(dense[:, ::step, ::step], nominal, rtol=0, atol=2e-5 * np.abs(nominal).max())


@pytest.mark.parametrize(
    ("spec", "settings", "shape"),
    [
        ("vgg_16", ("classes=10",), (10,)),
        ("vgg_16", ("resolution=256", "squeeze=false"), (2, 2, 1000)),
        ("alexnet_v2", ("resolution=300", "squeeze=false"), (4, 4, 1000)),
        ("overfeat", ("resolution=281", "squeeze=false"), (2, 2, 1000)),
        ("inception_v1", ("resolution=300", "global_pool=false", "squeeze=false"), (4, 4, 1000)),
        ("inception_v3", ("resolution=150", "aux=false"), (1000,)),
        ("inception_resnet_v2", ("align_feature_maps=true", "aux=false"), (1000,)),
        ("resnet_v1_50", ("global_pool=false", "resolution=321", "classes=21"), (11, 11, 21)),
        ("mobilenet_v1", ("resolution=160", "depth_multiplier=0.25", "classes=2"), (2,)),
    ],
)
def test_settings(spec: str, settings: tuple[str, ...], shape: tuple[int, ...]) -> None:
    planned = plan_spec(spec, settings)
    shapes = {each.node.name: each.shape for each in planned.nodes}
    assert shapes[planned.graph.outputs["logits"]] == shape


ALIGNED = {"Conv2d_1a_3x3": 150, "MaxPool_3a_3x3": 75, "MaxPool_5a_3x3": 38, "PreAuxLogits": 19, "Conv2d_7b_1x1": 10}


@pytest.mark.parametrize(
    ("settings", "sizes"),
    [
        (("align_feature_maps=true", "aux=false"), ALIGNED),
        (("output_stride=8", "aux=false"), {"Mixed_5b": 35, "PreAuxLogits": 33}),
    ],
)
def test_feature_maps_of_inception_resnet_v2(settings: tuple[str, ...], sizes: dict[str, Any]) -> None:
    planned = plan_spec("inception_resnet_v2", settings)
    shapes = {each.node.name: each.shape for each in planned.nodes}
    assert {name: shapes[planned.graph.end_points[name]][0] for name in sizes} == sizes


def test_a_free_resolution_gives_what_a_fixed_one_gives() -> None:
    image = np.random.default_rng(0).standard_normal((2, 65, 65, 3), dtype=np.float32)
    fixed = run(features("resnet_v1_50", "logits", "resolution=65"), image)
    free = run(features("resnet_v1_50", "logits", "resolution=H"), image)
    np.testing.assert_allclose(free, fixed, rtol=0, atol=1e-5 * np.abs(fixed).max())
