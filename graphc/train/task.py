"""A recipe on its network: what is trained, evaluated and used, with everything that both say together said once.

recipe ─task_of→ Task ─fitted(train)→ Task ─→ batches, stepper, signature …
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from graphc.compiler import plan_model
from graphc.errors import Place, SpecError
from graphc.graph import Plan
from graphc.spec.model import ModelSpec, read_spec
from graphc.spec.variables import setting_path
from graphc.spec.zoo import is_of_zoo
from graphc.train.fake_quantization import Scales, fake_quantized, rounded
from graphc.train.fitted import Preprocessing
from graphc.train.loss_terms import LossTerms
from graphc.train.recipe import Model, Recipe
from graphc.types import Array


@dataclass(frozen=True, slots=True)
class Task:
    """A recipe, the network that it names, and its losses and metrics on this."""

    recipe: Recipe
    spec: ModelSpec
    plan: Plan
    heads: LossTerms
    preprocessing: Preprocessing
    """Of each input; in a run with what was learned from its training set."""
    scales: Scales = field(default_factory=dict)
    """Of the variables that `fake_quantize` rounds."""

    @staticmethod
    def of(recipe: Recipe, spec: ModelSpec, preprocessing: Preprocessing | None = None) -> Task:
        """The spec planned, up to where the recipe says; nothing is learned yet where no `preprocessing` is given."""
        plan = plan_model(spec, until=recipe.model.until)
        scales: Scales = {}
        if recipe.fake_quantize is not None:
            with recipe.placing(("fake_quantize",)):
                plan, scales = fake_quantized(plan, recipe.fake_quantize)
        heads = LossTerms(plan, recipe)
        return Task(recipe, spec, plan, heads, preprocessing or Preprocessing.said(recipe.data), scales)

    def as_computed(self, params: Mapping[str, Array]) -> Mapping[str, Array]:
        """Variables by full name, each in its own shape, as the network computes with them: rounded with
        `fake_quantize`."""
        return rounded(params, self.scales) if self.scales else params


def task_of(recipe: Recipe, base: Path, preprocessing: Preprocessing | None = None) -> Task:
    """The task of a recipe whose spec's path starts at `base`; all files of the spec are read once."""
    return Task.of(recipe, spec_of(recipe, base), preprocessing)


def spec_of(recipe: Recipe, base: Path) -> ModelSpec:
    """A recipe's spec, read."""
    with placing_variables(recipe):
        return read_spec(spec_path(recipe.model, base), recipe.model.set)


@contextmanager
def placing_variables(recipe: Recipe) -> Iterator[None]:
    """An error about a variable of the spec that the recipe sets gets the place where it is set."""
    try:
        yield
    except SpecError as error:
        path = error.place.path if error.place else ""
        if name := next((each for each in recipe.model.set if path == setting_path(each)), None):
            error.place = recipe.place_of(("model", "set", name)) or Place(f"model.set.{name}")
        raise


def spec_path(model: Model, base: Path) -> Path | str:
    """Where a recipe's spec is: the file beside the recipe, or the one of this name in the zoo."""
    beside = base / model.spec
    is_path = ("/" in model.spec or "." in model.spec) and not is_of_zoo(model.spec)
    return beside if is_path or beside.is_file() else model.spec
