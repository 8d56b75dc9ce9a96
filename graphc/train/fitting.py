"""What a recipe leaves to the training set, answered: statistics for the preprocessing, balanced class weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from graphc.data.examples import Examples, class_weights
from graphc.data.preprocess import FittedPreprocess, Preprocess
from graphc.data.sample import MASK
from graphc.data.value_range import range_of_type
from graphc.errors import DataError, Place, SpecError, clipped, did_you_mean
from graphc.train.fitted import Preprocessing
from graphc.train.inputs import fit_inputs
from graphc.train.loss_term import LossTerm
from graphc.train.loss_terms import LossTerms
from graphc.train.losses import Loss, OverClasses
from graphc.train.recipe import Recipe
from graphc.train.task import Task


def fitted(task: Task, train: Examples) -> Task:
    """The task with every `fit` of its preprocessing, and balanced class weights, answered by the training set."""
    data = task.recipe.data
    with task.recipe.placing(("data", "preprocess")):
        fit = fit_inputs(train, task.plan, data)
    inputs = fit.inputs
    for name in data.preprocess_inputs:
        if name not in inputs:
            found = f"{clipped(name)}{did_you_mean(name, inputs)}"
            with task.recipe.placing(("data", "preprocess_inputs", name), of_key=True):
                raise SpecError(
                    "G606", f"preprocess_inputs: expected an input of the spec ({', '.join(inputs)}), found {found}"
                )
    each = {}
    for name, settings in data.preprocess_inputs.items():
        with task.recipe.placing(("data", "preprocess_inputs", name)):
            each[name] = _fitted(settings, fit, name, task.recipe.dtype)
    first = next(iter(inputs))
    with task.recipe.placing(("data", "preprocess")):
        preprocessing = Preprocessing(_fitted(data.preprocess, fit, first, task.recipe.dtype), each)
    recipe = task.recipe.model_copy(update={"data": preprocessing.answered(data)})
    recipe = _with_losses(recipe, [_class_weights(head, train) for head in task.heads.targets])
    return replace(task, recipe=recipe, heads=LossTerms(task.plan, recipe), preprocessing=preprocessing)


def _fitted(settings: Preprocess, examples: Examples, name: str, dtype: str) -> FittedPreprocess:
    """What happens to an input, with what is learned from it."""
    unit = examples.unit_of(name) if settings.takes_unit else 1.0
    images = examples.inputs[name]
    done = settings.fitted(images, unit, examples.range_of(name) if settings.lacks_source else None)
    known = range_of_type(images.dtype) if images.dtype.kind in "iu" else None
    done.check_numbers(images.shape[1:], known, unit, dtype)
    return done


def _with_losses(recipe: Recipe, losses: Sequence[Loss]) -> Recipe:
    """The recipe with other losses, one for each head."""
    if recipe.loss is not None:
        return recipe.model_copy(update={"loss": losses[0]})
    heads = tuple(head.model_copy(update={"loss": loss}) for head, loss in zip(recipe.heads, losses, strict=True))
    return recipe.model_copy(update={"heads": heads})


def _class_weights(head: LossTerm, train: Examples) -> Loss:
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
