"""From a recipe to a trainer: the spec planned, the data read and checked, the state made or restored."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info

from graphc import __version__, initializers
from graphc.compiler import plan_spec
from graphc.data.batches import Batches
from graphc.data.examples import IMAGE, MEMORY_LIMIT, Examples, split
from graphc.data.preprocess import Preprocess
from graphc.data.sources import Source
from graphc.dims import format_shape
from graphc.errors import DataError, Place, SpecError, did_you_mean
from graphc.graph import Plan
from graphc.spec.documents import read_document
from graphc.spec.zoo import find
from graphc.train.recipe import Model, Recipe
from graphc.train.state import TrainState
from graphc.train.stepper import Stepper


@dataclass(frozen=True, slots=True)
class Sets:
    """The data of a run."""

    train: Examples
    validation: Examples | None


def plan_of(model: Model, base: Path) -> Plan:
    """The plan of a recipe's model; the spec's path starts at the recipe's folder."""
    return plan_spec(spec_path(model, base), model.set, until=model.until)  # type: ignore[arg-type]


def spec_path(model: Model, base: Path) -> Path | str:
    """The spec's file beside the recipe, or its zoo name."""
    beside = base / model.spec
    return beside if beside.is_file() or "/" in model.spec or "." in model.spec else model.spec


def spec_texts(model: Model, base: Path) -> dict[str, str]:
    """Every file that the spec consists of, by its path from the spec's folder; the spec first."""
    return read_document(find(spec_path(model, base))).texts


def read_sets(recipe: Recipe, base: Path, limit: int = MEMORY_LIMIT) -> Sets:
    """Training and validation examples."""
    train = recipe.data.train.load(base, limit)
    if recipe.data.validation is not None:
        return Sets(train, recipe.data.validation.load(base, limit))
    if recipe.data.validation_share is not None:
        rest, drawn = split(train, recipe.data.validation_share, recipe.seed)
        return Sets(rest, drawn)
    return Sets(train, None)


def read_set(source: Source, base: Path, limit: int = MEMORY_LIMIT) -> Examples:
    return source.load(base, limit)


def fitted(recipe: Recipe, plan: Plan, train: Examples) -> Recipe:
    """The recipe with every `fit` of its preprocessing answered by the training set."""
    data = recipe.data
    inputs = fit_inputs(train, plan).inputs
    first = next(iter(inputs.values()))
    each = {name: settings.fitted(inputs[name]) for name, settings in data.preprocess_inputs.items() if name in inputs}
    whole = data.preprocess.fitted(first)
    return recipe.model_copy(update={"data": data.model_copy(update={"preprocess": whole, "preprocess_inputs": each})})


def fit_inputs(examples: Examples, plan: Plan) -> Examples:
    """Examples with the plan's input names and shapes; grey images get their channel axis."""
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
        _check_shape(name, array.shape[1:], shape, examples.source)
    return Examples({name: inputs[name] for name in wanted}, examples.targets, examples.classes, examples.source)


def _check_shape(name: str, found: tuple[int, ...], wanted: tuple[Any, ...], source: str) -> None:
    fits = len(found) == len(wanted) and all(
        not isinstance(size, int) or size == there for size, there in zip(wanted, found, strict=True)
    )
    if not fits:
        message = f"the spec reads {name} of {format_shape(wanted)}, the data have {format_shape(found)}"
        raise DataError("G404", message, Place(source))


def make_batches(recipe: Recipe, plan: Plan, examples: Examples, size: int | None = None) -> Batches:
    """A data set as batches for the plan's inputs."""
    examples = fit_inputs(examples, plan)
    shapes = {name: array.shape[1:] for name, array in examples.inputs.items()}
    preprocess: Mapping[str, Preprocess] = {
        name: recipe.data.preprocess_inputs.get(name, recipe.data.preprocess) for name in shapes
    }
    return Batches(examples, size or recipe.batch, shapes, np.dtype(recipe.dtype), preprocess)


def new_state(stepper: Stepper) -> TrainState:
    """Variables as their initializers say, before the first step."""
    recipe = stepper.recipe
    drawn = initializers.initial_values(stepper.plan.variables, recipe.seed)
    params = {name: value.astype(recipe.dtype, copy=False) for name, value in drawn.items()}
    return TrainState.start(params, recipe.optimizer, list(stepper.learning.learning), recipe.average is not None)


def bit_settings() -> dict[str, Any]:
    """What decides the last bits of a result besides recipe and data: the same here and there, the same bytes.

    The number of threads is not among it: batches are cut into the same slices for any number.
    """
    blas = [
        {key: str(info.get(key)) for key in ("internal_api", "version", "architecture")}
        for info in threadpool_info()
        if info.get("user_api") == "blas"
    ]
    return {"graphc": __version__, "numpy": np.__version__, "machine": platform.machine(), "blas": blas}


def describe_difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """`numpy 2.1.0, now 2.2.0` for each setting that differs; nothing where none does."""
    return "; ".join(
        f"{key} {before.get(key)}, now {now.get(key)}"
        for key in sorted({*before, *now})
        if before.get(key) != now.get(key)
    )


def require_test_source(recipe: Recipe) -> Source:
    """The recipe's test set, or what comes nearest."""
    source = recipe.data.test or recipe.data.validation
    if source is None:
        raise SpecError("G611", "the recipe names neither a test nor a validation set: say which data to read")
    return source
