"""Recipes: what is read, what every error says and where."""

from __future__ import annotations

import json
import random

import pytest

from graphc.errors import GraphcError, SpecError
from graphc.train.recipe import dump_recipe, read_recipe_text, recipe_schema

TEXT = """\
recipe: 1
model: {spec: lenet5, set: {classes: 10}}
data:
  train: digits
  validation_share: 0.1
loss: {softmax_cross_entropy: {label_smoothing: 0.1}}
optimizer: {adam: {beta1: 0.8}}
learning_rate: 1e-3
epochs: 3
metrics: [accuracy, {top_k: {k: 2}}]
"""


def test_kinds_are_names_or_mappings():
    recipe = read_recipe_text(TEXT)
    assert recipe.optimizer.beta1 == 0.8
    assert [metric.name for metric in recipe.metrics] == ["accuracy", "top_2"]
    assert recipe.model.spec == "lenet5"
    assert recipe.learning_rate == 0.001


def test_what_is_dumped_is_read_again():
    recipe = read_recipe_text(TEXT)
    assert read_recipe_text(dump_recipe(recipe)) == recipe
    assert json.loads(dump_recipe(recipe))["optimizer"]["adam"]["epsilon"] == 1e-8


def test_json_is_the_same_language():
    assert read_recipe_text(dump_recipe(read_recipe_text(TEXT)), "recipe.json").epochs == 3


def test_overrides_change_one_place():
    source = "{digits: {part: train}}"
    text = f"recipe: 1\nmodel: net.yaml\ndata: {{train: &d {source}, validation: *d, test: *d}}\nloss: hinge\n"
    text += "optimizer: sgd\nlearning_rate: 1\nepochs: 1\n"
    data = read_recipe_text(text, overrides=["data.test.digits.part=test"]).data
    assert [each.part for each in (data.train, data.validation, data.test)] == ["train", "train", "test"]


def test_overrides():
    recipe = read_recipe_text(
        TEXT, overrides=["epochs=5", "optimizer.adam.beta2=0.9", "schedule={step: {every: 2}}", "ema.decay=0.5"]
    )
    assert (recipe.epochs, recipe.optimizer.beta2, recipe.schedule.every, recipe.ema.decay) == (5, 0.9, 2, 0.5)
    with pytest.raises(SpecError, match="expected KEY=VALUE, found 'epochs'"):
        read_recipe_text(TEXT, overrides=["epochs"])
    with pytest.raises(SpecError, match=r"--set: error\[G602\]: unknown key 'epoch' \(did you mean 'epochs'\?\)"):
        read_recipe_text(TEXT, overrides=["epoch=5"])


