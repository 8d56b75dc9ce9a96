"""From gradients to new variables: regularizers, clipping, rates, the optimizer, the moving average."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import translate

import numpy as np

from graphc.errors import SpecError, clipped, did_you_mean
from graphc.kernels.factored_gradient import FactoredGradient, scale
from graphc.kernels.moving_average import ramped
from graphc.parallel.threads import WORTH_SHARING
from graphc.patterns import too_much
from graphc.regularizers import Regularizer
from graphc.train.blocks import ParallelFor, alone, blocks, square_sum
from graphc.train.recipe import Clip, Ema, Recipe
from graphc.train.state import TrainState
from graphc.types import Array, Gradient
from graphc.variables import ParamSpec

NEVER = math.inf

EPSILON = 1e-6
"""Added to a norm before dividing by it, as PyTorch does."""


@dataclass(frozen=True, slots=True)
class ParamGroups:
    """How each variable learns."""

    recipe: Recipe
    frozen: frozenset[str]
    """Variables that stay as they are."""
    learning: tuple[str, ...]
    """Variables that the optimizer moves."""
    factors: Mapping[str, float]
    """Learning-rate factor of each variable that learns."""
    regularizers: Mapping[str, Regularizer]
    """Of each variable that has one and learns, and of frozen ones too: a penalty stays in the loss."""
    frozen_for_good: frozenset[str] = frozenset()
    """Those that no later epoch lets learn."""
    began: Mapping[str, int] = field(default_factory=dict)
    """The step before which a variable was frozen, where there is one."""

    @staticmethod
    def of(variables: Mapping[str, ParamSpec], recipe: Recipe, epoch: int = 0, epoch_steps: int = 0) -> ParamGroups:
        """The recipe's patterns, answered for these variables in the epoch after `epoch` whole ones."""
        require_matches(
            recipe,
            [
                *((each.pattern, ("freeze", number, "pattern")) for number, each in enumerate(recipe.freeze)),
                *((pattern, ("multipliers", pattern)) for pattern in recipe.multipliers),
            ],
            variables,
        )
        ends = [(chosen_by([each.pattern]), each.until_epoch or NEVER) for each in recipe.freeze]
        factors = [(chosen_by([pattern]), factor) for pattern, factor in recipe.multipliers.items()]
        until = {
            name: max((end for fits, end in ends if fits(name)), default=0)
            for name, spec in variables.items()
            if not spec.measured
        }
        frozen = frozenset(name for name, end in until.items() if end > epoch)
        learning = tuple(name for name, spec in variables.items() if spec.trainable and name not in frozen)
        if not learning:
            with recipe.placing(("freeze",) if recipe.freeze else ("model",)):
                raise SpecError("G608", "nothing is left to learn: every variable is frozen")
        return ParamGroups(
            recipe,
            frozen,
            learning,
            {name: next((factor for fits, factor in factors if fits(name)), 1.0) for name in learning},
            {name: spec.regularizer for name, spec in variables.items() if spec.regularizer is not None},
            frozenset(name for name, end in until.items() if end == NEVER),
            {name: int(until[name]) * epoch_steps for name in learning if until[name]},
        )

    def penalty(self, params: Mapping[str, Array]) -> float:
        """The regularizers' share of the loss; variables by full name, each in its own shape."""
        return sum(penalty(params[name], regularizer) for name, regularizer in self.regularizers.items())

    @property
    def factorable(self) -> frozenset[str]:
        """Variables of whose gradients nobody needs the whole at once."""
        whole = self.recipe.accumulate > 1 or not self.recipe.optimizer.elementwise
        return frozenset() if whole else frozenset(self.learning) - self.regularizers.keys()

    def add_penalty_gradients(self, params: Mapping[str, Array], gradients: Mapping[str, Gradient]) -> None:
        """`add_penalty_gradient` of every variable that has a regularizer, each in its own shape: gradients are written
        into."""
        for name, gradient in gradients.items():
            if name in self.regularizers:
                assert not isinstance(gradient, FactoredGradient)
                add_penalty_gradient(gradient, params[name], self.regularizers[name])

    def apply(
        self, state: TrainState, gradients: Mapping[str, Gradient], rate: float, parallel_for: ParallelFor = alone
    ) -> None:
        """One step of the optimizer for every variable that learns, in place; gradients are used up."""
        optimizer = self.recipe.optimizer
        for name in self.learning:
            if name in gradients:
                own, step = rate * self.factors[name], state.step + 1 - self.began.get(name, 0)
                large = gradients[name].size >= WORTH_SHARING
                on_blocks = parallel_for if large else alone
                optimizer.update(state.params[name], gradients[name], state.slots[name], own, step, on_blocks)


