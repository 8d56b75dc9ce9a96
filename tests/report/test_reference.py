"""The reference pages hold everything that specs and recipes can say, as the code has it now."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphc.cli.commands import cli
from graphc.cli.reference import commands_page
from graphc.initializers import KINDS
from graphc.layers import CATALOGUE, FAMILIES
from graphc.passes.expectations import FIELDS, TOTALS
from graphc.report.reference import MADE
from graphc.report.reference import pages as word_pages
from graphc.report.vocabulary import recipe_words, spec_words
from graphc.report.words import Word
from graphc.settings import Kind, Settings
from graphc.spec.documents import KEYS
from graphc.spec.forms import FORMS
from graphc.spec.forms.block import KEYS as BLOCK_KEYS
from graphc.spec.schema_terms import COMMON_KEYS
from graphc.spec.source import load_text
from graphc.train.recipe import Recipe
from tests.passes.specs import plan_of
from tests.train.test_recipe_schema import RULES, faults, models

FOLDER = Path(__file__).parents[2] / "docs"
AGAIN = "python -m pytest tests/report/test_reference.py --update-golden"
PAGES = {**word_pages(), "commands.md": commands_page(MADE)}
SPEC_PAGE, LAYER_PAGE = PAGES["spec.md"], PAGES["layers.md"]
RECIPE_PAGE = PAGES["recipe.md"] + PAGES["metrics.md"]


@pytest.mark.parametrize("name", PAGES)
def test_pages_are_as_the_code_has_it(name, request):
    path = FOLDER / name
    if request.config.getoption("--update-golden"):
        FOLDER.mkdir(exist_ok=True)
        path.write_text(PAGES[name], encoding="utf-8")
    assert path.exists(), f"docs/{name} is missing: run {AGAIN}"
    if path.read_text(encoding="utf-8") != PAGES[name]:
        pytest.fail(f"docs/{name} is not what the code says now: run {AGAIN}", pytrace=False)


def section(page: str, kind: str, vocabulary: str) -> str:
    return page.split(f"\n### {kind} ({vocabulary})\n", 1)[1].split("\n### ", 1)[0].split("\n## ", 1)[0]


@pytest.mark.parametrize("kind", CATALOGUE)
def test_every_layer_stands_there_with_every_argument(kind):
    told = section(LAYER_PAGE, kind, "layer")
    for name in (*CATALOGUE[kind].model_fields, *CATALOGUE[kind].accepts):
        assert f"\n| `{name}` |" in told


def test_every_other_word_of_specs_stands_there():
    for kind, form in FORMS.items():
        told = section(SPEC_PAGE, kind, "composition")
        for key in form.keys:
            assert f"\n| `{key}` |" in told
    for kind, initializer in KINDS.items():
        told = section(SPEC_PAGE, kind, "initializer")
        for name in initializer.model_fields:
            assert f"\n| `{name}` |" in told
    for key in (*KEYS, *COMMON_KEYS, *BLOCK_KEYS, *TOTALS, *FIELDS):
        assert f"\n| `{key}` |" in SPEC_PAGE


def written() -> list[type[Settings]]:
    """Every group of settings and every kind; not the bases of kinds."""
    found = [model for model in models(Recipe, set()) if not issubclass(model, Kind) or hasattr(model, "kind")]
    return sorted(found, key=lambda model: f"{model.__module__} {model.__name__}")


@pytest.mark.parametrize("model", written())
def test_every_setting_of_recipes_stands_there(model: type[Settings]):
    for name in model.model_fields:
        told = section(RECIPE_PAGE, model.kind, model.vocabulary()) if issubclass(model, Kind) else RECIPE_PAGE
        assert f"\n| `{name}` |" in told


def test_every_command_and_option_stands_there():
    page = PAGES["commands.md"]
    for name, command in cli.commands.items():
        told = page.split(f"\n## graphc {name}\n", 1)[1].split("\n## ", 1)[0]
        for option in command.params:
            assert (
                any(f"`{each}" in told or f", {each}" in told for each in option.opts)
                or option.param_type_name == "argument"
            )


def of_kinds(words: tuple[Word, ...]) -> list[Word]:
    return [word for word in words if not word.is_key]


SHAPES = {
    "conv2d_transpose": [64, 8, 8],
    "conv1d_transpose": [16, 64],
    "conv3d_transpose": [8, 8, 8, 64],
    "1d": [16, 64],
    "3d": [8, 8, 8, 64],
    "maxout": [60],
    "fully_connected": [60],
    "decode_distances": [4, 4, 67],
    "decode_deltas": [4, 4, 14],
    "non_max_suppression": [50, 7],
    **{kind: [16, 64] for kind in FAMILIES["sequence"]},
}
"""What the example of a kind, or of those whose names end so, reads, where it is no image of 64 channels."""

BEFORE = {"max_unpool2d": "- max_pool2d: {name: pool1, kernel: 2}"}
"""A layer that the example of a kind names."""


@pytest.mark.parametrize("word", of_kinds(spec_words()), ids=lambda word: f"{word.vocabulary} {word.name}")
def test_every_example_of_a_spec_is_one(word: Word):
    shape = [2, *SHAPES.get(word.name, SHAPES.get(word.name[-2:], [16, 16, 64]))]
    plan = plan_of(f"""
        inputs: {{left: {shape}, right: {shape}}}
        arg_scope: {{conv2d: {{kernel: 3}}}}
        layers:
          - add: {{inputs: [left, right]}}
          {BEFORE.get(word.name, "")}
          {word.example}
    """)
    assert len(plan.nodes) >= 2


@pytest.mark.parametrize("word", of_kinds(recipe_words()), ids=lambda word: f"{word.vocabulary} {word.name}")
def test_every_example_of_a_kind_is_read(word: Word):
    base = load_text("recipe: 1\nmodel: a\ndata: {train: digits}\noptimizer: sgd\nlearning_rate: 1\nepochs: 1\n", "a")
    example = load_text(word.example, "example.yaml")
    data = {"data": {**base["data"], **example.get("data", {})}}
    tree = {"loss": "hinge", **base, **example, **data}
    assert faults(tree) == set(), (word.example, RULES)


@pytest.mark.parametrize("word", [word for word in recipe_words() if word.is_key], ids=lambda word: word.path)
def test_every_example_of_a_key_has_its_form(word: Word):
    assert faults(load_text(word.example, "example.yaml")) <= {*RULES, "missing"}, word.example