GOLDEN = {
    "unknown key": ("epochs: 3", "epohcs: 3", "9:1: error[G602]: unknown key 'epohcs' (did you mean 'epochs'?)"),
    "unknown argument": ("beta1:", "beta_1:", "7:20: error[G602]: unknown key 'beta_1' (did you mean 'beta1'?)"),
    "unknown kind": ("adam: {beta1: 0.8}", "admn: {}", "7:12: error[G604]: optimizer: expected one of sgd, momentum,"),
    "kind and more": ("{adam: {beta1: 0.8}}", "{adam: {}, sgd: {}}", "found a mapping with the keys adam, sgd"),
    "nothing": ("{adam: {beta1: 0.8}}", "", "7:11: error[G604]: optimizer: expected one of"),
    "no mapping": (
        "{adam: {beta1: 0.8}}",
        "{adam: 3}",
        "7:19: error[G604]: optimizer.adam: expected a mapping, found 3",
    ),
    "bool for number": ("epochs: 3", "epochs: true", "9:9: error[G604]: epochs: expected a whole number, found true"),
    "text for number": ("epochs: 3", 'epochs: "3"', "9:9: error[G604]: epochs: expected a whole number, found '3'"),
    "no list": ("epochs: 3", "epochs: 3\nheads: 3", "10:8: error[G604]: heads: expected a list, found 3"),
    "no entries": (
        "digits",
        "{npz: {path: a.npz, inputs: {}}}",
        "error[G604]: data.train.npz.inputs: expected at least 1 value, found an empty mapping",
    ),
    "fraction": ("epochs: 3", "epochs: 2.5", "9:9: error[G604]: epochs: expected a whole number, found 2.5"),
    "range": ("share: 0.1", "share: 2", "5:21: error[G604]: data.validation_share: expected less than 1, found 2"),
    "in a list": (
        "k: 2",
        "k: 0",
        "10:33: error[G604]: metrics.1.top_k.k: expected greater than or equal to 1, found 0",
    ),
    "unknown in a list": ("k: 2", "kk: 2", "10:30: error[G602]: unknown key 'kk'"),
    "brackets in a key": ("epochs: 3", "'epoch]s': 3", "9:1: error[G602]: unknown key 'epoch]s'"),
    "missing": ("learning_rate: 1e-3\n", "", "1:1: error[G603]: the recipe lacks the key 'learning_rate'"),
    "missing inside": ("digits", "{idx: {images: a}}", "4:16: error[G603]: data.train.idx lacks the key 'labels'"),
    "no choice": ("digits", "{digits: {part: tset}}", "4:26: error[G604]: data.train.digits.part: expected 'train',"),
    "both": ("epochs: 3", "epochs: 3\nsteps: 3", "error[G604]: expected either `epochs` or `steps`"),
    "infinite": ("1e-3", ".inf", "8:16: error[G120]: expected a finite number, found .inf"),
    "twice": ("epochs: 3", "epochs: 3\nepochs: 4", "10:1: error[G105]: the key 'epochs' is written twice"),
    "metric twice": ("{top_k: {k: 2}}", "accuracy", "expected each metric once, found accuracy, accuracy"),
    "version": ("recipe: 1", "recipe: 2", "1:9: error[G604]: recipe: expected 1, found 2"),
}


@pytest.mark.parametrize(("old", "new", "words"), GOLDEN.values(), ids=GOLDEN)
def test_errors_name_place_expectation_and_value(old, new, words):
    assert old in TEXT
    with pytest.raises(SpecError) as caught:
        read_recipe_text(TEXT.replace(old, new))
    assert words in str(caught.value)


def test_several_errors_are_told_together():
    with pytest.raises(SpecError) as caught:
        read_recipe_text(TEXT.replace("epochs: 3", "epohcs: 3\nbtach: 2"))
    assert str(caught.value).count("did you mean") == 2


@pytest.mark.parametrize("text", ["- a\n", "3\n"])
def test_a_recipe_is_a_mapping(text):
    with pytest.raises(SpecError, match="expected a mapping with the keys of a recipe"):
        read_recipe_text(text)


def test_the_schema_knows_kinds_and_descriptions():
    schema = recipe_schema()
    optimizer = schema["properties"]["optimizer"]
    assert "adam" in optimizer["anyOf"][0]["enum"]
    adam = optimizer["anyOf"][1]["properties"]["adam"]
    assert adam["properties"]["beta1"]["description"] == "Decay of the moving mean of gradients."
    assert schema["additionalProperties"] is False


def test_changed_text_is_read_or_refused():
    """Lines dropped, swapped, characters changed: never anything but graphc's own error."""
    rng = random.Random(0)
    refused = 0
    for _ in range(400):
        lines = TEXT.splitlines()
        change = rng.randrange(3)
        at = rng.randrange(len(lines))
        if change == 0:
            del lines[at]
        elif change == 1:
            lines[at], lines[0] = lines[0], lines[at]
        else:
            spot = rng.randrange(len(lines[at]))
            lines[at] = lines[at][:spot] + rng.choice("{}[]:,#&*!|'\"%@ -0x~") + lines[at][spot + 1 :]
        try:
            read_recipe_text("\n".join(lines))
        except GraphcError:
            refused += 1
    assert refused > 100
