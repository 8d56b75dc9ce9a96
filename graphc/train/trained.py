"""A run read back: its recipe, its plan and its weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from graphc import weights
from graphc.data.examples import MEMORY_LIMIT
from graphc.errors import DivergedError, Place, WeightsError, clipped, counted
from graphc.files import shown
from graphc.graph import Plan
from graphc.parallel.world import LOCAL_WORLD, World
from graphc.spec.model import read_spec
from graphc.train.fitted import check_shapes, read_fitted
from graphc.train.image_values import from_facts
from graphc.train.recipe import Model, read_recipe
from graphc.train.run_folder import RunFolder
from graphc.train.task import Task, placing_variables
from graphc.types import Array

_PROVIDER = r"[a-z]{1,20}(:([a-z0-9_]{1,60}=[0-9]{1,20}|device_type=[A-Z0-9.]{1,20}))*"
PLAIN_PROVIDERS = re.compile(f"{_PROVIDER}(,{_PROVIDER})*")
"""What is taken from a checkpoint without being asked for: options that are paths have libraries loaded, and files
written."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says besides the recipe."""

    threads: int | None = None
    """None: as many as there are processors. The results do not depend on it."""
    max_memory: int = MEMORY_LIMIT
    """Bytes that a data set may take."""
    exact: bool = False
    """Refuse to resume where the result could differ in its last bits."""
    worker_timeout: float = 120.0
    """Seconds after which a worker process that is there but gives no answer is given up."""
    accept_changes: bool = False
    """Resume although recipe, spec, data or version are not those that the run began with."""
    world: World = LOCAL_WORLD
    """The processes that run the command together, where MPI has started it."""
    engine: str | None = None
    """numpy or onnxruntime; None: numpy, or what a run that is resumed went with."""
    provider: str | None = None
    """Of onnxruntime, as `graphc.providers` reads it; None: cpu, or what a run that is resumed went with."""

    def going_on(self, settings: Mapping[str, Any]) -> Options:
        """With engine and provider of a checkpoint's settings, where neither is asked for."""
        if self.engine is not None or settings.get("engine") != "onnxruntime":
            return self
        provider = self.provider or settings.get("provider", "cpu")
        if self.provider is None and not (isinstance(provider, str) and PLAIN_PROVIDERS.fullmatch(provider)):
            expected = "expected the names of providers, with numbers as options, in the checkpoint's settings"
            raise WeightsError("G320", f"{expected}, found {clipped(provider)}: --provider says which")
        return replace(self, engine="onnxruntime", provider=provider)


DEFAULT = Options()


def task_of_run(folder: RunFolder, facts: Mapping[str, Any]) -> tuple[Task, Path]:
    """(what a run trains, the folder that its data's paths start at)."""
    recipe = read_recipe(folder.recipe)
    with placing_variables(recipe):
        spec = read_spec(folder.spec.resolve() / facts["spec"], recipe.model.set)
    task = Task.of(recipe, spec, read_fitted(recipe, folder.preprocess))
    check_shapes(task.preprocessing, task.plan)
    from_facts(facts, task.plan)  # an error now, not behind the training
    return task, Path(facts["base"])


def model_of_run(run: Path | str) -> tuple[Path, Model]:
    """(the file of the spec that a run has kept, what its recipe says of it)."""
    folder = RunFolder(run)
    facts = folder.read_facts()
    return folder.spec.resolve() / facts["spec"], read_recipe(folder.recipe).model


def load_weights(plan: Plan, path: Path | str, dtype: str, load: weights.LoadOptions | None = None) -> dict[str, Array]:
    """Every variable of the plan in its own shape, from a file."""
    found, report = weights.load_variables(path, plan, load or weights.LoadOptions())
    report.raise_if_incomplete()
    return {name: value.astype(dtype, copy=False) for name, value in found.items()}


def load_best(plan: Plan, folder: RunFolder, dtype: str) -> dict[str, Array]:
    """Every variable in its own shape from a run's best weights, of which nothing is left out."""
    found, report = weights.load_variables(folder.best, plan, weights.LoadOptions())
    report.raise_if_incomplete()
    if others := (*report.unused, *report.dropped):
        message = f"expected the network's variables alone, found {counted(len(others), 'other array')}"
        raise WeightsError("G306", message, Place(shown(folder.best)), [others[0]])
    return {name: value.astype(dtype, copy=False) for name, value in found.items()}


def check_answers(values: Mapping[str, Array]) -> None:
    """A DivergedError where what a network says, arrays [...] by what they are, is not finite."""
    for what, array in values.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise DivergedError("G620", f"{what} is not finite: numbers of the weights are too large")
