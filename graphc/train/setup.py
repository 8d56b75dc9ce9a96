"""What computes the steps of a recipe, and the state that it starts with."""

from __future__ import annotations

from pathlib import Path

from graphc import initializers
from graphc.data.examples import IMAGES, Examples
from graphc.data.value_range import ImageValues
from graphc.errors import SpecError
from graphc.train.distill import TeacherModel
from graphc.train.engine import Engine
from graphc.train.inputs import training_values
from graphc.train.numpy_engine import NumpyEngine
from graphc.train.onnxruntime_engine import OnnxruntimeEngine
from graphc.train.state import TrainState
from graphc.train.task import Task
from graphc.train.trained import Options


def make_engine(task: Task, base: Path, options: Options, train: Examples) -> Engine:
    """What computes the steps, with its teacher where it has one; `train`: the training set."""
    threads, model = options.threads, _teacher(task, base, options, train)
    if options.engine == "onnxruntime":
        if options.world.size > 1:
            raise SpecError("G370", "mpiexec goes with --engine numpy: onnxruntime's works in one process")
        return OnnxruntimeEngine(task, threads, options.provider or "cpu", model)
    return NumpyEngine(task, threads, model, options.world)


def _teacher(task: Task, base: Path, options: Options, train: Examples) -> TeacherModel | None:
    """What the recipe learns from besides labels, if there is such."""
    if task.recipe.teacher is None:
        return None
    classes = task.heads.first.shape[-1]
    known = training_values(train, task.plan, task.recipe.data)
    values = next(iter(known.values()), ImageValues(black_to_white=None))
    said = task.recipe.teacher.preprocess
    with task.recipe.placing(("teacher", "preprocess")):
        for array in (each for each in train.inputs.values() if said is not None and each.ndim == IMAGES):
            said.output_shape(array.shape[1:])  # type: ignore[union-attr]
    return TeacherModel(task.recipe.teacher, base, classes, train.classes, options.threads, values)


def new_state(engine: Engine) -> TrainState:
    """Variables as their initializers say, before the first step."""
    recipe, variables = engine.task.recipe, engine.task.plan.variables
    drawn = initializers.initial_values(variables, recipe.seed)
    params = engine.place({name: value.astype(recipe.dtype, copy=False) for name, value in drawn.items()})
    frozen = engine.learning.frozen_for_good
    learning = [name for name, spec in variables.items() if spec.trainable and name not in frozen]
    return TrainState.start(params, recipe.optimizer, learning, recipe.ema is not None)
