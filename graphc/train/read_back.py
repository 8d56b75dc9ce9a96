"""What a run is going to write, read as `resume`, `eval`, `predict` and `compile` will: before its first step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from graphc.errors import GraphcError, SpecError
from graphc.signature import read_signature
from graphc.train.recipe import Recipe, dump_recipe, read_recipe_text
from graphc.train.run_folder import checked_facts
from graphc.train.signing import metadata_of
from graphc.train.task import Task


def check_read_back(task: Task, facts: Mapping[str, Any]) -> None:
    """A SpecError where a run of this task could not be read back, or its model not be signed; `facts`: what run.json
    will say, as far as it is known."""
    _check_recipe(task.recipe)
    checked_facts(json.dumps(facts, ensure_ascii=False), "run.json")
    _check_signature(task, facts)


def _check_recipe(recipe: Recipe) -> None:
    text = dump_recipe(recipe)
    try:
        found = read_recipe_text(text, "recipe.json")
    except GraphcError as error:
        message = f"the recipe with every setting written out, as the run keeps it, could not be read: {error.message}"
        raise SpecError("G604", message, recipe.place_of(())) from None
    if dump_recipe(found) != text:
        message = "expected settings that are the same when they are written out and read, found others"
        raise SpecError("G604", message, recipe.place_of(()))


def _check_signature(task: Task, facts: Mapping[str, Any]) -> None:
    try:
        read_signature(metadata_of(task, facts, task.plan), "best.onnx")
    except (ValidationError, SpecError) as error:
        said = error.errors()[0]["msg"].removeprefix("Value error, ") if isinstance(error, ValidationError) else error
        message = f"the model could not say what its inputs are: {said}"
        raise SpecError("G604", message, task.recipe.place_of(("data",), of_key=True)) from None
