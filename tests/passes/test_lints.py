"""Warnings for what is probably not meant, and for what is slower than it looks."""

from __future__ import annotations

import pytest

from graphc.compiler import plan_spec
from graphc.errors import SpecError
from graphc.passes.lints import lints
from graphc.spec.zoo import zoo_names
from tests.passes.specs import plan_of

GOOD = """
    layers:
      - conv2d: {filters: 64, kernel: 3, activation: relu}
      - depthwise_conv2d: {kernel: 3}
      - conv2d: {filters: 64, kernel: 3, groups: 4, activation: relu}
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
            "[{conv2d: {filters: 64, kernel: 1}}, relu, {conv2d: {name: c, filters: 64, kernel: 3, groups: 16}}]",
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


def found(text: str) -> list[str]:
    return [str(each) for each in lints(plan_of(text)) if each.code in ("G244", "G245")]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("3, 224, 224", "[N, 224, 224, 3]"),
        ("1, 28, 28", "[N, 28, 28, 1]"),
        ("4, 8, 8", "[N, 8, 8, 4]"),
        ("3, 480, 640", "[N, 480, 640, 3]"),
    ],
)
def test_an_input_that_looks_like_channels_first(shape, expected):
    (warning,) = found(f"inputs: {{x: [N, {shape}]}}\nlayers: [relu]")
    assert warning.startswith("net.yaml:3:13: warning[G244]: x: ")
    assert warning.endswith(f"looks like channels first: expected {expected}")


@pytest.mark.parametrize(
    "shape",
    [
        "224, 224, 3",
        "28, 28, 1",
        "3, 3, 64",
        "1, 1, 512",
        "4, 4, 512",
        "1, 128, 40",
        "2, 100, 64",
        "5, 64, 64",
        "7, 7, 7",
    ],
)
def test_other_inputs_are_as_they_are(shape):
    assert found(f"inputs: {{x: [N, {shape}]}}\nlayers: [relu]") == []


@pytest.mark.parametrize("shape", ["1, 28, 28", "3, H, W"])
def test_channels_first_explains_an_error(shape):
    with pytest.raises(SpecError, match="looks like channels first: expected") as caught:
        plan_of(f"inputs: {{x: [N, {shape}]}}\nlayers: [{{conv2d: {{filters: 4, kernel: 3, padding: valid}}}}]")
    assert caught.value.code in ("G201", "G203")


CONV = "conv2d: {filters: 8, kernel: 3}"
DENSE = "fully_connected: {units: 8}"


@pytest.mark.parametrize(
    "layers",
    [
        f"[{CONV}, {CONV}]",
        f"[{CONV}, dropout, {CONV}]",
        f"[{CONV}, max_pool2d: 2, {CONV}]",
        f"[{CONV}, batch_norm, {CONV}]",
        "[conv2d: {filters: 8, kernel: 3, normalizer: batch_norm}, conv2d: {filters: 8, kernel: 3}]",
        f"[{CONV}, flatten, {DENSE}]",
        f"[flatten, {DENSE}, {DENSE}]",
        f"[{CONV}, global_avg_pool2d, {DENSE}]",
        "[conv2d: {filters: 8, kernel: 3}, depthwise_conv2d: {kernel: 3}, conv2d: {filters: 8, kernel: 1}]",
        "[separable_conv2d: {filters: 8, kernel: 3}, conv2d: {filters: 8, kernel: 3}]",
        "[conv2d: {filters: 8, kernel: 3}, conv2d_transpose: {filters: 3, kernel: 2, stride: 2}]",
        f"[{CONV}, {CONV.replace('}', ', activation: relu}')}]",
    ],
)
def test_nothing_between_two_linear_layers_is_said_at_the_first(layers):
    (warning,) = found(f"layers: {layers}")
    assert warning.startswith("net.yaml:4:")
    assert "warning[G245]: " in warning
    assert "write activation: relu, or activation: none where none is meant" in warning


def test_each_pair_is_said_once():
    warnings = found(f"layers: [{CONV}, {CONV}, batch_norm, {CONV}, relu, {CONV}]")
    assert [each.partition(" and ")[2].partition(":")[0] for each in warnings] == ["conv2d_1", "conv2d_2"]


@pytest.mark.parametrize(
    "layers",
    [
        f"[{CONV}, relu, {CONV}]",
        f"[{CONV}, batch_norm, gelu, max_pool2d: 2, {CONV}]",
        f"[{CONV}, batch_norm: {{activation: relu}}, {CONV}]",
        f"[{CONV}, maxout: {{units: 4}}, {CONV}]",
        "[conv2d: {filters: 8, kernel: 3, activation: none}, conv2d: {filters: 8, kernel: 3}]",
        "[depthwise_conv2d: {kernel: 3}, conv2d: {filters: 8, kernel: 1}]",
        "[conv2d: {filters: 8, kernel: 1, activation: relu}, depthwise_conv2d: {kernel: 3},"
        " conv2d: {filters: 8, kernel: 1}]",
        "[conv2d: {filters: 8, kernel: [1, 7]}, conv2d: {filters: 8, kernel: [7, 1]}]",
        "[conv2d: {filters: 8, kernel: 1}, conv2d_transpose: {filters: 8, kernel: 4, stride: 2}]",
        f"[residual: {{layers: [{CONV.replace('8', '3')}]}}, {CONV}]",
        f"[conv2d: {{name: stem, filters: 8, kernel: 3}}, residual: {{layers: [{CONV}, relu]}}, relu]",
        f"[{CONV}, softmax]",
    ],
)
def test_what_is_between_or_said_is_enough(layers):
    assert found(f"layers: {layers}") == []


def test_none_in_a_scope_is_said_too():
    assert found(f"arg_scope: {{conv2d: {{activation: none}}}}\nlayers: [{CONV}, {CONV}]") == []


def test_an_output_may_be_linear():
    text = f"layers: [conv2d: {{name: a, filters: 8, kernel: 3}}, {CONV}]\noutputs: {{a: a, b: conv2d}}"
    assert found(text) == []


@pytest.mark.parametrize("name", zoo_names())
def test_the_zoo_is_as_it_is_meant(name):
    assert not [str(each) for each in lints(plan_spec(name)) if each.code in ("G244", "G245")]


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        (
            "[residual: {layers: [conv2d: {filters: 1, kernel: 3}]}]",
            ["one channel of conv2d is added to each of 3"],
        ),
        (
            "[conv2d: {name: m, filters: 1, kernel: 3}, add: {inputs: [m, image]}]",
            ["the one channel of m is added to"],
        ),
        ("[conv2d: {name: m, filters: 1, kernel: 3}, multiply: {inputs: [m, image]}]", []),
        ("[conv2d: {name: m, filters: 1, kernel: 3}, add: {inputs: [m, m]}]", []),
        ("[conv2d: {name: m, filters: 3, kernel: 3}, add: {inputs: [m, image]}]", []),
        ("[global_avg_pool2d: {name: p, keep_dims: true}, add: {inputs: [p, image]}]", []),
    ],
)
def test_one_channel_that_is_added_to_many(layers, said):
    warnings = [str(each) for each in lints(plan_of(f"layers: {layers}")) if each.code == "G248"]
    assert len(warnings) == len(said)
    assert all(sentence in warning for sentence, warning in zip(said, warnings, strict=True))
