"""A recipe's data sets as batches: how examples become inputs, and what happens to those that are trained on."""

from __future__ import annotations

import math

import numpy as np

from graphc.data.augment.base import Augmentation
from graphc.data.augment.mix import Mix
from graphc.data.batches import Augmenting, Batches, balanced_order
from graphc.data.examples import LABEL, Examples
from graphc.data.own_rows import OwnRows
from graphc.data.point_pairs import mirrored_order
from graphc.data.sample import ANNOTATIONS, MASK, POINTS
from graphc.dims import format_shape
from graphc.errors import DataError, Place, SpecError
from graphc.parallel.world import LOCAL_WORLD, World
from graphc.train.inputs import fit_inputs
from graphc.train.loss_terms import LossTerms
from graphc.train.recipe import Recipe
from graphc.train.task import Task
from graphc.types import Array


def make_batches(
    task: Task,
    examples: Examples,
    augmenting: Augmenting | None = None,
    size: int | None = None,
    training: bool = False,
    world: World = LOCAL_WORLD,
) -> Batches:
    """A data set as batches for the plan's inputs; `training`: with what a teacher reads; `world`: the processes that
    work on each batch. Each makes its own rows of it, but all rows where images are mixed, or a teacher sees them."""
    recipe, data = task.recipe, task.recipe.data
    examples = fit_inputs(examples, task.plan, data)
    preprocess = {name: task.preprocessing.of(name) for name in examples.inputs}
    shapes = {name: preprocess[name].settings.output_shape(array.shape[1:]) for name, array in examples.inputs.items()}
    relative = data.coordinates == "relative"
    dtype = np.dtype(recipe.dtype)
    keep_raw = recipe.teacher is not None and training
    whole = world.size == 1 or keep_raw or (augmenting is not None and bool(augmenting.mixes))
    rule = task.heads.mask_rule if MASK in examples.targets else None
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
        None if whole else OwnRows(world, recipe.shards),
    )


def rows_of_epoch(recipe: Recipe, epoch: int, examples: Examples) -> Array:
    """The rows of the training set in this epoch's order, int64 [N]."""
    if recipe.data.balanced:
        return balanced_order(recipe.seed, epoch, examples.targets[LABEL])
    return examples.order(recipe.seed, epoch)


def augmenting(task: Task, examples: Examples) -> Augmenting | None:
    """What the recipe does to training examples; an error where it cannot be done to these."""
    recipe, data, heads = task.recipe, task.recipe.data, task.heads
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


def _check_maps(heads: LossTerms, examples: Examples, size: tuple[int, ...]) -> None:
    """An error where a target is a map of the image that would stay where it is when the image moves."""
    for head in heads.targets:
        shape = examples.targets[head.target].shape[1:]
        if head.target not in ANNOTATIONS and len(shape) >= 2 and shape[:2] == size:
            message = f"augment moves images, but not the target {head.target!r} of {format_shape(shape)}"
            notes = ["a target that is called `mask`, a class index a pixel, moves with the image"]
            raise DataError("G404", message, Place(examples.source), notes)
