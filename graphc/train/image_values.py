"""Type and range of the training set's images, kept with the run, and other images brought to them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from pydantic import ValidationError

from graphc.data.examples import IMAGE, IMAGES, Examples, Rows
from graphc.data.sources import ImageFiles, Source
from graphc.data.stored import StoredImages
from graphc.data.value_range import BYTES, ImageValues, ValueRange, brought, range_of
from graphc.dims import is_image
from graphc.errors import WeightsError, clipped
from graphc.graph import Plan
from graphc.types import Array

KEY = "values"
"""Among a run's facts."""
TOGETHER = 256
"""Images that are brought to another type at once."""
FLOATS = ImageValues(dtype="float32", black_to_white=(0.0, 1.0))


def values_by_input(examples: Examples) -> dict[str, ImageValues]:
    """Of every input that is images, or bytes, of examples with the plan's input names."""
    return {
        name: examples.values_of(name)
        for name, array in examples.inputs.items()
        if array.ndim == IMAGES or array.dtype == np.uint8
    }


def as_fact(values: Mapping[str, ImageValues]) -> dict[str, Any]:
    """For a run's facts."""
    return {name: each.model_dump(mode="json") for name, each in values.items()}


def from_facts(facts: Mapping[str, Any], plan: Plan) -> dict[str, ImageValues]:
    """Of a run's facts; runs of old know which inputs came as bytes. A WeightsError where they are damaged."""
    names = [given.name for given in plan.graph.inputs]
    if KEY in facts:
        others = [name for name in facts[KEY] if name not in names]
        if others:
            expected = f"expected the values of the network's images in {KEY} of run.json"
            raise WeightsError("G323", f"{expected}, found those of {clipped(others[0])}")
        try:
            found = {name: ImageValues.model_validate_json(json.dumps(each)) for name, each in facts[KEY].items()}
        except ValidationError as error:
            said = error.errors()[0]["msg"]
            raise WeightsError("G323", f"expected the values of images in {KEY} of run.json, found: {said}") from None
        lacks = [given.name for given in plan.graph.inputs if is_image(given.shape) and given.name not in found]
        if lacks:
            raise WeightsError("G323", f"expected the values of the images of {lacks[0]} in {KEY} of run.json")
        return found
    return {name: BYTES if name in facts.get("bytes", names) else FLOATS for name in names}


def read_as(source: Source, values: ImageValues) -> ImageValues | None:
    """Type and range in which images in files are read, so that they are as in training: where that read files, as it
    did; else as bytes where it was given bytes, and as they are (None) where it was given something else."""
    if isinstance(source, ImageFiles):
        return source.file_values
    return BYTES if values.dtype == "uint8" else None


def like_training(examples: Examples, values: Mapping[str, ImageValues], plan: Plan) -> Examples:
    """Examples whose images have the type and range of the training set's, where these are known."""
    inputs, said = dict(examples.inputs), examples.value_range
    for given in plan.graph.inputs:
        key = IMAGE if list(inputs) == [IMAGE] and len(plan.graph.inputs) == 1 else given.name
        if key in inputs and given.name in values and len(given.shape) == IMAGES - 1:
            inputs[key], said = _alike(inputs[key], said, values[given.name])
    return replace(examples, inputs=inputs, value_range=said)


def _alike(images: Rows, said: ValueRange | None, values: ImageValues) -> tuple[Rows, ValueRange | None]:
    """(images, their range where it is said)."""
    there = np.dtype(values.dtype)
    if images.dtype == there or images.dtype.kind == there.kind == "f":
        return images, said or values.known_range
    if values.known_range is None:
        return images, said
    if isinstance(images, StoredImages):
        return replace(images, values=values.model_copy(update={"reduced": True})), values.known_range
    here = said or range_of(images)
    out: Array = np.empty(images.shape, there)
    for start in range(0, len(images), TOGETHER):
        out[start : start + TOGETHER] = brought(images[start : start + TOGETHER], there, values.range, here)
    return out, values.known_range
