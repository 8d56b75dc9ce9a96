"""`graphc compile --training`: a recipe's training step as an ONNX file, and the state that it begins with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from graphc.data.batches import Batches
from graphc.data.examples import MEMORY_LIMIT
from graphc.emit.model import OnnxModel, write_model
from graphc.emit.training_targets import Target
from graphc.errors import SpecError
from graphc.files import atomic_write
from graphc.train.batch_memory import check_batch_memory
from graphc.train.batching import augmenting, make_batches
from graphc.train.datasets import Sets, read_sets
from graphc.train.engine import Engine
from graphc.train.fitting import fitted
from graphc.train.loss_term import TargetForm
from graphc.train.recipe import read_recipe
from graphc.train.setup import make_engine, new_state
from graphc.train.state import TrainState
from graphc.train.step_graph import check_emittable, emit_step, forms_of
from graphc.train.task import Task, task_of
from graphc.train.trained import Options
from graphc.train.warm_start import warm_start
from graphc.types import Array
from graphc.weights.safetensors_file import write_safetensors

MOST_PASSES = 256
"""Batches and steps of a file: each has all nodes of the network, and of its gradients."""
SUFFIXES = (".onnx", ".train")
"""What a model's name loses, in order, before its state is named after it."""


@dataclass(frozen=True, slots=True)
class StepFiles:
    """What was written."""

    nodes: int
    arrays: int
    """Of the state."""
    state: Path
    said: tuple[str, ...]
    """What reading the data and the first weights said."""


def state_path(model: Path | str) -> Path:
    """Where the state of a model's first step goes: net.state.safetensors of net.train.onnx."""
    path = Path(model)
    name = path.name
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return path.with_name(f"{name}.state.safetensors")


@dataclass(frozen=True, slots=True)
class FirstStep:
    """A recipe before its first step: all that a file of its step is made of."""

    task: Task
    engine: Engine
    state: TrainState
    sets: Sets
    batches: Batches
    """Of the training set."""
    said: tuple[str, ...]
    """What reading the data and the first weights said."""

    @property
    def forms(self) -> dict[str, TargetForm]:
        """Of the targets."""
        return forms_of(self.batches.make(np.arange(min(2, self.batches.size, len(self.sets.train))), 0).targets)

    def emit(self, batch: int, target: Target, unroll: int = 1) -> OnnxModel:
        """The step over so many examples, or over several batches of so many; `unroll`: steps in a row."""
        recipe = self.task.recipe
        if recipe.accumulate * unroll > MOST_PASSES:
            with recipe.placing(("accumulate",)):
                found = recipe.accumulate * unroll
                raise SpecError("G370", f"accumulate: a file has at most {MOST_PASSES} passes, found {found:,}")
        if unroll > 1 and recipe.accumulate > 1:
            with recipe.placing(("accumulate",)):
                raise SpecError("G370", "accumulate: a file has several batches a step, or several steps, not both")
        return emit_step(self.task, self.engine.learning, [batch] * recipe.accumulate, self.forms, target, unroll)

    def arrays(self, model: OnnxModel) -> dict[str, Array]:
        """The state that the model reads, each array in its own shape."""
        read = {each.name for each in model.body.graph.input}
        arrays = self.state.arrays(self.task.recipe.optimizer)
        return {name: array for name, array in arrays.items() if name in read}


def first_step(recipe_path: Path | str, overrides: Sequence[str] = (), max_memory: int = MEMORY_LIMIT) -> FirstStep:
    """A recipe with its data and its first state. A SpecError where its step is none that a file can hold."""
    recipe, base = read_recipe(recipe_path, overrides), Path(recipe_path).parent
    for number, each in enumerate(recipe.freeze):
        if each.until_epoch is not None:
            with recipe.placing(("freeze", number)):
                message = f"freeze: {each.pattern} learns after epoch {each.until_epoch}, and a file has one step"
                raise SpecError("G370", f"{message}: freeze it for good, or train with --engine onnxruntime")
    task = task_of(recipe, base)
    check_emittable(task)
    sets = read_sets(task, base, max_memory)
    check_batch_memory(task, sets.train, max_memory, training=True)
    task = fitted(task, sets.train)
    task.heads.check(sets.train)
    batches = make_batches(task, sets.train, augmenting(task, sets.train), training=True)
    engine = make_engine(task, base, Options(threads=1), sets.train)
    state = new_state(engine)
    said = sets.said()
    if task.recipe.init_from is not None:
        said.append(str(warm_start(state.params, task.recipe, base, task.plan)))
    return FirstStep(task, engine, state, sets, batches, tuple(said))


def compile_training(
    recipe_path: Path | str,
    output: Path | str,
    overrides: Sequence[str] = (),
    *,
    batch: int | None = None,
    target: Target = "cpu",
    unroll: int = 1,
    max_memory: int = MEMORY_LIMIT,
) -> StepFiles:
    """Write a recipe's step over `batch` examples (default: the recipe's), or `unroll` steps in a row, and its first
    state, beside it.

    The recipe's data are read: what targets are, balanced class weights and learned preprocessing hang on them. The
    state is written first, so that a model that is there has one.
    """
    first = first_step(recipe_path, overrides, max_memory)
    model = first.emit(batch or first.task.recipe.batch, target, unroll)
    arrays, path = first.arrays(model), state_path(output)
    atomic_write(path, lambda file: write_safetensors(file, arrays, {"graphc.layout": "HWIO"}))
    write_model(model, output)
    return StepFiles(len(model.body.graph.node), len(arrays), path, first.said)
