"""TF-Slim's repeat and stack: its eight test cases, told in the language, and what it lacks."""

from __future__ import annotations

import pytest

from graphc.errors import SpecError
from tests.passes.specs import graph_of, plan_of


def last(text: str, *settings: str) -> tuple[str, tuple[object, ...]]:
    plan = plan_of(text, *settings)
    return plan.nodes[-1].node.name, plan.nodes[-1].shape


def test_1_repeat() -> None:
    text = "layers: [{repeat: {times: 3, layer: {conv2d: {filters: 32, kernel: 3, activation: relu}}}}]"
    assert last(text) == ("repeat/conv2d_3/Relu", (32, 32, 32))


def test_2_repeat_with_a_name() -> None:
    text = "layers: [{repeat: {name: conv1, times: 3, layer: {conv2d: {filters: 32, kernel: 3, activation: relu}}}}]"
    assert last(text) == ("conv1/conv1_3/Relu", (32, 32, 32))


def test_3_stack_of_fully_connected() -> None:
    text = "layers: [flatten, {stack: {layer: {fully_connected: {activation: relu}}, args: [10, 20, 30]}}]"
    assert last(text) == ("stack/fully_connected_3/Relu", (30,))


def test_4_sharing_with_what_does_not_exist_fails() -> None:
    """TF-Slim: a stack under reuse without variables."""
    with pytest.raises(SpecError, match="share: no layer or group above is named 'towers'"):
        graph_of("layers: [flatten, {stack: {layer: fully_connected, args: [10], share: towers}}]")


@pytest.mark.parametrize(("activation", "suffix"), [("relu", "Relu"), ("elu", "Elu")])
def test_5_and_6_stack_with_an_activation(activation: str, suffix: str) -> None:
    text = f"layers: [flatten, {{stack: {{layer: {{fully_connected: {{activation: {activation}}}}}, args: [10, 20]}}}}]"
    assert last(text) == (f"stack/fully_connected_2/{suffix}", (20,))


def test_7_stack_of_convolutions() -> None:
    text = "layers: [{stack: {layer: {conv2d: {kernel: 3}}, args: [10, 20, 30]}}]"
    assert last(text) == ("stack/conv2d_3", (32, 32, 30))


def test_8_stack_with_a_name() -> None:
    text = "layers: [{stack: {name: conv1, layer: {conv2d: {kernel: 3, activation: relu}}, args: [10, 20, 30]}}]"
    assert last(text) == ("conv1/conv1_3/Relu", (32, 32, 30))


def test_the_readme_of_tf_slim() -> None:
    """Its convolutional tower: positional arguments element by element."""
    plan = plan_of("layers: [{stack: {name: core, layer: conv2d, args: [[32, 3], [32, 1], [64, [3, 3]], [64, 1]]}}]")
    assert [each.node.layer.kernel for each in plan.nodes] == [(3, 3), (1, 1), (3, 3), (1, 1)]  # type: ignore[attr-defined]


def test_mappings_in_a_stack() -> None:
    plan = plan_of("layers: [{stack: {layer: {conv2d: {kernel: 3}}, args: [{filters: 8}, {filters: 4, stride: 2}]}}]")
    assert [each.shape for each in plan.nodes] == [(32, 32, 8), (16, 16, 4)]


def test_repeats_without_a_name_are_numbered() -> None:
    graph = graph_of("""
        layers:
          - repeat: {times: 1, layer: {conv2d: {filters: 8, kernel: 3}}}
          - repeat: {times: 1, layer: {conv2d: {filters: 8, kernel: 3}}}
    """)
    assert [node.name for node in graph.nodes] == ["repeat/conv2d_1", "repeat_1/conv2d_1"]


def test_zero_times_is_the_input() -> None:
    graph = graph_of("layers: [{conv2d: {name: a, filters: 8, kernel: 3}}, {repeat: {times: 0, layer: relu}}]")
    assert [node.name for node in graph.nodes] == ["a"]


def test_the_same_name_twice() -> None:
    with pytest.raises(SpecError, match="the name 'conv1' is used twice"):
        graph_of(
            "layers: [{repeat: {name: conv1, times: 1, layer: relu}}, {repeat: {name: conv1, times: 1, layer: relu}}]"
        )


def test_several_layers_and_an_index() -> None:
    plan = plan_of("""
        layers:
          - repeat:
              name: block
              each: unit
              times: 3
              index: i
              layers:
                - conv2d: {name: conv, filters: "${8 * i}", kernel: 3, stride: "${2 if i == 3 else 1}"}
                - relu
    """)
    assert [each.node.name for each in plan.nodes][:2] == ["block/unit_1/conv", "block/unit_1/relu"]
    assert [each.shape for each in plan.nodes][::2] == [(32, 32, 8), (32, 32, 16), (16, 16, 24)]
    assert plan.graph.end_points["net/block"] == "block/unit_3/relu"


@pytest.mark.parametrize("times", ["-1", "2.5", "true", "x"])
def test_times_is_a_whole_number(times: str) -> None:
    with pytest.raises(SpecError, match="repeat: times expects a whole number of at least 0"):
        graph_of(f"layers: [{{repeat: {{times: {times}, layer: relu}}}}]")


@pytest.mark.parametrize(
    "text",
    [
        "{repeat: {times: 1000000000, layer: relu}}",
        "{repeat: {times: 1000, layer: {repeat: {times: 1000, layer: {repeat: {times: 1000, layer: relu}}}}}}",
    ],
)
def test_a_bomb_is_refused_from_the_product(text: str) -> None:
    with pytest.raises(SpecError, match="expected at most 50,000 layers after expansion"):
        graph_of(f"layers: [{text}]")