def penalty(variable: Array, regularizer: Regularizer) -> float:
    """l1 * sum(|w|) + l2 * sum(w²)/2, of any shape."""
    total = regularizer.l2 * square_sum(variable) / 2 if regularizer.l2 else 0.0
    if regularizer.l1:
        total += regularizer.l1 * float(np.abs(variable).sum(dtype=np.float64))
    return total


def add_penalty_gradient(gradient: Array, variable: Array, regularizer: Regularizer) -> None:
    """gradient += l1*sign(w) + l2*w, both of any shape, a cacheful at a time."""
    g, w = gradient.reshape(-1), variable.reshape(-1)
    for part in blocks(w.size):
        if regularizer.l2:
            g[part] += regularizer.l2 * w[part]
        if regularizer.l1:
            g[part] += regularizer.l1 * np.sign(w[part])


def clip(gradients: Mapping[str, Gradient], norms: Mapping[str, float], limits: Clip) -> None:
    """Shorten gradients whose length is above the limits, in place: each variable's first, then all together."""
    norms = dict(norms)
    if limits.variable_norm is not None:
        for name, gradient in gradients.items():
            norms[name] = _shorten([gradient], norms[name], limits.variable_norm)
    if limits.global_norm is not None:
        _shorten(gradients.values(), length(norms), limits.global_norm)


def length(norms: Mapping[str, float]) -> float:
    """Of all gradients together."""
    return math.sqrt(sum(norm * norm for norm in norms.values()))


def _shorten(gradients: Iterable[Gradient], norm: float, longest: float) -> float:
    factor = longest / (norm + EPSILON)
    if factor >= 1:
        return norm
    for gradient in gradients:
        scale(gradient, factor)
    return norm * factor


def move_average(average: Mapping[str, Array], params: Mapping[str, Array], settings: Ema, step: int) -> None:
    """average = decay*average + (1 - decay)*params, in place, each in its own shape; `step` counts from 0."""
    decay = ramped(settings.decay, step) if settings.ramp else settings.decay
    for name, mean in average.items():
        m, w = mean.reshape(-1), params[name].reshape(-1)
        for part in blocks(m.size):
            m[part] += (1 - decay) * (w[part] - m[part])


def chosen_by(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Whether a name fits one of the patterns; `*` stands for anything, `/` too."""
    fits = [re.compile(translate(pattern)).match for pattern in patterns]
    return lambda name: any(each(name) for each in fits)


def require_matches(
    recipe: Recipe, patterns: Sequence[tuple[str, tuple[int | str, ...]]], names: Collection[str]
) -> None:
    """A pattern that fits no variable is a mistake, and an error; each comes with the keys at which the recipe has
    it."""
    if said := too_much([pattern for pattern, _ in patterns], names):
        with recipe.placing(patterns[0][1][:-1]):
            raise SpecError("G609", said)
    for pattern, keys in patterns:
        if not any(map(chosen_by([pattern]), names)):
            hint = did_you_mean(pattern, names) or f"; there is {next(iter(names))}, for one" if names else ""
            with recipe.placing(keys, of_key=keys[0] == "multipliers"):
                raise SpecError("G609", f"the pattern {clipped(pattern)} fits no variable{hint}")
