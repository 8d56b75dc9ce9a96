"""`graphc explain`: what is in force on a layer, and where each word of the language and of recipes is told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from graphc.errors import SpecError
from graphc.graph import Plan
from graphc.report.explain import explain_layer, explain_word
from tests.passes.specs import plan_of


def told(plan: Plan, layer: str) -> dict[str, tuple[Any, str]]:
    rows = json.loads(explain_layer(plan, layer, "json"))
    return {row["argument"]: (row["value"], row["from"]) for row in rows}


def test_a_layer_shows_bias_normalizer_and_activation_as_they_are():
    plan = plan_of("""
        arg_scope: {conv2d: {kernel: 3, normalizer: {batch_norm: {decay: 0.9}}, activation: relu}}
        layers:
          - conv2d: {name: both, filters: 8}
          - conv2d: {name: neither, filters: 8, normalizer: none, activation: none}
          - conv2d: {name: biased, filters: 8, bias: true}
          - group: {arg_scope: none, layers: [{conv2d: {name: bare, filters: 8, kernel: 1}}]}
    """)
    both = told(plan, "both")
    assert both["bias"] == (False, "no bias beside the normalizer batch_norm at net.yaml:4:45")
    assert both["normalizer"] == ({"batch_norm": {"decay": 0.9}}, "the spec's arg_scope at net.yaml:4:45")
    assert both["activation"] == ("relu", "the spec's arg_scope at net.yaml:4:85")
    neither = told(plan, "neither")
    assert neither["bias"] == (True, "default of conv2d")
    assert neither["normalizer"] == (None, "written on the layer, at net.yaml:7:53")
    assert neither["activation"] == (None, "written on the layer, at net.yaml:7:71")
    assert told(plan, "biased")["bias"] == (True, "written on the layer, at net.yaml:8:46")
    bare = told(plan, "bare")
    assert [bare[name] for name in ("bias", "normalizer", "activation")] == [
        (True, "default of conv2d"),
        (None, "default of conv2d"),
        (None, "default of conv2d"),
    ]


def test_what_is_told_of_the_bias_is_what_the_plan_has():
    plan = plan_of("""
        layers:
          - conv2d: {name: a, filters: 8, kernel: 3, normalizer: batch_norm}
          - conv2d: {name: b, filters: 8, kernel: 3}
          - depthwise_conv2d: {name: c, kernel: 3, bias: false}
          - global_avg_pool2d
          - fully_connected: {name: d, units: 3}
    """)
    for planned in plan.nodes:
        if "bias" in type(planned.node.layer).model_fields:
            assert told(plan, planned.node.name)["bias"][0] == ("biases" in planned.params)


def test_the_table_names_the_layers_that_follow():
    plan = plan_of(
        "layers: [{conv2d: {name: a, filters: 8, kernel: 3, normalizer: batch_norm, activation: relu}}, relu]"
    )
    table = explain_layer(plan, "a", "table")
    assert "followed by a/BatchNorm (batch_norm), a/Relu (relu)\n" in table
    assert "followed by" not in explain_layer(plan, "relu", "table")
    assert "decay" in explain_layer(plan, "a/BatchNorm", "table")


def test_one_argument_of_a_layer():
    plan = plan_of("layers: [{conv2d: {name: a, filters: 8, kernel: 3, activation: {leaky_relu: 0.2}}}]")
    assert explain_layer(plan, "a.activation", "csv").splitlines() == [
        "argument,value,from",
        'activation,{leaky_relu: 0.2},"written on the layer, at net.yaml:4:64"',
    ]
    with pytest.raises(SpecError, match="conv2d has no argument 'activate' \\(did you mean 'activation'\\?\\)"):
        explain_layer(plan, "a.activate", "table")


WORDS = {
    "adam": ["optimizer"],
    "random_crop": ["augmentation"],
    "repeat": ["composition"],
    "mean_squared": ["loss"],
    "accuracy": ["metric"],
    "image_folder": ["source"],
    "xavier": ["initializer"],
    "cosine": ["loss", "schedule"],
    "conv2d": ["layer"],
    "l2": ["regularizer"],
    "whiten": ["preprocessing step"],
    "crop": ["layer"],
    "center_crop": ["resizing", "preprocessing step"],
    "warm_up": ["key of a recipe"],
    "arg_scope": ["key of a spec", "key of a block"],
    "momentum": ["optimizer"],
}


@pytest.mark.parametrize("word", WORDS)
def test_a_word_is_told_in_each_of_its_senses(word):
    page = explain_word(word, "table")
    heads = [line.removeprefix(f"{word}: ") for line in page.splitlines() if line.startswith(f"{word}: ")]
    assert heads == WORDS[word]
    assert word.startswith("arg_scope") or page.count("  for example: ") == len(heads)


def test_a_kind_tells_type_default_meaning_and_example():
    rows = {row["argument"]: row for row in json.loads(explain_word("adam", "json"))}
    assert rows["beta1"] == {
        "argument": "beta1",
        "type": "number ≥ 0 and < 1",
        "default": "0.9",
        "meaning": "Decay of the moving mean of gradients.",
        "of": "optimizer",
    }
    assert "optimizer: {adam: {" in explain_word("adam", "table")
    assert "By position: filters, kernel, stride." in explain_word("conv2d", "table")
    assert "Kinds: constant, step," in explain_word("schedule", "table")


@pytest.mark.parametrize(
    ("word", "near"),
    [("admn", "adam"), ("random_corp", "random_crop"), ("acuracy", "accuracy"),
     ("image_foldr", "image_folder"), ("repaet", "repeat"), ("cosin", "cosine"), ("epohcs", "epochs")],
)  # fmt: skip
def test_an_unknown_word_has_a_near_one_of_any_vocabulary(word, near):
    with pytest.raises(SpecError, match=f"no kind and no key is named '{word}' .*{near}"):
        explain_word(word, "table")


def test_a_word_that_was_renamed():
    with pytest.raises(SpecError, match=r"'standardise' \(it is called 'standardize' now\)"):
        explain_word("standardise", "table")


def test_a_spec_alone_is_no_word():
    with pytest.raises(SpecError, match="vgg_16 is a spec: say which layer, graphc explain vgg_16 LAYER"):
        explain_word("vgg_16", "table")


def test_an_argument_is_told_of_every_kind_that_takes_it():
    rows = json.loads(explain_word("label_smoothing", "json"))
    assert {row["argument of"] for row in rows} >= {"softmax_cross_entropy (loss)", "sigmoid_cross_entropy (loss)"}
    assert "conv2d (layer)" in explain_word("filters", "table")
