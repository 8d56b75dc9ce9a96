"""From a recipe to a trainer: the spec planned, the data read and checked, the state made or restored."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info

from graphc import __version__, initializers
from graphc.compiler import plan_spec
from graphc.data.annotated import finite
from graphc.data.augment.base import Augmentation
from graphc.data.augment.mix import Mix
from graphc.data.batches import Augmenting, Batches
from graphc.data.classes import labeled_alike, typed_alike
from graphc.data.examples import IMAGE, LABEL, MEMORY_LIMIT, Examples, check_one_class, class_weights, split
from graphc.data.point_pairs import mirrored_order
from graphc.data.preprocess import Preprocess
from graphc.data.sample import ANNOTATIONS, BOXES, MASK, POINTS
from graphc.data.sources import Source
from graphc.data.value_range import ImageValues
from graphc.data.wanted import ANYTHING, Wanted
from graphc.dims import format_shape
from graphc.errors import DataError, Place, SpecError, counted, did_you_mean
from graphc.graph import Plan
from graphc.spec.documents import read_document
from graphc.spec.zoo import find
from graphc.train.distill import TeacherModel, with_unlabeled
from graphc.train.heads import Heads, Target
from graphc.train.image_values import like_training, values_by_input
from graphc.train.losses import Loss, OverClasses
from graphc.train.recipe import Data, Model, Recipe
from graphc.train.state import TrainState
from graphc.train.stepper import Stepper
from graphc.train.targets import shared_classes, wanted_targets, with_numbers


@dataclass(frozen=True, slots=True)
class Sets:
    """The data of a run."""

    train: Examples
    validation: Examples | None

    def said(self) -> list[str]:
        """What was left out or decided in reading, each sentence once."""
        return list(dict.fromkeys(said for each in (self.train, self.validation) if each for said in said_of(each)))

    def fingerprints(self) -> list[str]:
        return [examples.fingerprint() for examples in (self.train, self.validation) if examples is not None]


def said_of(examples: Examples) -> list[str]:
    """What was left out or decided in reading a data set."""
    found = [f"{examples.source}: {note}" for note in examples.notes]
    if examples.skipped:
        count = counted(len(examples.skipped), "file")
        found.append(f"{examples.source}: {count} left out, the first: {examples.skipped[0]}")
    return found


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


def read_sets(recipe: Recipe, plan: Plan, base: Path, limit: int = MEMORY_LIMIT) -> Sets:
    """Training and validation examples, with the targets that the losses want; classes count by name in both."""
    wanted = wanted_targets(recipe, plan)
    train = read_set(recipe.data.train, base, limit, wanted)
    if recipe.data.balanced:
        check_one_class(train, "`balanced`")
    validation = None
    if recipe.data.validation is not None:
        known = replace(wanted, classes=shared_classes(train, wanted), whole=False)
        validation = read_set(recipe.data.validation, base, limit, known)
        validation = like_training(validation, training_values(train, plan, recipe.data), plan)
    elif recipe.data.validation_share is not None:
        train, validation = split(train, recipe.data.validation_share, recipe.seed, recipe.data.stratified)
    if recipe.data.unlabeled is not None:
        train = with_unlabeled(train, recipe.data.unlabeled.load(base, limit, replace(wanted, targets={})), limit)
    return Sets(train, validation)


def make_stepper(recipe: Recipe, plan: Plan, base: Path, threads: int | None, train: Examples) -> Stepper:
    """What computes the steps, with its teacher where it has one; `train`: the training set."""
    if recipe.teacher is None:
        return Stepper(plan, recipe, threads)
    classes = Heads(plan, recipe).first.shape[-1]
    values = next(iter(training_values(train, plan, recipe.data).values()), ImageValues(black_to_white=None))
    return Stepper(plan, recipe, threads, TeacherModel(recipe.teacher, base, classes, train.classes, threads, values))


def read_set(source: Source, base: Path, limit: int = MEMORY_LIMIT, wanted: Wanted = ANYTHING) -> Examples:
    """All examples of a source, targets as the losses want them; of boxes and key points it is always said which are
    there."""
    examples = typed_alike(source.load(base, limit, wanted), wanted)
    there = {f"{name}_there": finite(examples.targets[name]) for name in (BOXES, POINTS) if name in examples.targets}
    return replace(examples, targets={**there, **examples.targets})


def fitted(recipe: Recipe, plan: Plan, train: Examples) -> Recipe:
    """The recipe with every `fit` of its preprocessing answered by the training set."""
    data = recipe.data
    fit = fit_inputs(train, plan, data)
    inputs = fit.inputs
    for name in data.preprocess_inputs:
        if name not in inputs:
            found = f"{name!r}{did_you_mean(name, inputs)}"
            raise SpecError(
                "G606", f"preprocess_inputs: expected an input of the spec ({', '.join(inputs)}), found {found}"
            )
    each = {name: _fitted(settings, fit, name) for name, settings in data.preprocess_inputs.items()}
    whole = _fitted(data.preprocess, fit, next(iter(inputs)))
    data = data.model_copy(update={"preprocess": whole, "preprocess_inputs": each})
    recipe = recipe.model_copy(update={"data": data})
    return _with_class_weights(recipe, plan, train)


def _fitted(settings: Preprocess, examples: Examples, name: str) -> Preprocess:
    """What happens to an input, with what is learned from it."""
    unit = examples.unit_of(name) if settings.takes_unit else 1.0
    return settings.fitted(examples.inputs[name], unit, examples.range_of(name) if settings.lacks_source else None)


def _with_class_weights(recipe: Recipe, plan: Plan, train: Examples) -> Recipe:
    """Balanced class weights as numbers, from the training set's labels."""
    losses = [_class_weights(head, train) for head in Heads(plan, recipe).targets]
    if recipe.loss is not None:
        return recipe.model_copy(update={"loss": losses[0]})
    heads = tuple(head.model_copy(update={"loss": loss}) for head, loss in zip(recipe.heads, losses, strict=True))
    return recipe.model_copy(update={"heads": heads})


