"""What only some kinds can do, and passes ask before they do it: `isinstance(layer, Affine)`.

A kind does it by having the method; it names no protocol. Shapes are one example's, channels last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from graphc.dims import Shape
from graphc.training_graph.step import EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor
from graphc.types import Array, Params

if TYPE_CHECKING:
    from graphc.kernels.box_coding import BoxCoder
    from graphc.layers.base import Layer


@runtime_checkable
class Affine(Protocol):
    """In inference y = x*scale + offset, channel by channel: batch norm, a bias, a scale."""

    def as_affine(self, params: Params) -> tuple[Array, Array]:
        """(scale, offset), each of shape [C] or []."""


@runtime_checkable
class AbsorbsAffine(Protocol):
    """Can take in y*scale + offset behind it: what ends in weights and biases."""

    def absorb_affine(
        self, params: Params, scale: Array, offset: Array, *, overwrite: bool = False
    ) -> tuple[Layer, dict[str, Array]]:
        """One layer, with all its variables, for this one and y*scale + offset (each [C]). With `overwrite` they may
        lie in the memory of `params`, whose values are lost."""


@runtime_checkable
class SplitsAffine(Protocol):
    """Can hand y*scale + offset on to its inputs: concat."""

    def split_affine(self, scale: Array, offset: Array, *inputs: Shape) -> list[tuple[Array, Array]]:
        """What each input, of these shapes, has to be multiplied by and added to (each [its C]) in place of
        y*scale + offset (each [C])."""


@runtime_checkable
class AbsorbsInput(Protocol):
    """Can take in x*scale + offset before it: a convolution, for preprocessing."""

    def absorb_input(
        self, params: Params, scale: Array, offset: Array, shape: Shape
    ) -> tuple[Layer, dict[str, Array]] | None:
        """This layer and its variables with an input of this shape times `scale` plus `offset` (each [C]) before it
        taken in; None where that cannot be exact."""


@runtime_checkable
class DecodesBoxes(Protocol):
    """Makes boxes of a detector's maps, and says what the numbers in these mean."""

    @property
    def num_classes(self) -> int:
        """How many classes are told apart, the background not counted."""

    @property
    def has_background(self) -> bool:
        """Whether a score of the background stands before theirs."""

    @property
    def steps(self) -> tuple[int, ...]:
        """Pixels of the network's input from one pixel of a map to the next, of each map."""

    def coder(self, sizes: Sequence[tuple[int, int]]) -> BoxCoder:
        """What the numbers at each place of maps of these sizes (height, width) mean."""

    def rows(self, *maps: Array) -> Array:
        """The numbers [N, A, …] at each place of maps [N, h, w, …]."""

    def maps(self, rows: Array, *shapes: tuple[int, ...]) -> list[Array]:
        """The maps, of these shapes [N, h, w, …], whose `rows` [N, A, …] are these."""

    def emit_rows(self, *maps: Tensor) -> tuple[Tensor, Tensor]:
        """`rows` in nodes, of maps as they lie: the numbers of all boxes [N, A, width] and all scores [N, A, K]."""

    def emit_maps(self, boxes: Tensor, scores: Tensor, *maps: Tensor) -> list[Tensor]:
        """The maps, which lie as these do, whose `emit_rows` are these."""


@runtime_checkable
class SuppressesBoxes(Protocol):
    """Keeps the best of many boxes."""

    @property
    def keeps(self) -> int:
        """So many, at most."""


@runtime_checkable
class SumsWith(Protocol):
    """Can take in what another layer of the same input gives, where both are added: convolutions side by side."""

    def sum_with(
        self, params: Params, other: Layer, others: Params, *inputs: Shape
    ) -> tuple[Layer, dict[str, Array]] | None:
        """One layer, with all its variables, each in its own shape, for this one plus `other`, with its own; None
        where that is none."""


@runtime_checkable
class Unpoolable(Protocol):
    """Can be undone by a max_unpool2d: max pooling."""

    def unpooling(self) -> dict[str, Any] | None:
        """Arguments of the max_unpool2d; None where windows overlap, or are of no fixed size."""


@runtime_checkable
class LimitsBatch(Protocol):
    """Cannot train on every number of examples: normalization needs two values for a mean."""

    def check_batch(self, examples: int, *inputs: Shape) -> None:
        """A `RuleError` where training cannot take a batch of so many examples of these shapes; symbols pass."""


@runtime_checkable
class EmitsTraining(Protocol):
    """States its forward and backward in nodes, for a training graph."""

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        """This layer on tensors that lie as values do between layers, with what emits its backward: what `forward`
        does on arrays. Params are by local name, in their declared shapes."""


@runtime_checkable
class CollectsStatistics(Protocol):
    """Collects in training what inference relies on: batch norm."""

    def young(self, batches: int) -> str:
        """What is wrong with the statistics after so many batches of training; empty where nothing is."""
