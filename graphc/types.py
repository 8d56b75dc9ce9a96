"""Arrays, and one application of a layer to them: its output, and the way back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    import numpy as np

    from graphc.kernels.factored_gradient import FactoredGradient

    Array: TypeAlias = np.ndarray[Any, Any]
    Gradient: TypeAlias = Array | FactoredGradient
else:
    Array = Gradient = Any

Params: TypeAlias = Mapping[str, Array]
"""A layer's variables by local name: weights, biases, gamma, …"""


@dataclass(frozen=True, slots=True)
class Gradients:
    """What a layer's backward gives: one gradient an input (None: not needed), one a trainable variable."""

    inputs: tuple[Array | None, ...]
    params: Mapping[str, Gradient] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """One application of a layer, and the way back."""

    output: Array
    backward: Callable[[Array], Gradients]
    updates: dict[str, Array] = field(default_factory=dict)
    """New values of variables that back-propagation does not train: moving_mean, moving_variance."""


class Context(Protocol):
    """How a layer runs on its shard of a batch, other ranks beside it: where arrays come from, whether it trains."""

    training: bool
    step: int
    """Batches of this training that went before."""
    input_gradient: bool
    """Whether backward is asked for the gradients of the inputs (not of images, nor below frozen layers)."""
    factored: bool
    """Whether the gradient of weights that are a large matrix may come as its factors, a `FactoredGradient`."""
    inplace: bool
    """Whether the output may be written over the first input: nobody else reads it."""
    frozen: frozenset[str]
    """Local names of variables whose gradients nobody asks for."""

    @property
    def rank(self) -> int:
        """Which shard of the batch this is, from 0."""

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Array:
        """An array of this shape with no particular contents, from the step's workspace."""

    def cached_buffer(self, key: Any, shape: tuple[int, ...], dtype: Any) -> tuple[Array, bool]:
        """An array of this shape as its last user under this key left it, and whether it is a new one."""

    def shared_buffer(self, shape: tuple[int, ...], dtype: Any) -> Array:
        """One array of this shape that every rank may write in: rank 0's, the others' until their next collective call.
        A layer that asks for this, `all_gather` or `all_reduce` must ask in every rank."""

    def random(self) -> np.random.Generator:
        """This layer's random numbers for this step (dropout)."""

    def all_gather(self, value: Any) -> list[Any]:
        """Every rank's value, in the order of ranks. Arrays are not to be written in, and last until the next
        collective call."""

    def all_reduce(self, array: Array) -> Array:
        """The sum of every rank's array, of one shape, added in the order of ranks."""

    def each_slice(self, work: Callable[[slice], Any], array: Array) -> list[Any]:
        """`work` on runs of the array's examples, [N, …], that fit the cache, for several passes; the results in
        order."""