def _class_weights(head: Target, train: Examples) -> Loss:
    loss = head.loss
    if not isinstance(loss, OverClasses) or loss.class_weights != "balanced":
        return loss
    labels = train.targets.get(head.target)
    fits = labels is not None and (head.target == MASK or labels.shape[1:] == head.shape[:-1])
    if labels is None or not fits:
        raise DataError("G408", "balanced class_weights need labels", Place(train.source))
    counted = labels[np.arange(len(labels))]
    counted = counted[(counted >= 0) & (counted != loss.ignore)]
    return loss.model_copy(update={"class_weights": class_weights(counted, head.shape[-1])})


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
        _check_shape(name, preprocessing(data, name).output_shape(array.shape[1:]), shape, examples.source)
    return replace(examples, inputs={name: inputs[name] for name in wanted})


def training_values(examples: Examples, plan: Plan, data: Data) -> dict[str, ImageValues]:
    """Type and range of the training set's images, by input."""
    return values_by_input(fit_inputs(examples, plan, data))


def _check_shape(name: str, found: tuple[int, ...], wanted: tuple[Any, ...], source: str) -> None:
    fits = len(found) == len(wanted) and all(
        not isinstance(size, int) or size == there for size, there in zip(wanted, found, strict=True)
    )
    if not fits:
        message = f"the spec reads {name} of {format_shape(wanted)}, the data have {format_shape(found)}"
        raise DataError("G404", message, Place(source))


def preprocessing(data: Data, name: str) -> Preprocess:
    """What happens to an input."""
    return data.preprocess_inputs.get(name, data.preprocess)


def make_batches(
    recipe: Recipe,
    plan: Plan,
    examples: Examples,
    augmenting: Augmenting | None = None,
    size: int | None = None,
    training: bool = False,
) -> Batches:
    """A data set as batches for the plan's inputs; `training`: with what a teacher reads."""
    data = recipe.data
    examples = fit_inputs(examples, plan, data)
    preprocess = {name: preprocessing(data, name) for name in examples.inputs}
    shapes = {name: preprocess[name].output_shape(array.shape[1:]) for name, array in examples.inputs.items()}
    relative = data.coordinates == "relative"
    dtype = np.dtype(recipe.dtype)
    keep_raw = recipe.teacher is not None and training
    rule = Heads(plan, recipe).mask_rule if MASK in examples.targets else None
    return Batches(
        examples,
        size or recipe.batch,
        shapes,
        dtype,
        preprocess,
        augmenting,
        data.workers,
        relative,
        keep_raw,
        rule,
        data.resize,
    )


