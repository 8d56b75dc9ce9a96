"""`kind`, or `{kind: arguments}`: one way to read it for layers, initializers and recipes."""

from __future__ import annotations

import pytest

from graphc.initializers import parse
from graphc.spec.source import load_text
from graphc.train.recipe import read_recipe_text
from graphc.written import kind_and_arguments


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("relu", ("relu", None)),
        ("{conv2d: 3}", ("conv2d", 3)),
        ("{conv2d: {filters: 3}}", ("conv2d", {"filters": 3})),
        ("{conv2d: }", ("conv2d", None)),
        ("{conv2d: 1, relu: 2}", None),
        ("{}", None),
        ("[conv2d]", None),
        ("7", None),
        ("", None),
    ],
)
def test_what_is_a_kind(text, found):
    assert kind_and_arguments(load_text(f"x: {text}", "s.yaml")["x"]) == found


def test_a_kind_alone_is_not_one_with_nothing_behind_it():
    assert kind_and_arguments("zeros", alone={}) == ("zeros", {})
    assert parse("zeros") == parse({"zeros": {}})
    with pytest.raises(ValueError, match="zeros takes none as positional arguments"):
        parse({"zeros": None})


RECIPE = "recipe: 1\nmodel: x\ndata: {train: digits}\nloss: softmax_cross_entropy\nlearning_rate: 1\nepochs: 1\n"


def test_an_optimizer_alone_or_with_arguments():
    found = [read_recipe_text(f"{RECIPE}optimizer: {text}").optimizer for text in ("adam", "{adam: }", "{adam: {}}")]
    assert found[0] == found[1] == found[2]
