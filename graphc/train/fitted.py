"""What preprocessing has learned from the training set, in a file beside the run's recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from graphc import weights
from graphc.data.preprocess import RAW, FittedPreprocess
from graphc.data.reading import open_regular
from graphc.data.value_range import ImageValues, range_of_type
from graphc.dims import format_shape, is_image
from graphc.emit.front import ELEMENTS, Front
from graphc.emit.operations import Affine, Operation
from graphc.errors import DataError, Place, SpecError
from graphc.files import shown
from graphc.graph import Plan
from graphc.layers.base import static
from graphc.train.image_values import from_facts
from graphc.train.recipe import Data, Recipe, read_recipe
from graphc.train.run_folder import RunFolder
from graphc.types import Array
from graphc.weights.safetensors_file import SafetensorsFile

LARGEST_SIZE = 2**24
"""Up to which float32 tells sizes apart."""
WHOLE = "*"
"""Stands for the preprocessing of all inputs, in the file's names: `*:0/mean`."""


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What happens to each input of a network on its way."""

    whole: FittedPreprocess
    """To those that have none of their own."""
    inputs: Mapping[str, FittedPreprocess] = field(default_factory=dict)
    """To those that have."""

    def of(self, name: str) -> FittedPreprocess:
        """What happens to an input."""
        return self.inputs.get(name, self.whole)

    @staticmethod
    def said(data: Data, arrays: Mapping[str, Array] | None = None) -> Preprocessing:
        """As the recipe says it, with what its steps have learned: `arrays` [...] by `input:number/name`."""
        found = {
            name: FittedPreprocess(settings, _of(arrays or {}, name))
            for name, settings in {WHOLE: data.preprocess, **data.preprocess_inputs}.items()
        }
        return Preprocessing(found.pop(WHOLE), found)

    def arrays(self) -> dict[str, Array]:
        """What all steps have learned, arrays [...] by `input:number/name`, in float32."""
        return {
            f"{name}:{key}": array.astype(np.float32)
            for name, each in {WHOLE: self.whole, **self.inputs}.items()
            for key, array in each.arrays.items()
        }

    def answered(self, data: Data) -> Data:
        """The recipe's settings with every number that was fitted."""
        inputs = {name: each.settings for name, each in self.inputs.items()}
        return data.model_copy(update={"preprocess": self.whole.settings, "preprocess_inputs": inputs})


def save_fitted(preprocessing: Preprocessing, path: Path) -> None:
    """Write the arrays, where there are any."""
    if arrays := preprocessing.arrays():
        weights.save(path, arrays)


def read_fitted(recipe: Recipe, path: Path) -> Preprocessing:
    """What happens to the inputs of a run with this recipe, which says every number, and these arrays."""
    data = recipe.data
    if not any(settings.steps for settings in (data.preprocess, *data.preprocess_inputs.values())):
        return Preprocessing.said(data)
    with open_regular(path) as file:
        stored = SafetensorsFile(file, shown(path))
        found = Preprocessing.said(data, {name: stored.read(name) for name in stored.names})
    place = Place(shown(path))
    others = [name for name in stored.names if name.partition(":")[0] not in (WHOLE, *found.inputs)]
    if others:
        raise DataError("G404", f"expected arrays of the recipe's inputs, found {shown(others[0])}", place)
    for each in (found.whole, *found.inputs.values()):
        each.check(place)
    return found


def check_shapes(preprocessing: Preprocessing, plan: Plan) -> None:
    """A DataError where what steps make of the images that they have learned of is nothing for the network."""
    for number, given in enumerate(plan.graph.inputs):
        done = preprocessing.of(given.name)
        if RAW not in done.arrays or (number and given.name not in preprocessing.inputs):
            continue
        shape = done.settings.output_shape(done.input_shape(()))
        sizes = zip(given.shape, shape, strict=False)
        if len(shape) != len(given.shape) or any(isinstance(a, int) and a != b for a, b in sizes):
            wanted = f"the spec reads {given.name} of {format_shape(given.shape)}"
            raise DataError("G404", f"{wanted}, its preprocessing was learned for {format_shape(shape)}")


def fronts_of_run(run: Path | str, raw: str | None, plan: Plan) -> dict[str, Front]:
    """A run's preprocessing for an ONNX file, of every input that is an image; `raw`: the type of the images (default:
    `raw_values`); float32 holds numbers such as the run was trained on."""
    folder = RunFolder(run)
    facts = folder.read_facts()
    preprocessing = read_fitted(read_recipe(folder.recipe), folder.preprocess)
    values, found = from_facts(facts, plan), {}
    for given in plan.graph.inputs:
        if is_image(given.shape):
            done = preprocessing.of(given.name)
            has_steps = bool(done.settings.steps)
            shape = done.input_shape(static(given.shape, "preprocessing")) if has_steps else given.shape
            trained = values[given.name]
            taken = raw_values(trained, raw)
            operations = [*_bringing(taken, trained), *done.operations(shape, trained.unit)]  # type: ignore[arg-type]
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


def _of(arrays: Mapping[str, Array], name: str) -> dict[str, Array]:
    found = {key.removeprefix(f"{name}:"): array for key, array in arrays.items() if key.startswith(f"{name}:")}
    return {key: array.astype(np.int64) if key == RAW and _is_whole(array) else array for key, array in found.items()}


def _is_whole(array: Array) -> bool:
    return bool((np.abs(array) < LARGEST_SIZE).all() and (array == np.rint(array)).all())
