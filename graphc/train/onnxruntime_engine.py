"""The engine of onnxruntime: a step is the recipe's training graph, run where the provider is.

The state lies on the device in two sets of buffers: a step reads one and writes the other, and `commit` exchanges them.
What fixes the bits is the version of onnxruntime, the provider and its device, and the number of threads: all of them
are in a checkpoint's settings. Order, augmentation, dropout's numbers and schedules are those of the NumPy engine, so
that a run may go on with either.
"""

from __future__ import annotations

import math
import platform
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from graphc import __version__
from graphc.data.batch import Batch
from graphc.data.batches import Batches
from graphc.emit.model import emit
from graphc.emit.training import STEP, UNIFORM, end_of
from graphc.emit.training_targets import Target
from graphc.errors import DivergedError
from graphc.execution.network import Network
from graphc.graph import LayerGraph
from graphc.parallel.communicator import shard_slices
from graphc.providers import CPU
from graphc.runtime import DeviceSession, Session, channel_block, onnxruntime_version, provider_names
from graphc.system import processors
from graphc.train.diagnosis import first_bad_value
from graphc.train.distill import TeacherModel, weights_of
from graphc.train.engine import StepResult
from graphc.train.evaluation import evaluate
from graphc.train.freezing import frozen_plan
from graphc.train.loss_term import LossTerm, TargetForm
from graphc.train.loss_terms import shares_of
from graphc.train.losses import Mean
from graphc.train.numpy_engine import NumpyEngine
from graphc.train.param_groups import ParamGroups
from graphc.train.state import TrainState
from graphc.train.step_graph import (
    LOSS,
    NEXT,
    NORM,
    PENALTY,
    RATE,
    SHARE,
    TEACHER,
    check_emittable,
    emit_step,
    forms_of,
    head_inputs,
)
from graphc.train.sums import LossSums
from graphc.train.task import Task
from graphc.types import Array

TARGETS: Mapping[str, Target] = {"cuda": "cuda", "tensorrt": "cuda", "webgpu": "webgpu"}
"""Which operators a provider has, where they are not those of the CPU."""
TF32 = ":use_tf32="
"""CUDA's option: products of float32 by their first ten bits, unless it is 0."""


@dataclass(frozen=True, slots=True)
class _Given:
    """Values of nodes, [N, …]."""

    values: Mapping[str, Array]

    def value(self, node: str) -> Array:
        return self.values[node]


def with_float32(provider: str, first: str) -> str:
    """The text of a provider; CUDA computes float32 as such where the text says nothing else."""
    if first != "cuda" or TF32 in provider:
        return provider
    name, *options = re.split(r"(?=[:,])", provider, maxsplit=1)
    return f"{name}{TF32}0{''.join(options)}"


class _Inference:
    """The network with its weights, compiled for inference, as `evaluate` runs it."""

    def __init__(self, task: Task, params: Mapping[str, Array], provider: str, threads: int | None) -> None:
        self._nodes = {f"value/{number}": node for number, node in enumerate(task.heads.nodes)}
        model = emit(task.plan, dict(params), output_layout="nhwc", outputs=self._nodes)
        self._session = Session(model.serialize(), provider, threads)

    def forward(
        self, params: Mapping[str, Array], inputs: Mapping[str, Array], training: bool, keep: Iterable[str] = ()
    ) -> _Given:
        """The values of the heads' nodes for inputs [N, …]; `params` are in the model already."""
        found = self._session.run({name: np.ascontiguousarray(array) for name, array in inputs.items()})
        return _Given({node: found[name] for name, node in self._nodes.items()})


