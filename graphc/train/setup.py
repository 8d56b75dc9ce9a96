"""What computes the steps of a recipe, and the state that it starts with."""

from __future__ import annotations

from pathlib import Path

from graphc import initializers
from graphc.data.examples import Examples
from graphc.data.value_range import ImageValues
from graphc.graph import Plan
from graphc.train.distill import TeacherModel
from graphc.train.heads import Heads
from graphc.train.inputs import training_values
from graphc.train.recipe import Recipe
from graphc.train.state import TrainState
from graphc.train.stepper import Stepper


def make_stepper(recipe: Recipe, plan: Plan, base: Path, threads: int | None, train: Examples) -> Stepper:
    """What computes the steps, with its teacher where it has one; `train`: the training set."""
    if recipe.teacher is None:
        return Stepper(plan, recipe, threads)
    classes = Heads(plan, recipe).first.shape[-1]
    values = next(iter(training_values(train, plan, recipe.data).values()), ImageValues(black_to_white=None))
    return Stepper(plan, recipe, threads, TeacherModel(recipe.teacher, base, classes, train.classes, threads, values))


def new_state(stepper: Stepper) -> TrainState:
    """Variables as their initializers say, before the first step."""
    recipe = stepper.recipe
    drawn = initializers.initial_values(stepper.plan.variables, recipe.seed)
    params = stepper.network.place({name: value.astype(recipe.dtype, copy=False) for name, value in drawn.items()})
    frozen = stepper.learning.frozen_for_good
    learning = [name for name, spec in stepper.plan.variables.items() if spec.trainable and name not in frozen]
    return TrainState.start(params, recipe.optimizer, learning, recipe.ema is not None)
