"""One step of training: forward, losses, backward, update. No files, no clock, no progress: arithmetic alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from graphc.data.batch import Batch
from graphc.data.batches import Batches
from graphc.errors import DivergedError
from graphc.execution.network import ForwardResult, Network
from graphc.graph import LayerGraph
from graphc.kernels.factored_gradient import FactoredGradient, scale
from graphc.parallel.blas import single_threaded_blas
from graphc.parallel.world import LOCAL_WORLD, World
from graphc.train.blocks import square_sum
from graphc.train.diagnosis import first_bad_array, first_bad_value
from graphc.train.distill import TeacherModel
from graphc.train.engine import StepResult
from graphc.train.evaluation import evaluate
from graphc.train.freezing import frozen_plan
from graphc.train.loss_terms import LossResult, shares_of
from graphc.train.param_groups import ParamGroups, clip, length, move_average
from graphc.train.reproducibility import bit_settings
from graphc.train.state import TrainState
from graphc.train.sums import LossSums
from graphc.train.task import Task
from graphc.types import Array, Gradient


@dataclass
class _Sums:
    """What the batches of a step have added up to so far."""

    losses: LossSums
    gradients: dict[str, Gradient] = field(default_factory=dict)
    updates: dict[str, Array] = field(default_factory=dict)
    """New moving averages of batch norm."""
    judged: list[dict[int, tuple[Array, Array]]] = field(default_factory=list)
    count: int = 0
    """What summed gradients are divided by."""
    examples: int = 0


@dataclass(kw_only=True)
class NumpyStep(StepResult):
    """A step whose gradients are there: means over all its batches, clipped."""

    gradients: dict[str, Gradient]


class NumpyEngine:
    """The engine of NumPy, with threads and processes for the shards of a batch."""

    def __init__(
        self,
        task: Task,
        threads: int | None = None,
        teacher: TeacherModel | None = None,
        world: World = LOCAL_WORLD,
    ) -> None:
        recipe, plan = task.recipe, task.plan
        self.task, self.recipe, self.plan, self.heads = task, recipe, plan, task.heads
        self.teacher = teacher
        self.learning = ParamGroups.of(plan.variables, recipe)
        frozen = self.learning.frozen
        self.network = Network(
            frozen_plan(plan, frozen),
            threads,
            recipe.seed,
            frozen,
            shards=recipe.shards,
            processes=True,
            factored=self.learning.factorable,
            world=world,
        )
        self._sums: dict[str, Array] = {}

    def begin_epoch(self, epoch: int, epoch_steps: int) -> int:
        """Let learn what is frozen in the first `epoch` epochs only; how many variables more that are."""
        before = self.learning
        self.learning = ParamGroups.of(self.plan.variables, self.recipe, epoch, epoch_steps)
        frozen = self.learning.frozen
        if frozen != before.frozen:
            self.network.freeze(frozen_plan(self.plan, frozen), frozen, self.learning.factorable)
        return len(before.frozen) - len(frozen)

    @property
    def graph(self) -> LayerGraph:
        return self.network.graph

    def bits(self) -> dict[str, Any]:
        return bit_settings()

    def collect(self, state: TrainState) -> None:
        """The state is always at home."""

    def place(self, params: Mapping[str, Array]) -> dict[str, Array]:
        return self.network.place(params)

    def start(self) -> None:
        self.network.start()

    def close(self) -> None:
        self.network.close()

    def evaluate(self, params: Mapping[str, Array], batches: Batches) -> dict[str, Any]:
        penalty = self.learning.penalty(params)
        return evaluate(self.network, self.heads, self.task.as_computed(params), batches, penalty)

    def compute(self, state: TrainState, batches: Iterable[Batch], rate: float) -> NumpyStep:
        done = _Sums(LossSums(self.heads))
        used = self.task.as_computed(state.params)
        for number, (batch, shares) in enumerate(self._with_shares(batches)):
            micro_step = state.step * self.recipe.accumulate + number
            run = self.network.forward(used, batch.inputs, True, micro_step, keep=self.heads.nodes)
            judgement = self.heads.judge(run, batch, shares)
            if not all(math.isfinite(term.value) for term in judgement.terms):
                raise self._diverged(used, batch, micro_step, state.step)
            self._add(done, run, judgement, batch, 1 if shares is not None else judgement.terms[0].count)
            used = {**used, **done.updates}
        return self._finished(done, state, rate)

    @property
    def _holds_batches(self) -> bool:
        """Whether a step needs all its batches before the first goes back."""
        return self.recipe.accumulate > 1 and len(self.heads.factors) > 1

    def _with_shares(self, batches: Iterable[Batch]) -> Iterator[tuple[Batch, list[float] | None]]:
        """Each batch with its part of every term's mean over the step.

        The mean of all rows is sum(count * mean) / sum(count). Of one term that can be divided in the end. Several
        terms may have different counts in each batch (ignored labels, weights of 0), so their counts must be known
        before the first batch goes back: then the step's batches are held in memory together.
        """
        answered = batches if self.teacher is None else map(self.teacher.with_answers, batches)
        if not self._holds_batches:
            yield from ((batch, None) for batch in answered)
            return
        held = [batch.with_own_inputs() for batch in answered]
        shares = shares_of([self.heads.counts(batch) for batch in held])
        yield from zip(held, shares.tolist(), strict=True)

    def _update(
        self, state: TrainState, gradients: Mapping[str, Gradient], updates: Mapping[str, Array], rate: float
    ) -> None:
        """Variables, slots, moving averages, in place; one step more."""
        with single_threaded_blas:  # factors become gradients here
            self.learning.apply(state, gradients, rate, self.network.parallel_for)
        for name, value in updates.items():
            np.copyto(state.params[name], value)
        if self.recipe.ema is not None:
            move_average(state.average, state.params, self.recipe.ema, state.step)
        state.step += 1

    def _add(self, done: _Sums, run: ForwardResult, judgement: LossResult, batch: Batch, count: int) -> None:
        """One batch more: `count` times its gradients, divided in the end by the sum of all counts."""
        done.judged.append(self.heads.judged(run, batch, training=True))
        done.losses.add(judgement.terms)
        done.examples += len(batch)
        done.count += count
        found = run.backward(judgement.gradients)
        frozen = self.learning.frozen
        done.updates |= {name: np.array(value) for name, value in run.updates.items() if name not in frozen}
        if self.recipe.accumulate == 1:
            done.gradients = {
                name: gradient if isinstance(gradient, FactoredGradient) else np.ascontiguousarray(gradient)
                for name, gradient in found.items()
            }
            return
        for name, gradient in found.items():
            if name in done.gradients:
                self._sums[name] += np.multiply(gradient, count)
            else:
                total = self._sums.setdefault(name, np.empty(gradient.shape, gradient.dtype))
                done.gradients[name] = np.multiply(gradient, count, out=total)

    def _finished(self, done: _Sums, state: TrainState, rate: float) -> NumpyStep:
        """Sums become means; regularizers come in; lengths are checked and clipped."""
        if self.recipe.accumulate > 1 and not self._holds_batches:
            for gradient in done.gradients.values():
                scale(gradient, 1.0 / max(done.count, 1))
        self.learning.add_penalty_gradients(state.params, done.gradients)
        with single_threaded_blas:
            norms = {name: _norm(gradient) for name, gradient in done.gradients.items()}
        gradient_norm = length(norms)
        if not math.isfinite(gradient_norm):
            name = first_bad_array(done.gradients)
            raise DivergedError("G620", f"step {state.step + 1}: the gradient of {name} is not finite")
        clip(done.gradients, norms, self.recipe.clip)
        penalty = self.learning.penalty(state.params)
        return NumpyStep(
            loss=done.losses.loss() + penalty,
            penalty=penalty,
            losses=done.losses,
            judged=done.judged,
            gradient_norm=gradient_norm,
            examples=done.examples,
            gradients=done.gradients,
            commit=partial(self._update, state, done.gradients, done.updates, rate),
        )

    def _diverged(self, params: Mapping[str, Array], batch: Batch, micro_step: int, step: int) -> DivergedError:
        where = first_bad_value(self.network, params, batch.inputs, micro_step) or "the loss itself"
        return DivergedError("G620", f"step {step + 1}: the loss is not finite; the first bad tensor is {where}")


def _norm(gradient: Gradient) -> float:
    """The length of a gradient. Where it is no number of the gradient's type, squares have overflowed, or one of the
    numbers has though its factors are finite: then it is taken in float64."""
    norm = math.sqrt(square_sum(gradient))
    if not norm <= np.finfo(gradient.dtype).max:
        norm = math.sqrt(square_sum(np.asarray(gradient, np.float64)))
    return norm