class OnnxruntimeEngine:
    """Arithmetic of a task in onnxruntime."""

    def __init__(
        self,
        task: Task,
        threads: int | None = None,
        provider: str = "cpu",
        teacher: TeacherModel | None = None,
    ) -> None:
        self.teacher = teacher
        first = provider_names(provider)[0]
        check_emittable(task)
        self.task, self.recipe, self.plan, self.heads = task, task.recipe, task.plan, task.heads
        self.provider, self.threads = with_float32(provider, first), threads or processors()
        self._target: Target = TARGETS.get(first, "cpu")
        self._block = channel_block() if first == CPU else 0
        """Channels in a block of the provider's own layout, which is the CPU's."""
        self.learning = ParamGroups.of(task.plan.variables, task.recipe)
        self._sessions: dict[Any, DeviceSession] = {}
        """By number of examples and forms of targets."""
        self._front: dict[str, Any] = {}
        """The state on the device, by name."""
        self._back: dict[str, Any] = {}
        """As much memory again, which a step writes."""
        self._home: TrainState | None = None
        """Whose state is on the device."""
        self._ahead = False
        """Whether the device is further than the arrays at home."""

    @property
    def graph(self) -> LayerGraph:
        return frozen_plan(self.plan, self.learning.frozen).graph

    def bits(self) -> dict[str, Any]:
        """What decides the last bits of a result besides recipe and data."""
        of_engine = {"engine": "onnxruntime", "onnxruntime": onnxruntime_version(), "provider": self.provider}
        of_machine = {"machine": platform.machine(), "threads": self.threads, "block": self._block}
        return {"graphc": __version__, **of_engine, **of_machine}

    def place(self, params: Mapping[str, Array]) -> dict[str, Array]:
        return dict(params)

    def begin_epoch(self, epoch: int, epoch_steps: int) -> int:
        before = self.learning
        self.learning = ParamGroups.of(self.plan.variables, self.recipe, epoch, epoch_steps)
        if (self.learning.frozen, self.learning.began) != (before.frozen, before.began):
            self._sessions.clear()
        return len(before.frozen) - len(self.learning.frozen)

    def start(self) -> None:
        """Nothing works beside the caller between steps."""

    def close(self) -> None:
        """Let go of the device's memory; what was not collected is lost."""
        self._sessions.clear()
        self._front, self._back, self._home, self._ahead = {}, {}, None, False

    def collect(self, state: TrainState) -> None:
        if state is self._home and self._ahead:
            for name, array in state.arrays(self.recipe.optimizer).items():
                if name in self._front:
                    np.copyto(array, self._front[name].numpy())
            self._ahead = False

    def compute(self, state: TrainState, batches: Iterable[Batch], rate: float) -> StepResult:
        held = self._held(batches)
        given = list(held if self.teacher is None else map(self.teacher.with_answers, held))
        session = self._session(given)
        self._upload(session, state)
        inputs, outputs = ({port.name for port in ports} for ports in (session.inputs, session.outputs))
        states = {name.removeprefix(NEXT) for name in outputs if name.startswith(NEXT)}
        judged = [head.name for head in self._judged]
        ends, counts = self._ends(given), [self.heads.counts(batch) for batch in given]
        wanted = [LOSS, NORM, *(f"{name}{end}" for end in ends for name in (*self._losses, *judged))]
        wanted += [PENALTY] if PENALTY in outputs else []
        found = session.advance(
            {name: value for name, value in self._front.items() if name in inputs},
            self._given(session, given, shares_of(counts), state.step, rate),
            {f"{NEXT}{name}": self._back[name] for name in states},
            list(dict.fromkeys(wanted)),
        )
        return self._result(state, given, counts, found, states)

    def _held(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Batches that stay as they are until the step is done."""
        return (batch.with_own_inputs() if self.recipe.accumulate > 1 else batch for batch in batches)

    def _ends(self, batches: Sequence[Batch]) -> list[str]:
        """What the names of each batch's inputs and outputs end in."""
        return [end_of(number, self.recipe.accumulate) for number in range(len(batches))]

    def evaluate(self, params: Mapping[str, Array], batches: Batches) -> dict[str, Any]:
        """By the compiled file; with `fake_quantize`, whose rounding that leaves out, by NumPy."""
        if self.task.scales:
            with closing(NumpyEngine(self.task, self.threads)) as engine:
                return engine.evaluate(params, batches)
        network = _Inference(self.task, params, self.provider, self.threads)
        return evaluate(network, self.heads, params, batches, self.learning.penalty(params))

    @property
    def _losses(self) -> list[str]:
        """The outputs with the value of each term."""
        names = [*(head.name for head in self.heads.targets), *([] if self.heads.teacher is None else [TEACHER])]
        return [f"{LOSS}/{name}" for name in names]

    @property
    def _judged(self) -> list[LossTerm]:
        """The heads whose predictions in training metrics judge."""
        heads = [self.heads.targets[index] for index in self.heads.judged_heads]
        return [head for head in heads if head.judged_in_training]

    # a step -------------------------------------------------------------------------------------------------

    def _session(self, batches: Sequence[Batch]) -> DeviceSession:
        """The graph for batches like these."""
        forms: dict[str, TargetForm] = forms_of(batches[0].targets)
        sizes = tuple(map(len, batches))
        key = sizes, tuple(sorted(forms.items()))
        if key not in self._sessions:
            model = emit_step(self.task, self.learning, sizes, forms, self._target, block=self._block)
            self._sessions[key] = DeviceSession(model.serialize(), self.provider, self.threads)
        return self._sessions[key]

    def _upload(self, session: DeviceSession, state: TrainState) -> None:
        """Put a state on the device that is not there yet."""
        if state is self._home:
            return
        arrays = state.arrays(self.recipe.optimizer)
        names = [name for name in arrays if name.startswith(("params/", "slots/", "average/"))]
        self._front = {name: session.place(arrays[name]) for name in names}
        self._back = {name: session.place(arrays[name]) for name in names}
        self._home, self._ahead = state, False

    def _given(
        self, session: DeviceSession, batches: Sequence[Batch], shares: Array, step: int, rate: float
    ) -> dict[str, Array]:
        """What a step reads besides its state; `shares` [batches, terms]: of each term's mean."""
        given = {RATE: np.asarray(rate, np.float32), STEP: np.asarray(step, np.float32)}
        for end, batch, share in zip(self._ends(batches), batches, shares, strict=True):
            found = {**self._given_of(batch), SHARE: share.astype(np.float32)}
            given |= {f"{name}{end}": array for name, array in found.items()}
        for port in session.inputs:
            name, drawn, end = port.name.rpartition(UNIFORM)
            if drawn:
                micro_step = step * self.recipe.accumulate + int(end.removeprefix("@") or 0)
                given[port.name] = self._uniform(name, port.shape, micro_step)
        read = {port.name for port in session.inputs}
        return {name: array for name, array in given.items() if name in read}

    def _given_of(self, batch: Batch) -> dict[str, Array]:
        """Inputs, targets and weights of a batch."""
        forms, targets = forms_of(batch.targets), batch.targets
        given: dict[str, Array] = {name: np.ascontiguousarray(array) for name, array in batch.inputs.items()}
        for head in self.heads.targets:
            asked, weights = head_inputs(head, forms, self.heads.teacher is not None), None
            if asked.weight is not None:
                weights = targets[head.example_weights] if head.example_weights else weights_of(head.target_of(targets))
                given[asked.weight] = np.ascontiguousarray(weights, np.float32)
            given[asked.label] = np.ascontiguousarray(head.label_of(targets, weights), asked.dtype)
        if batch.teacher is not None:
            given[TEACHER] = np.ascontiguousarray(batch.teacher, np.float32)
        return given

    def _uniform(self, layer: str, shape: tuple[int | str, ...], step: int) -> Array:
        """The random numbers of a layer, as the shards of the NumPy engine draw them."""
        found = np.empty([int(size) for size in shape], np.float32)
        for rank, rows in enumerate(shard_slices(len(found), self.recipe.shards)):
            key = (self.recipe.seed, step, zlib.crc32(layer.encode()), rank)
            np.random.default_rng(key).random(dtype=np.float32, out=found[rows])
        return found

    def _result(
        self,
        state: TrainState,
        batches: Sequence[Batch],
        counts: Sequence[Sequence[int]],
        found: Mapping[str, Array],
        states: Iterable[str],
    ) -> StepResult:
        sums, judged = LossSums(self.heads), []
        nothing = np.empty(0, np.float32)
        for number, (end, batch, of_batch) in enumerate(zip(self._ends(batches), batches, counts, strict=True)):
            losses = [float(found[f"{name}{end}"]) for name in self._losses]
            if not all(map(math.isfinite, losses)):
                raise self._diverged(state, batch, number)
            sums.add([Mean(value, count, nothing) for value, count in zip(losses, of_batch, strict=True)])
            values = {head.node: found[f"{head.name}{end}"] for head in self._judged}
            judged.append(self.heads.judged(_Given(values), batch, training=True))
        norm = float(found[NORM])
        if not math.isfinite(norm):
            raise DivergedError("G620", f"step {state.step + 1}: the length of the gradients is not finite")
        penalty = float(found[PENALTY]) if PENALTY in found else 0.0
        return StepResult(
            loss=sums.loss() + penalty,
            penalty=penalty,
            losses=sums,
            judged=judged,
            gradient_norm=norm,
            examples=sum(map(len, batches)),
            commit=partial(self._commit, state, tuple(states)),
        )

    def _commit(self, state: TrainState, states: Iterable[str]) -> None:
        """The buffers that the step has written become the state."""
        for name in states:
            self._front[name], self._back[name] = self._back[name], self._front[name]
        self._ahead = True
        state.step += 1

    def _diverged(self, state: TrainState, batch: Batch, number: int) -> DivergedError:
        """An error with the first tensor that is not finite, which NumPy finds."""
        self.collect(state)
        frozen = self.learning.frozen
        network = Network(frozen_plan(self.plan, frozen), 1, self.recipe.seed, frozen, shards=self.recipe.shards)
        params, micro_step = self.task.as_computed(state.params), state.step * self.recipe.accumulate + number
        where = first_bad_value(network, params, batch.inputs, micro_step) or "the loss itself"
        message = f"step {state.step + 1}: the loss is not finite; the first bad tensor is {where}"
        return DivergedError("G620", message)
