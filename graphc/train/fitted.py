"""What preprocessing has learned from the training set, in a file beside the run's recipe."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from graphc import weights
from graphc.data.preprocess import RAW, Preprocess
from graphc.data.reading import open_regular
from graphc.dims import is_image
from graphc.emit.front import ELEMENTS, Front
from graphc.files import shown
from graphc.graph import Plan
from graphc.layers.base import static
from graphc.safetensors_file import SafetensorsFile
from graphc.train.recipe import Recipe, read_recipe
from graphc.train.run_folder import RunFolder
from graphc.types import Array

WHOLE = "*"
"""Stands for the preprocessing of all inputs, in the file's names: `*:0/mean`."""


def save_fitted(recipe: Recipe, path: Path) -> None:
    """Write the arrays, where there are any."""
    arrays = {
        f"{name}:{key}": array.astype(np.float32)
        for name, settings in _each(recipe).items()
        for key, array in settings.arrays.items()
    }
    if arrays:
        weights.save(path, arrays)


def with_fitted(recipe: Recipe, path: Path) -> Recipe:
    """The recipe of a run with its arrays."""
    if not any(settings.steps for settings in _each(recipe).values()):
        return recipe
    with open_regular(path) as file:
        stored = SafetensorsFile(file, shown(path))
        arrays = {name: stored.read(name) for name in stored.names}
    settings = {name: each.with_arrays(_of(arrays, name)) for name, each in _each(recipe).items()}
    whole = settings.pop(WHOLE)
    data = recipe.data.model_copy(update={"preprocess": whole, "preprocess_inputs": settings})
    return recipe.model_copy(update={"data": data})


def fronts_of_run(run: Path | str, element: str, plan: Plan) -> dict[str, Front]:
    """A run's preprocessing for an ONNX file, of every input that is an image; `element`: uint8 or float32, whose
    numbers are those that the run was trained on: bytes held as floats, or floats."""
    folder = RunFolder(run)
    facts = folder.read_facts()
    recipe = with_fitted(read_recipe(folder.recipe), folder.preprocess)
    found = {}
    for given in plan.graph.inputs:
        settings = recipe.data.preprocess_inputs.get(given.name, recipe.data.preprocess)
        if is_image(given.shape):
            shape = settings.input_shape(static(given.shape, "preprocessing")) if settings.steps else given.shape
            bytes_come = element == "uint8" or given.name in facts.get("bytes", [given.name])
            operations = settings.operations(shape, 1 / 255 if bytes_come else 1.0)  # type: ignore[arg-type]
            found[given.name] = Front(shape, tuple(operations), ELEMENTS[element])
    return found


def _each(recipe: Recipe) -> dict[str, Preprocess]:
    return {WHOLE: recipe.data.preprocess, **recipe.data.preprocess_inputs}


def _of(arrays: dict[str, Array], name: str) -> dict[str, Array]:
    found = {key.removeprefix(f"{name}:"): array for key, array in arrays.items() if key.startswith(f"{name}:")}
    return {key: array.astype(np.int64) if key == RAW else array for key, array in found.items()}
