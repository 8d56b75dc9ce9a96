"""What a recipe leaves to the training set, answered: statistics for the preprocessing, balanced class weights."""

from __future__ import annotations

import numpy as np

from graphc.data.examples import Examples, class_weights
from graphc.data.preprocess import Preprocess
from graphc.data.sample import MASK
from graphc.errors import DataError, Place, SpecError, did_you_mean
from graphc.graph import Plan
from graphc.train.heads import Heads, Target
from graphc.train.inputs import fit_inputs
from graphc.train.losses import Loss, OverClasses
from graphc.train.recipe import Recipe


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
