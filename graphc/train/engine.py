"""What a trainer asks of the arithmetic: losses and gradients of a step, new variables, evaluation.

    Trainer ─ Engine: NumpyEngine ─ Network (forward and backward), LossTerms (losses), ParamGroups (optimizer)

An engine may keep variables where it likes between steps; what a checkpoint holds is the `TrainState`, the same for
every engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from graphc.data.batch import Batch
from graphc.data.batches import Batches
from graphc.graph import LayerGraph
from graphc.train.param_groups import ParamGroups
from graphc.train.state import TrainState
from graphc.train.sums import LossSums
from graphc.train.task import Task
from graphc.types import Array


@dataclass(kw_only=True)
class StepResult:
    """What a step found out; nothing is changed before `commit`, so that a step that takes too long can be given up."""

    loss: float
    """Of the heads, weighted, and of the regularizers."""
    penalty: float
    """Of the regularizers alone."""
    losses: LossSums
    """Of the losses over the step's batches."""
    judged: list[dict[int, tuple[Array, Array]]]
    """(prediction, target) of each head that metrics judge, for each batch."""
    gradient_norm: float
    """Length of all gradients together, before clipping."""
    examples: int
    commit: Callable[[], None]
    """Make the step the state's: variables, slots, moving averages, one step more."""


class Engine(Protocol):
    """Arithmetic of a task."""

    task: Task
    learning: ParamGroups
    """Which variables learn in this epoch, and how."""

    @property
    def graph(self) -> LayerGraph:
        """The network as it is trained in this epoch: normalization whose statistics are frozen says so."""

    def place(self, params: Mapping[str, Array]) -> dict[str, Array]:
        """The variables, of any shapes by full name, where the engine has them at hand: the state's own from now on."""

    def bits(self) -> dict[str, Any]:
        """What decides the last bits of a result besides recipe and data: the same, the same bytes."""

    def collect(self, state: TrainState) -> None:
        """Bring the state up to date, its arrays of any shape in place: an engine may have it elsewhere between
        steps."""

    def begin_epoch(self, epoch: int, epoch_steps: int) -> int:
        """Let learn what is frozen in the first `epoch` epochs only; how many variables more that are."""

    def start(self) -> None:
        """Begin whatever works beside the caller; no other thread may be at work."""

    def compute(self, state: TrainState, batches: Iterable[Batch], rate: float) -> StepResult:
        """One step over all its batches, at this learning rate. A DivergedError where a loss or a gradient is not
        finite; the state stays as it is."""

    def evaluate(self, params: Mapping[str, Array], batches: Batches) -> dict[str, Any]:
        """Loss and metrics over a data set, by name, with these variables, each in its own shape."""

    def close(self) -> None:
        """End what `start` began."""
