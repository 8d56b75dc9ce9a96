"""Nets for poses, boxes and masks: the counts that their authors publish, and NumPy beside onnxruntime.

That they compute the same as twins in PyTorch is in `test_twins.py`.
"""

from __future__ import annotations

import pytest

from graphc.passes.expectations import totals
from graphc.passes.plan import plan
from graphc.passes.truncate import until
from graphc.verify import verify
from tests.zoo.slim import plan_of, weights

DISTANCES = 16
"""The numbers 0 to 15, which Ultralytics counts as parameters though they are not trained."""

COUNTS = {
    ("yolov8n",): 3_157_200 - DISTANCES,
    ("yolov8n", "depth=0.33", "width=0.5"): 11_166_560 - DISTANCES,
    ("yolov8n", "depth=0.67", "width=0.75", "most=768"): 25_902_640 - DISTANCES,
    ("yolov8n", "depth=1", "width=1", "most=512"): 43_691_520 - DISTANCES,
    ("yolov8n", "depth=1", "width=1.25", "most=512"): 68_229_648 - DISTANCES,
}
COUNTS |= {
    ("convmixer_768_32",): 21_110_248,
    ("convmixer_768_32", "width=1536", "depth=20", "kernel=9", "activation=gelu"): 51_625_960,
    ("convmixer_768_32", "width=1024", "depth=20", "kernel=9", "patch=14", "activation=gelu"): 24_383_464,
    ("mlp_mixer_b16",): 59_880_472,
    ("mlp_mixer_b16", "width=512", "depth=8", "patch=32"): 19_104_624,
    ("mlp_mixer_b16", "width=1024", "depth=24"): 208_196_168,
    ("pointnet",): 3_471_473,
}
MILLIONS = {("hourglass",): 6.73, ("hourglass", "stacks=8"): 25.59, ("u2netp",): 1.13, ("ghostnet",): 5.18}
MILLIONS |= {("hrnet_w18",): 21.3, ("edsr",): 1.37}
"""Published to two places."""


@pytest.mark.parametrize("variant", COUNTS, ids=" ".join)
def test_counts_are_as_published(variant: tuple[str, ...]) -> None:
    name, *values = variant
    assert totals(plan_of(name, tuple(values)))["trainable_params"] == COUNTS[variant]


@pytest.mark.parametrize("variant", MILLIONS, ids=" ".join)
def test_millions_are_as_published(variant: tuple[str, ...]) -> None:
    name, *values = variant
    assert round(totals(plan_of(name, tuple(values)))["trainable_params"] / 1e6, 2) == MILLIONS[variant]


@pytest.mark.parametrize(("name", "last"), [("u2netp", "mask"), ("yolov8n", "scores"), ("yolov8n_boxes", "candidates")])
def test_numpy_is_onnxruntime(name: str, last: str) -> None:
    """The others are made of blocks that are compared on their own. Which boxes are best hangs on the last digits where
    weights are random, so what they are chosen from is compared."""
    planned = plan(until(plan_of(name, ("resolution=64",)).graph, last))
    compared = verify(planned, weights(planned), batch=1, threads=2)
    assert {each.name for each in compared} >= set(planned.graph.end_points)
    assert not [each for each in compared if each.error > 1e-4]
