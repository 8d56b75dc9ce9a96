"""A plan's inputs: which arrays of a data set they are, what happens to each on its way, and which values the images
of the training set have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from graphc.data.examples import IMAGE, Examples
from graphc.data.sources import ImageFiles, Source
from graphc.data.value_range import ImageValues
from graphc.dims import format_shape
from graphc.errors import DataError, Place, did_you_mean
from graphc.graph import Plan
from graphc.train.image_values import values_by_input
from graphc.train.recipe import Data, Recipe


def fit_inputs(examples: Examples, plan: Plan, data: Data) -> Examples:
    """Examples with the plan's input names and, behind the preprocessing, shapes; gray images get their channel
    axis."""
    wanted = {given.name: given.shape for given in plan.graph.inputs}
    inputs = dict(examples.inputs)
    if len(wanted) == 1 and list(inputs) == [IMAGE]:
        inputs = {next(iter(wanted)): inputs[IMAGE]}
    for name, shape in wanted.items():
        if name not in inputs:
            known = ", ".join(inputs)
            message = f"the spec reads {name!r}{did_you_mean(name, inputs)}, the data have {known}"
            raise DataError("G408", message, Place(examples.source))
        array = inputs[name]
        if array.ndim == len(shape) and shape and shape[-1] == 1:
            inputs[name] = array = array[..., None]
        _check_shape(name, data.preprocess_of(name).output_shape(array.shape[1:]), shape, Place(examples.source))
    return replace(examples, inputs={name: inputs[name] for name in wanted})


def check_size(source: Source, plan: Plan, recipe: Recipe, keys: Sequence[int | str]) -> None:
    """A DataError where images in files are to get a size that is none for the plan's only input, before one is
    read; `keys` are where the recipe says the source."""
    if isinstance(source, ImageFiles) and len(plan.graph.inputs) == 1:
        given = plan.graph.inputs[0]
        with recipe.placing(("data", "preprocess")):
            found = recipe.data.preprocess_of(given.name).output_shape((*source.size, source.channels))
        with recipe.placing(keys):
            _check_shape(given.name, found, given.shape, None)


def training_values(examples: Examples, plan: Plan, data: Data) -> dict[str, ImageValues]:
    """Type and range of the training set's images, by input."""
    return values_by_input(fit_inputs(examples, plan, data))


def _check_shape(name: str, found: tuple[int, ...], wanted: tuple[Any, ...], place: Place | None) -> None:
    fits = len(found) == len(wanted) and all(
        not isinstance(size, int) or size == there for size, there in zip(wanted, found, strict=True)
    )
    if not fits:
        message = f"the spec reads {name} of {format_shape(wanted)}, the data have {format_shape(found)}"
        raise DataError("G404", message, place)
