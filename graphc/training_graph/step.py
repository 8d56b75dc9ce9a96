"""One application of a layer in a training graph: its output, and what emits the way back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from graphc.training_graph.tensor import Tensor
from graphc.types import Array

if TYPE_CHECKING:
    from graphc.layers.base import Layer


@dataclass(frozen=True, slots=True)
class EmittedGradients:
    """What a layer's backward gives, as `graphc.types.Gradients`; what nobody reads is left out of the file."""

    inputs: tuple[Tensor | None, ...]
    """One an input, as the input lies; None: no gradient goes that way."""
    params: Mapping[str, Tensor] = field(default_factory=dict)
    """Of variables by local name, each in its variable's own shape."""


@dataclass(frozen=True, slots=True)
class EmittedStep:
    """One application of a layer, and the way back."""

    output: Tensor
    backward: Callable[[Tensor], EmittedGradients]
    """From the gradient of the output, which lies as the output does."""
    updates: Mapping[str, Tensor] = field(default_factory=dict)
    """New values of variables that back-propagation does not train, by local name."""


class TrainingBuilder(Protocol):
    """What a layer may ask while a training graph is emitted."""

    batch: int
    """Examples in a step."""
    training: bool
    """Whether layers do what they do in training alone."""

    @property
    def steps_done(self) -> Tensor:
        """Steps before this one: one number."""

    def emitted(self, layer: Layer, inputs: Sequence[Tensor], params: Mapping[str, Tensor] | None = None) -> Tensor:
        """What `layer.emit` makes of these inputs: for kinds that compute in training what they do in inference."""

    def tensor(self, array: Array) -> Tensor:
        """A constant of any shape, float32."""

    def uniform(self, *shape: int) -> Tensor:
        """Random numbers from 0 up to 1, an input of the graph: [N, …, C], as a tensor that lies as values do between
        layers."""
