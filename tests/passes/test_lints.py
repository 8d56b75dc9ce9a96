"""Warnings for what is slower than it looks."""

from __future__ import annotations

import pytest

from graphc.passes.lints import lints
from tests.passes.specs import plan_of

GOOD = """
    layers:
      - conv2d: {filters: 64, kernel: 3, activation: relu}
      - depthwise_conv2d: {kernel: 3}
      - conv2d: {filters: 64, kernel: 3, groups: 4}
      - conv2d: {name: head, filters: 21, kernel: 1}
      - softmax
"""


def test_a_net_without_oddities_has_no_warning():
    assert lints(plan_of(GOOD)) == []


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            "[{conv2d: {name: c, filters: 63, kernel: 3}}, relu, {conv2d: {filters: 8, kernel: 1}}]",
            "net.yaml:4:11: warning[G240]: c: 63 channels: a number that is no multiple of 4 costs 30 to 40 % speed",
        ),
        (
            "[{conv2d: {filters: 64, kernel: 1}}, {conv2d: {name: c, filters: 64, kernel: 3, groups: 16}}]",
            "warning[G241]: c: 4 channels a group: fewer than 16 run several times slower for the same work",
        ),
        ("[{prelu: {name: p}}, prelu]", "warning[G242]: p: "),
    ],
)
def test_each_oddity_is_said_once_with_its_place(layers, message):
    (warning,) = lints(plan_of(f"layers: {layers}"))
    assert message in str(warning)


def test_padding_that_only_the_runtime_can_know():
    text = "inputs: {{x: [N, {0}, {0}, 3]}}\nlayers: [{{max_pool2d: {{kernel: 3, stride: 2, padding: same}}}}]"
    (warning,) = lints(plan_of(text.format("H")))
    assert "G243" in str(warning)
    assert "auto_pad" in str(warning)
    assert lints(plan_of(text.format("16*H"))) == []
    assert lints(plan_of(text.format("31"))) == []
