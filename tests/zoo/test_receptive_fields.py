"""Receptive fields, strides, paddings and FLOPs equal the published table, row by row."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from graphc.graph import Plan
from graphc.passes.expand import expand
from graphc.passes.plan import plan
from graphc.passes.truncate import until
from graphc.spec.model import read_spec
from tests.zoo.slim import REFERENCE

TABLE: dict[str, dict[str, Any]] = json.loads((REFERENCE / "receptive_fields.json").read_text(encoding="utf-8"))
VARIANTS = {
    "inception_v2-no-separable-conv": ("inception_v2", "separable_conv=false"),
    "inception_resnet_v2-same": ("inception_resnet_v2", "align_feature_maps=true"),
}
RESOLUTIONS = (None, 224, 321)


def features(net: str, resolution: int | None) -> Plan:
    """The net up to the last end point of the table; without a resolution height and width are one symbol."""
    spec, *settings = VARIANTS.get(net, (net,))
    if "inception_v3" in net or "inception_v4" in net or "inception_resnet" in net:
        settings.append("aux=false")
    if net.startswith(("vgg", "alexnet")):
        settings.append("squeeze=false")
    graph = expand(read_spec(spec, [*settings, f"resolution={resolution or 'H'}"]))
    return plan(until(graph, list(TABLE[net])[-1]))


@pytest.mark.parametrize("net", TABLE)
@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_rows_of_the_published_table(net: str, resolution: int | None) -> None:
    planned = features(net, resolution)
    nodes = {each.node.name: each for each in planned.nodes}
    wrong = []
    for name, (size, stride, paddings, _) in TABLE[net].items():
        field = nodes[planned.graph.end_points[name]].receptive_field
        assert field is not None
        padding = paddings[RESOLUTIONS.index(resolution)]
        wanted = ((size, size), (stride, stride), None if padding is None else (padding, padding))
        if (field.size, field.stride, field.padding) != wanted:
            wrong.append(f"{name}: expected {wanted}, got {(field.size, field.stride, field.padding)}")
    assert not wrong


@pytest.mark.parametrize("net", TABLE)
@pytest.mark.parametrize("resolution", RESOLUTIONS[1:])
def test_flops_of_the_published_table(net: str, resolution: int) -> None:
    """Within 0.05 %, and the last digit. The table's ResNets leave out the residual additions; all its other nets
    were made without their arg scope, so that each convolution has a bias where ours has batch normalization."""
    planned = features(net, resolution)
    flops = {each.node.name: each.flops or 0 for each in planned.nodes}
    for each in planned.nodes:
        if each.node.layer.kind == "batch_norm" and not net.startswith("resnet"):
            flops[each.node.name] += math.prod(size for size in each.shape if isinstance(size, int))
        if each.node.layer.kind == "add" and net.startswith("resnet"):
            flops[each.node.name] = 0
    for name, row in TABLE[net].items():
        published = row[3][RESOLUTIONS.index(resolution) - 1]
        found = sum(flops[node.name] for node in until(planned.graph, name).nodes) / 1e9
        assert found == pytest.approx(published, rel=0.0005, abs=0.00051), name
