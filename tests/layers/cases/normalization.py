"""Normalizations."""

from __future__ import annotations

from random import Random

from graphc.layers.batch_norm import BatchNorm
from graphc.layers.global_response_norm import GlobalResponseNorm
from graphc.layers.group_norm import GroupNorm
from graphc.layers.instance_norm import InstanceNorm
from graphc.layers.layer_norm import LayerNorm
from graphc.layers.layer_scale import LayerScale
from graphc.layers.local_response_norm import LocalResponseNorm
from graphc.layers.rms_norm import RmsNorm
from graphc.layers.unit_norm import UnitNorm
from tests.layers.cases import Case

CASES = [
    Case(BatchNorm(), ((3, 4, 5),)),
    Case(BatchNorm(scale=True, epsilon=1e-5, decay=0.9), ((3, 4, 5),)),
    Case(BatchNorm(scale=True, center=False), ((4, 2, 3),)),
    Case(BatchNorm(center=False), ((4, 2, 3),)),
    Case(BatchNorm(scale=True, trainable=False), ((4, 2, 3),)),
    Case(BatchNorm(scale=True, frozen=True), ((4, 2, 3),)),
    Case(BatchNorm(scale=True), ((6,),)),
    Case(BatchNorm(scale=True), ((4, 6),)),
    Case(BatchNorm(scale=True), ((2, 3, 2, 5),)),
    Case(LayerNorm(), ((3, 4, 5),)),
    Case(LayerNorm(scale=False, epsilon=1e-3), ((3, 4, 5),)),
    Case(LayerNorm(center=False), ((7,),)),
    Case(LayerNorm(), ((4, 6),)),
    Case(LayerNorm(), ((2, 3, 2, 5),)),
    Case(LayerNorm(axes="all"), ((3, 4, 5),)),
    Case(LayerNorm(axes="all", center=False, scale=False), ((3, 4, 5),)),
    Case(LayerNorm(axes="all"), ((7,),)),
    Case(LayerNorm(axes="all"), ((4, 6),)),
    Case(LayerNorm(axes="all"), ((2, 3, 2, 5),)),
    Case(GroupNorm(groups=2), ((3, 4, 6),)),
    Case(GroupNorm(groups=6, center=False), ((3, 4, 6),)),
    Case(GroupNorm(groups=1, scale=False), ((3, 4, 6),)),
    Case(GroupNorm(groups=2), ((4, 6),)),
    Case(GroupNorm(groups=2), ((2, 3, 2, 6),)),
    Case(InstanceNorm(), ((4, 4, 3),)),
    Case(InstanceNorm(center=False, scale=False), ((4, 4, 3),)),
    Case(InstanceNorm(), ((5, 3),)),
    Case(InstanceNorm(), ((2, 3, 2, 3),)),
    Case(LocalResponseNorm(), ((3, 3, 20),)),
    Case(LocalResponseNorm(depth_radius=2, bias=2.0, alpha=1e-1, beta=0.75), ((3, 3, 8),)),
    Case(LocalResponseNorm(depth_radius=4), ((3, 3, 3),)),
    Case(LocalResponseNorm(depth_radius=0), ((3, 3, 3),)),
    Case(UnitNorm(), ((3, 4, 5),)),
    Case(UnitNorm(epsilon=0.1), ((5,),)),
    Case(UnitNorm(), ((3, 5),)),
    Case(UnitNorm(), ((2, 3, 2, 5),)),
    Case(RmsNorm(), ((3, 4, 5),)),
    Case(RmsNorm(epsilon=0.1, trainable=False), ((4, 6),)),
    Case(RmsNorm(), ((7,),)),
    Case(LayerScale(), ((3, 4, 5),)),
    Case(LayerScale(trainable=False), ((7,),)),
    Case(LayerScale(), ((4, 6),)),
    Case(LayerScale(), ((2, 3, 2, 5),)),
    Case(GlobalResponseNorm(), ((3, 4, 5),)),
    Case(GlobalResponseNorm(epsilon=0.1, trainable=False), ((2, 3, 4),)),
]


def _shape(rng: Random, channels: int) -> tuple[int, int, int]:
    return rng.randint(2, 4), rng.randint(2, 4), channels


def _batch_norm(rng: Random) -> Case:
    flags = {name: rng.random() < 0.5 for name in ("center", "scale", "frozen", "trainable")}
    return Case(BatchNorm(**flags, epsilon=rng.choice([1e-5, 1e-3])), (_shape(rng, rng.randint(1, 6)),))


def _group_norm(rng: Random) -> Case:
    groups = rng.randint(1, 3)
    flags = {name: rng.random() < 0.5 for name in ("center", "scale")}
    return Case(GroupNorm(groups=groups, **flags, epsilon=1e-3), (_shape(rng, groups * rng.randint(2, 3)),))


def _local_response_norm(rng: Random) -> Case:
    layer = LocalResponseNorm(
        depth_radius=rng.randint(0, 4), bias=rng.uniform(0.5, 2), alpha=rng.uniform(0, 1), beta=rng.uniform(0.2, 1)
    )
    return Case(layer, (_shape(rng, rng.randint(1, 8)),))


SAMPLERS = {"batch_norm": _batch_norm, "group_norm": _group_norm, "local_response_norm": _local_response_norm}
