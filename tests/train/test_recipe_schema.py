"""The recipe's JSON Schema and the loader say the same of every recipe."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
from pydantic import BaseModel, BeforeValidator, ValidationError

from graphc.documented import field_texts
from graphc.errors import SpecError
from graphc.settings import LIST, OneOf, Settings
from graphc.spec.source import load_text
from graphc.train.recipe import Recipe, read_recipe_text, recipe_schema
from tests.random_settings import FromFields, FromSchema, broken
from tests.train.test_recipe import GOLDEN, TEXT

ROOT = Path(__file__).parents[2]
SCHEMA = recipe_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
RULES = {"value_error", "assertion_error"}
"""Pydantic's errors of a rule that is not one of form, such as that factors are one more than places."""


def recipes() -> Iterator[tuple[str, str]]:
    """Every recipe of the examples and of the documents, but that of the package whose source is its own."""
    for path in sorted(ROOT.glob("examples/**/*.yaml")):
        text = path.read_text(encoding="utf-8")
        if re.search(r"^recipe:", text, re.MULTILINE) and path.parent.name != "plugin":
            yield path.relative_to(ROOT).as_posix(), text
    for path in (ROOT / "README.md", *sorted(ROOT.glob("examples/**/*.md")), *sorted(ROOT.glob("docs/**/*.md"))):
        blocks = re.findall(r"^```ya?ml\n(.*?)^```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
        for number, text in enumerate(blocks):
            if re.search(r"^recipe: 1\b", text, re.MULTILINE):
                yield f"{path.relative_to(ROOT).as_posix()} {number}", text


RECIPES = dict(recipes())


def faults(tree: Any) -> set[str]:
    """Pydantic's words for what the loader does not take."""
    try:
        Recipe.model_validate(tree)
    except ValidationError as error:
        return {each["type"] for each in error.errors()}
    return set()


def test_it_is_json_and_valid_itself():
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_that_users_are_shown_are_read_and_valid(name):
    read_recipe_text(RECIPES[name])
    VALIDATOR.validate(load_text(RECIPES[name], name))


def test_there_are_recipes_to_look_at():
    assert len(RECIPES) >= 5
    assert any("TRAINING.md" in name for name in RECIPES)


@pytest.mark.parametrize("name", GOLDEN)
def test_bad_recipes_are_refused(name):
    old, new, _ = GOLDEN[name]
    try:
        tree = load_text(TEXT.replace(old, new), "recipe.yaml")
    except SpecError:
        return  # no document at all: a key twice, an infinite number
    assert not VALIDATOR.is_valid(tree)


def test_what_the_loader_takes_is_valid():
    taken = 0
    for seed in range(800):
        tree = FromFields(seed).group(Recipe)
        found = faults(tree)
        assert found <= RULES, "the generator writes what has the right form"
        if not found:
            taken += 1
            VALIDATOR.validate(tree)
    assert taken > 100


def test_what_is_valid_the_loader_takes():
    taken = 0
    for seed in range(600):
        tree = FromSchema(SCHEMA, seed).value(SCHEMA)
        if VALIDATOR.is_valid(tree):  # the generator does not heed every `not`
            taken += 1
            assert faults(tree) <= RULES, tree
    assert taken > 100


def test_of_broken_recipes_both_say_the_same():
    refused = 0
    for seed in range(1500):
        tree = broken(FromFields(seed % 100).group(Recipe), seed)
        found = faults(tree)
        if found - RULES:
            refused += 1
            assert not VALIDATOR.is_valid(tree), (found, tree)
        elif not found:
            VALIDATOR.validate(tree)
    assert refused > 500


def models(annotation: Any, seen: set[type[BaseModel]]) -> set[type[BaseModel]]:
    """Every group of settings below an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and annotation not in seen:
        seen.add(annotation)
        for field in annotation.model_fields.values():
            models(field.annotation, seen)
            for each in field.metadata:
                models(each, seen)
    if isinstance(annotation, OneOf):
        for kind in annotation.kinds.values():
            models(kind, seen)
    for part in (*get_args(annotation), *getattr(annotation, "__metadata__", ())):
        models(part, seen)
    return seen


def test_every_group_of_settings_is_explained():
    found = models(Recipe, set())
    assert len(found) > 50
    for model in found:
        assert issubclass(model, Settings)
        assert "__doc__" in vars(model), f"{model.__name__} needs a sentence"
        for name in model.model_fields:
            assert field_texts(model).get(name), f"{model.__name__}.{name} needs a sentence"


TAKE_NOTHING_MORE = {"_numbers"}
"""Validators that only refuse, or only read the keys of a mapping, which are texts in JSON anyway."""


def test_short_forms_are_known_to_the_schema():
    """A `BeforeValidator` takes what the JSON Schema does not know: `settings.Short` has both."""
    for model in models(Recipe, set()):
        for name, field in model.model_fields.items():
            found = [each for each in field.metadata if isinstance(each, BeforeValidator) and each is not LIST]
            unknown = {each.func.__name__ for each in found} - TAKE_NOTHING_MORE
            assert not unknown, f"{model.__name__}.{name}: write a settings.Short, which has both"