def augmenting(recipe: Recipe, heads: Heads, examples: Examples) -> Augmenting | None:
    """What the recipe does to training examples; an error where it cannot be done to these."""
    data = recipe.data
    if not data.augment:
        return None
    steps = tuple(step for step in data.augment if isinstance(step, Augmentation))
    mixes = tuple(step for step in data.augment if isinstance(step, Mix))
    pictures = [array for array in examples.inputs.values() if array.ndim >= 3]
    if len(pictures) != 1:
        raise DataError("G404", f"augment expects one input with images, found {len(pictures)}", Place(examples.source))
    if any(step.moves for step in steps):
        _check_maps(heads, examples, pictures[0].shape[1:3])
    there = [name for name in ANNOTATIONS if name in examples.targets]
    if mixes and heads.first.shape[-1] == 1:
        message = f"{mixes[0].kind} expects one output a class, found a single one"
        raise DataError("G404", message, Place(examples.source))
    plain = heads.first.target == LABEL and examples.targets[LABEL].ndim == 1 and len(heads.targets) == 1
    if mixes and (there or not plain):
        found = f"{', '.join(there)} too" if there else "other targets"
        message = f"{mixes[0].kind} expects examples with one label each and one loss, found {found}"
        raise DataError("G404", message, Place(examples.source))
    order = point_order(recipe, examples)
    return Augmenting(recipe.seed, steps, mixes, heads.first.shape[-1], data.min_visibility, order)


def point_order(recipe: Recipe, examples: Examples) -> tuple[int, ...]:
    """For each key point the one that stands in its place in a mirror; empty where there are none."""
    if POINTS not in examples.targets:
        return ()
    count = math.prod(examples.targets[POINTS].shape[1:-1])
    with recipe.placing(("data", "flip_pairs")):
        try:
            return mirrored_order(recipe.data.flip_pairs, examples.point_names[:count], count)
        except ValueError as error:
            raise SpecError("G606", f"flip_pairs: {error}") from None


def _check_maps(heads: Heads, examples: Examples, size: tuple[int, ...]) -> None:
    """An error where a target is a map of the image that would stay where it is when the image moves."""
    for head in heads.targets:
        shape = examples.targets[head.target].shape[1:]
        if head.target not in ANNOTATIONS and len(shape) >= 2 and shape[:2] == size:
            message = f"augment moves images, but not the target {head.target!r} of {format_shape(shape)}"
            notes = ["a target that is called `mask`, a class index a pixel, moves with the image"]
            raise DataError("G404", message, Place(examples.source), notes)


def new_state(stepper: Stepper) -> TrainState:
    """Variables as their initializers say, before the first step."""
    recipe = stepper.recipe
    drawn = initializers.initial_values(stepper.plan.variables, recipe.seed)
    params = stepper.network.place({name: value.astype(recipe.dtype, copy=False) for name, value in drawn.items()})
    frozen = stepper.learning.frozen_for_good
    learning = [name for name, spec in stepper.plan.variables.items() if spec.trainable and name not in frozen]
    return TrainState.start(params, recipe.optimizer, learning, recipe.ema is not None)


def bit_settings() -> dict[str, Any]:
    """What decides the last bits of a result besides recipe and data: the same here and there, the same bytes.

    The number of threads is not among it: batches are cut into the same slices for any number.
    """
    libraries = [info for info in threadpool_info() if info["user_api"] == "blas"]
    own = [info for info in libraries if "numpy" in info["filepath"]] or libraries  # SciPy's computes nothing here
    blas = sorted({f"{info['internal_api']} {info['version']} {info.get('architecture')}" for info in own})
    return {"graphc": __version__, "numpy": np.__version__, "machine": platform.machine(), "blas": blas}


def describe_difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """`numpy 2.1.0, now 2.2.0` for each setting that differs; nothing where none does."""
    return "; ".join(
        f"{key} {before.get(key)}, now {now.get(key)}"
        for key in sorted({*before, *now})
        if before.get(key) != now.get(key)
    )


def read_test(
    recipe: Recipe,
    plan: Plan,
    base: Path,
    classes: Mapping[str, Sequence[str]],
    values: Mapping[str, ImageValues],
    limit: int = MEMORY_LIMIT,
) -> tuple[str, Examples]:
    """What a run is evaluated on, and its name: the recipe's test set, else what it was validated on; `classes`: the
    training set's names by target; `values`: of its images, by input."""
    data, wanted = recipe.data, wanted_targets(recipe, plan)
    known = replace(wanted, classes=with_numbers(classes, wanted), whole=False)
    if data.test is not None:
        return "test", like_training(read_set(data.test, base, limit, known), values, plan)
    if data.validation is not None:
        return "validation", like_training(read_set(data.validation, base, limit, known), values, plan)
    held_out = read_sets(recipe, plan, base, limit).validation
    if held_out is None:
        raise SpecError("G611", "the recipe names neither a test nor a validation set: say which data to read")
    return "validation_share", like_training(labeled_alike(held_out, known.classes), values, plan)
