"""What preprocessing has learned from the training set, in a file beside the run's recipe."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from graphc import weights
from graphc.data.preprocess import RAW, Preprocess
from graphc.data.reading import open_regular
from graphc.data.value_range import ImageValues, range_of_type
from graphc.dims import is_image
from graphc.emit.front import ELEMENTS, Front
from graphc.emit.operations import Affine, Operation
from graphc.errors import SpecError
from graphc.files import shown
from graphc.graph import Plan
from graphc.layers.base import static
from graphc.safetensors_file import SafetensorsFile
from graphc.train.image_values import from_facts
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


def fronts_of_run(run: Path | str, raw: str | None, plan: Plan) -> dict[str, Front]:
    """A run's preprocessing for an ONNX file, of every input that is an image; `raw`: the type of the images (default:
    `raw_values`); float32 holds numbers such as the run was trained on."""
    folder = RunFolder(run)
    facts = folder.read_facts()
    recipe = with_fitted(read_recipe(folder.recipe), folder.preprocess)
    values, found = from_facts(facts, plan), {}
    for given in plan.graph.inputs:
        settings = recipe.data.preprocess_inputs.get(given.name, recipe.data.preprocess)
        if is_image(given.shape):
            shape = settings.input_shape(static(given.shape, "preprocessing")) if settings.steps else given.shape
            trained = values[given.name]
            taken = raw_values(trained, raw)
            operations = [*_bringing(taken, trained), *settings.operations(shape, trained.unit)]  # type: ignore[arg-type]
            found[given.name] = Front(shape, tuple(operations), ELEMENTS[taken.dtype])
    return found


def raw_values(trained: ImageValues, raw: str | None) -> ImageValues:
    """Type and range of the images that a file takes which preprocesses them itself; by default the type that the
    training set's images had, where that was an integer, bytes where their range is known, else float32."""
    integer = trained.dtype in ELEMENTS and trained.dtype != "float32"
    raw = raw or (trained.dtype if integer else "float32" if trained.known_range is None else "uint8")
    if raw == trained.dtype:
        return trained
    if raw == "float32":
        return trained.model_copy(update={"dtype": raw})
    if trained.known_range is None:
        found = f"{trained.dtype}: which of their values are black and white is not known"
        raise SpecError("G322", f"--raw {raw} cannot stand for the images of this run, {found}; float32 can")
    return ImageValues.of(raw, range_of_type(raw))


def _bringing(taken: ImageValues, trained: ImageValues) -> list[Operation]:
    """The operation that brings raw values to the range of the training set's, where they have another."""
    here, there = taken.known_range, trained.known_range
    if here is None or there is None or here == there:
        return []
    scale = there.span / here.span
    return [Affine(np.array([scale]), np.array([there.low - here.low * scale]))]


def _each(recipe: Recipe) -> dict[str, Preprocess]:
    return {WHOLE: recipe.data.preprocess, **recipe.data.preprocess_inputs}


def _of(arrays: dict[str, Array], name: str) -> dict[str, Array]:
    found = {key.removeprefix(f"{name}:"): array for key, array in arrays.items() if key.startswith(f"{name}:")}
    return {key: array.astype(np.int64) if key == RAW else array for key, array in found.items()}
