"""A loss on the network: what it reads, what that is compared with, and where its gradient goes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

from graphc.data.examples import Examples
from graphc.data.target_kind import TargetKind
from graphc.data.wanted import Want
from graphc.lazy import np
from graphc.train.losses import Loss, Mean
from graphc.train.losses.base import where_weighed
from graphc.train.metrics import Head
from graphc.train.target_checks import check_target
from graphc.training_graph.tensor import Tensor, between_layers, channels_last
from graphc.types import Array


@dataclass(frozen=True, slots=True)
class TargetForm:
    """What arrays a target has."""

    shape: tuple[int, ...]
    """Of one example."""
    whole: bool
    """Whether its numbers are integers."""


class Values(Protocol):
    """What a network's nodes gave, whoever ran it."""

    def value(self, node: str) -> Array:
        """The value [N, ...] of a node that a loss is on."""


@dataclass(frozen=True, slots=True)
class LossTerm:
    """A loss on one node."""

    name: str
    """As the recipe calls the output; of several on one output the later ones have a number."""
    node: str
    shape: tuple[int, ...]
    """Of one prediction."""
    loss: Loss
    target: str
    weight: float = 1.0
    example_weights: str | None = None

    judged_in_training: ClassVar[bool] = True
    """Whether training's forward passes give what metrics judge."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Nodes whose values the loss reads."""
        return (self.node,)

    @property
    def reads(self) -> tuple[str, ...]:
        """Targets that the loss and its metrics read."""
        return (self.target,)

    @property
    def class_target(self) -> str:
        """The target that counts the classes which this head tells apart."""
        return self.target

    @property
    def form(self) -> Head:
        """What metrics know of it."""
        return Head(self.shape, self.loss)

    def wants(self) -> Iterator[tuple[str, Want]]:
        """(target, what the loss wants of it)."""
        yield self.target, Want(self.loss.target_kinds, self.shape, getattr(self.loss, "ignore", None), self.loss.codes)

    def prediction(self, run: Values) -> Array:
        """What the loss reads, [N, …]."""
        return run.value(self.node)

    def nothing(self, examples: int, dtype: str) -> Array:
        """A prediction [N, …] of zeros, for so many examples."""
        return np.zeros((examples, *self.shape), dtype)

    def target_of(self, targets: Mapping[str, Array]) -> Array:
        """What it is compared with, [N, …]."""
        return targets[self.target]

    def mean(self, prediction: Array, target: Array, weights: Array | None) -> Mean:
        """The loss over a batch: `weights` [N, …]."""
        return self.loss.mean(prediction, where_weighed(target, weights), weights)

    def gradients(self, gradient: Array) -> dict[str, Array]:
        """The gradient of the prediction, [N, …], by node."""
        return {self.node: gradient}

    def count(self, target: Array, weights: Array | None, dtype: str) -> int:
        """How many values `mean` is a mean of, whatever is predicted: of a target [N, …] with weights [N, …]."""
        return self.mean(self.nothing(len(target), dtype), target, weights).count

    def label_form(self, forms: Mapping[str, TargetForm]) -> TargetForm:
        """Of what a training graph reads in place of its targets, from the forms of all targets."""
        return forms[self.target]

    def label_of(self, targets: Mapping[str, Array], weights: Array | None) -> Array:
        """What a training graph reads in place of its targets, [N, …]."""
        return where_weighed(self.target_of(targets), weights)

    def emit_prediction(self, values: Mapping[str, Tensor]) -> Tensor:
        """`prediction` in nodes, of values by node as they lie."""
        return channels_last(values[self.node])

    def emit(self, prediction: Tensor, label: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
        """`mean` in nodes: the value, and the gradient of the prediction [N, …]."""
        return self.loss.emit(prediction, label, weights)

    def emit_gradients(self, gradient: Tensor, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`gradients` in nodes, each as its value lies."""
        return {self.node: between_layers(gradient)}

    def kind_of_target(self, target: Array, examples: Examples, binary: bool, size: tuple[int, ...]) -> TargetKind:
        """What a data set's targets [N, …] are to this head, or an error: see `check_target`."""
        return check_target(self.loss, self.shape, self.name, target, examples, binary, size)
